"""Truthfulness over several rounds: may a misreport today buy tomorrow's cache?

A bidder's values are the same in every round, and are reported anew in each. The audit plays every profile of true
values, and against truthful others every sequence of reports of every bidder, with caches and predictor carried over
from round to round. What per-round VCG does there, in the smallest instance found: one bidder, one agent, a value equal
to the cost of a fresh prompt. Honest, they are worth nothing to serve, in no round. If they overbid in round 1 they are
served at that cost and lose nothing, and in round 2 their document is cached and they gain all that the cache saves. So
truth in every round is not truth over rounds; the auction that leaves them out is not efficient over rounds either.
With two bidders of equal value the one whom the tie leaves out takes the other's cache in this way, and what they gain
the other loses. The dynamic pivot mechanism, which plans ahead, serves the single bidder in round 1 of its own accord,
and no misreport gains (`mechanisms.dynamic`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from time import perf_counter

import numpy as np

from allocation.money import Money
from mechanisms import Outcome
from mechanisms.dynamic import DynamicMechanism, PastRound, served_in
from proofs.arguments import of_kind, require_method, require_progress, several
from proofs.errors import AuditError
from proofs.evidence.counterexample import Answer
from proofs.evidence.evidence import replay, replay_fresh, shrink
from proofs.evidence.finding import Status
from proofs.rounds.conversations import Conversations
from proofs.scopes.grid import Grid
from proofs.subject.subject import owed, to_expression

Row = tuple[int, ...]

#: Decisions that are asked again.
RERUNS = 459

#: The claim that is audited here.
TRUTHFUL = "truthful-over-rounds"


@dataclass(frozen=True, slots=True, eq=False)
class MultiRoundDeviation:
    """Reports of one bidder, one row per round, that gain them `amount` micro-units (> 0) over all rounds.

    Args:
        world: what carries over between rounds.
        values: (N, M) true values, the same in every round, which everybody else reports.
        bidder: who misreports.
        reports: one row (M,) per round.
        amount: the bidder's true utility over all rounds, less that of reporting the truth in each; micro-units.
        honest, deviating: what the mechanism answered in each round.
    """

    world: Conversations
    values: tuple[Row, ...]
    bidder: int
    reports: tuple[Row, ...]
    amount: int
    honest: tuple[Answer, ...]
    deviating: tuple[Answer, ...]

    @classmethod
    def of(
        cls,
        mechanism: DynamicMechanism,
        world: Conversations,
        values: Sequence[Row],
        bidder: int,
        reports: Sequence[Row],
    ) -> "MultiRoundDeviation | None":
        """Play all rounds twice, truthfully and with these reports: a multi-round deviation, or None without a gain."""
        require_rounds(mechanism, world)
        of_kind(bidder, int, "bidder", f"one of 0..{world.bidders - 1}")
        if not 0 <= bidder < world.bidders:
            raise AuditError(f"bidder = {bidder}; expected one of 0..{world.bidders - 1}")
        told = [_rows(rows, name, world) for rows, name in ((values, "values"), (reports, "reports"))]
        return _compared(_Play(mechanism, world), told[0], bidder, told[1])

    def replay(self, mechanism: DynamicMechanism) -> int:
        """Play it again and return the amount.

        Raises:
            ReplayError: amount or answers differ from what is written here.
        """
        return replay(self, mechanism)

    @property
    def recorded(self) -> Mapping[str, object]:
        """The amount, and the answers of all rounds."""
        return {"amount": self.amount, "honest": self.honest, "deviating": self.deviating}

    def again(self, mechanism: DynamicMechanism) -> "MultiRoundDeviation | None":
        """The same values and reports, played from scratch."""
        return MultiRoundDeviation.of(mechanism, self.world, self.values, self.bidder, self.reports)

    def as_dict(self) -> dict[str, object]:
        """What a table of findings keeps."""
        return {"amount": self.amount, "text": str(self), "values": self.values}

    def expression(self, mechanism: DynamicMechanism) -> str:
        """One Python expression, for a fresh interpreter, whose value is the amount.

        Raises:
            AuditError: the mechanism cannot be written down.
        """
        return (
            f'__import__("proofs").multi_round_gain({to_expression(mechanism)}, {to_expression(self.world)}, '
            f"{self.values}, {self.bidder}, {self.reports})"
        )

    @property
    def simplicity(self) -> tuple[int, ...]:
        """Smaller is simpler: bidders, agents, rounds with a misreport; then the largest number, and their sum."""
        numbers = np.abs(np.array((*self.values, *self.reports)))
        misreports = sum(report != self.values[self.bidder] for report in self.reports)
        return self.world.bidders, self.world.agents, misreports, int(numbers.max()), int(numbers.sum())

    def simpler(self) -> Iterator["MultiRoundDeviation"]:
        """One bidder, agent or false report fewer; then numbers one closer to 0, each alone, and all."""
        world, values, bidder, reports = self.world, self.values, self.bidder, self.reports
        for other in range(world.bidders):
            if other != bidder:
                fewer, label = values[:other] + values[other + 1 :], bidder - (other < bidder)
                yield replace(self, world=world.smaller(bidders=world.bidders - 1), values=fewer, bidder=label)
        for agent in range(world.agents if world.agents > 1 else 0):
            shorter, rest = (tuple(row[:agent] + row[agent + 1 :] for row in rows) for rows in (values, reports))
            yield replace(self, world=world.smaller(agents=world.agents - 1), values=shorter, reports=rest)
        for number in range(world.rounds):
            yield replace(self, reports=(*reports[:number], values[bidder], *reports[number + 1 :]))
        numbers = np.array((*values, *reports))
        for place in np.argwhere(numbers != 0):
            lower = numbers.copy()
            lower[tuple(place)] -= np.sign(lower[tuple(place)])
            yield self._renumbered(lower)
        yield self._renumbered(numbers - np.sign(numbers))

    def _renumbered(self, numbers: Money) -> "MultiRoundDeviation":
        rows = tuple(tuple(row) for row in numbers.tolist())
        return replace(self, values=rows[: len(self.values)], reports=rows[len(self.values) :])

    def __str__(self) -> str:
        said = ", then ".join(str(list(report)) for report in self.reports)
        honest, deviated = (
            "; ".join(f"agents {list(answer.agents)} charges {list(answer.charges)}" for answer in answers)
            for answers in (self.honest, self.deviating)
        )
        return (
            f"bidder {self.bidder} reports {said} instead of {list(self.values[self.bidder])} in every round and gains "
            f"{self.amount}; true values {[list(row) for row in self.values]}; {self.world}\n"
            f"honest: {honest} | deviating: {deviated}"
        )


@dataclass(frozen=True, slots=True)
class Shortfall:
    """An honest play whose rounds add up to less than was claimed, by `amount` micro-units."""

    world: Conversations
    values: tuple[Row, ...]
    amount: int
    text: str

    @property
    def simplicity(self) -> tuple[int, ...]:
        """Smaller is simpler: bidders, agents; then the largest value, and the sum of values."""
        numbers = np.abs(np.array(self.values))
        return self.world.bidders, self.world.agents, int(numbers.max()), int(numbers.sum())

    def as_dict(self) -> dict[str, object]:
        """What a table of findings keeps."""
        return {"amount": self.amount, "text": str(self), "values": self.values}

    def __str__(self) -> str:
        return f"{self.text}; values {[list(row) for row in self.values]}; {self.world}"


@dataclass(frozen=True, slots=True, eq=False)
class RoundsFinding:
    """What was found about one claim, `name`, over all rounds of a world. Truthy where it holds.

    Of `truthful-over-rounds`, `cases` are sequences of reports against truthful others, and the `evidence` was shrunk
    and replayed, as `note` says; of what honest rounds add up to, profiles. `worst` is the largest violation, in
    micro-units. Costs are those the predictor expects; they are what is charged.
    """

    name: str
    mechanism: DynamicMechanism
    world: Conversations
    values: tuple[int, ...]
    status: Status
    cases: int
    seconds: float
    worst: int = 0
    evidence: MultiRoundDeviation | Shortfall | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.cases == 0 and self.status is Status.VERIFIED:
            object.__setattr__(self, "status", Status.UNKNOWN)
            object.__setattr__(self, "note", "there is no case of it: give more values, bidders or agents")

    def __bool__(self) -> bool:
        return self.status is Status.VERIFIED

    def __str__(self) -> str:
        lines = [
            f"{self.name}  {self.status}  {self.mechanism}  {self.cases:,} cases  {self.seconds:.2f} s",
            f"{self.world.bidders} bidders x {self.world.agents} agents, values {list(self.values)}; {self.world}",
        ]
        return "\n".join(lines if self.evidence is None else [*lines, str(self.evidence), self.note])


def audit_rounds(
    mechanism: DynamicMechanism,
    world: Conversations,
    values: Sequence[int] = range(4),
    progress: Callable[[int, int], None] | None = None,
) -> RoundsFinding:
    """Play every profile, and every sequence of reports of every bidder against truthful others.

    Args:
        mechanism: `mechanisms.PerRound(...)`, `mechanisms.DynamicPivot()`, or yours: an object with `decide`.
        world: what carries over between rounds.
        values: the integers (micro-units) that a bidder's value for an agent may be, true or reported.
        progress: called with (done, total) profiles.

    Raises:
        AuditError: the mechanism is infeasible, has a memory of its own, or the scope is malformed or too large.
        ReplayError: the multi-round deviation found does not happen again in a fresh process.

    Example:
        >>> from mechanisms import DynamicPivot
        >>> audit_rounds(DynamicPivot(), Conversations(bidders=1), range(3)).cases
        24
    """
    started = perf_counter()
    require_rounds(mechanism, world)
    require_progress(progress)
    grid = Grid(world.bidders, world.agents, values)
    play, worst, cases = _Play(mechanism, world), None, 0
    types = [tuple(row) for row in grid.types(0)[:, 0].tolist()]
    for profile in range(grid.profiles):
        true = tuple(tuple(row) for row in grid.market(profile).values.tolist())
        for bidder, reports in product(range(world.bidders), product(types, repeat=world.rounds)):
            if any(report != true[bidder] for report in reports):
                cases += 1
                found = _compared(play, true, bidder, reports)
                if found is not None and (worst is None or found.amount > worst.amount):
                    worst = found
        if progress is not None:
            progress(profile + 1, grid.profiles)
    kept = tuple(grid.values)
    again = play.ask_again(RERUNS)
    if worst is None:
        seconds = perf_counter() - started
        return RoundsFinding(TRUTHFUL, mechanism, world, kept, Status.VERIFIED, cases, seconds, note=again)
    evidence = shrink(worst, mechanism)
    note = replay_fresh(evidence, mechanism)
    seconds = perf_counter() - started
    return RoundsFinding(TRUTHFUL, mechanism, world, kept, Status.REFUTED, cases, seconds, worst.amount, evidence, note)


def require_rounds(mechanism: DynamicMechanism, world: Conversations) -> None:
    """Raise `AuditError` unless these are a mechanism for several rounds, and a world."""
    require_method(mechanism, "decide", "mechanism", "one for several rounds, such as PerRound(...)")
    of_kind(world, Conversations, "world", "Conversations(...)")


def _rows(rows: Sequence[Row], name: str, world: Conversations) -> tuple[Row, ...]:
    found = tuple(several(rows, name, "rows of values"))
    for row in found:
        if not isinstance(row, tuple | list) or len(row) != world.agents or any(type(each) is not int for each in row):
            raise AuditError(f"{name} hold {row!r}; expected {world.agents} integers, one per agent")
    return tuple(tuple(row) for row in found)


def multi_round_gain(
    mechanism: DynamicMechanism, world: Conversations, values: Sequence[Row], bidder: int, reports: Sequence[Row]
) -> int:
    """What a bidder gains over all rounds by these reports, in micro-units, or 0; what expressions call."""
    found = MultiRoundDeviation.of(mechanism, world, values, bidder, reports)
    return 0 if found is None else found.amount


def outcomes_of(mechanism: DynamicMechanism, world: Conversations, values: Sequence[Row]) -> tuple[Outcome, ...]:
    """The outcome of each round, when everybody reports these values in all of them.

    Raises:
        AuditError: the mechanism is infeasible.
    """
    return _Play(mechanism, world).outcomes([tuple(values)] * world.rounds)


@dataclass(frozen=True, slots=True)
class _Play:
    """A mechanism in a world; each decision is asked for once."""

    mechanism: DynamicMechanism
    world: Conversations
    decided: dict[tuple[tuple[Row, ...], tuple[PastRound, ...]], Outcome] = field(default_factory=dict)

    def outcomes(self, rounds: Sequence[tuple[Row, ...]]) -> tuple[Outcome, ...]:
        """The outcome of each round, when these values are reported in it."""
        past: tuple[PastRound, ...] = ()
        outcomes = []
        for reports in rounds:
            key = reports, past
            if key not in self.decided:
                self.decided[key] = self._decide(*key)
            outcomes.append(self.decided[key])
            past = (*past, PastRound.of(outcomes[-1]))
        return tuple(outcomes)

    def ask_again(self, times: int) -> str:
        """Ask decisions drawn at random again, in another order than before, and say how many.

        Raises:
            AuditError: one of them differs; the mechanism has a memory of its own.
        """
        keys = list(self.decided)
        drawn = np.random.default_rng(len(keys)).permutation(len(keys))[:times]
        for index in drawn.tolist():
            reports, past = keys[index]
            if Answer.of(self._decide(reports, past)) != Answer.of(self.decided[reports, past]):
                raise AuditError(
                    f"{self.mechanism} decides otherwise when asked again, for {reports} after {past}; it has a memory "
                    "of its own: compute what it learns from the past rounds that decide is given"
                )
        return f"{len(drawn):,} of {len(keys):,} decisions asked twice, in another order"

    def _decide(self, reports: tuple[Row, ...], past: tuple[PastRound, ...]) -> Outcome:
        values = np.array(reports, np.int64)
        market = self.world.market(values, served_in(past))
        return owed(self.mechanism.decide(self.world, values, past), market, str(self.mechanism))


def _compared(
    play: _Play, values: tuple[Row, ...], bidder: int, reports: tuple[Row, ...]
) -> MultiRoundDeviation | None:
    if len(reports) != play.world.rounds or len(values) != play.world.bidders:
        raise AuditError(
            f"{len(values)} bidders with {len(reports)} reports do not fit {play.world.bidders} bidders and "
            f"{play.world.rounds} rounds"
        )
    said = [(*values[:bidder], report, *values[bidder + 1 :]) for report in reports]
    honest, deviating = play.outcomes([values] * len(reports)), play.outcomes(said)
    gain = sum(_utility(outcome, values, bidder) for outcome in deviating)
    gain -= sum(_utility(outcome, values, bidder) for outcome in honest)
    if gain <= 0:
        return None
    answers = [tuple(map(Answer.of, outcomes)) for outcomes in (honest, deviating)]
    return MultiRoundDeviation(play.world, values, bidder, reports, gain, answers[0], answers[1])


def _utility(outcome: Outcome, values: tuple[Row, ...], bidder: int) -> int:
    """What a round is worth to the bidder by their true values, less their charge."""
    agent = int(outcome.allocation.agents[bidder])
    return (values[bidder][agent] if agent >= 0 else 0) - int(outcome.payments.charges[bidder])
