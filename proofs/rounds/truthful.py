"""Truthfulness over several rounds: may a misreport today buy tomorrow's cache?

A bidder's values are the same in every round, and he reports them anew in each. The audit plays every profile of true
values, and against truthful others every sequence of reports of every bidder, with caches and predictor carried over
from round to round. What per-round VCG does there, in the smallest instance found: one bidder, one agent, a value equal
to the cost of a fresh prompt. Honest, he is worth nothing to serve, in no round. If he overbids in round 1 he is served
at that cost and loses nothing, and in round 2 his document is cached and he gains all that the cache saves. So truth in
every round is not truth over rounds; the auction that leaves him out is not efficient over rounds either. With two
bidders of equal value the one whom the tie leaves out takes the other's cache in this way, and what he gains the other
loses. The dynamic pivot mechanism, which plans ahead, serves the single bidder in round 1 of its own accord, and no
misreport gains (`mechanisms.dynamic`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from time import perf_counter

import numpy as np

from mechanisms import Outcome
from mechanisms.dynamic import DynamicMechanism, History
from proofs.errors import AuditError, ReplayError
from proofs.evidence.counterexample import Answer
from proofs.evidence.finding import Status
from proofs.evidence.fresh_process import evaluated_afresh
from proofs.rounds.conversations import Conversations
from proofs.scopes.grid import Grid
from proofs.subject.subject import to_expression

Row = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class MultiRoundDeviation:
    """Reports of one bidder, one row per round, that gain him `gain` micro-units (> 0) over all rounds.

    Args:
        world: what carries over between rounds.
        values: (N, M) true values, the same in every round, which everybody else reports.
        bidder: who misreports.
        reports: one row (M,) per round.
        gain: his true utility over all rounds, less that of reporting the truth in each.
        honest, deviating: what the mechanism answered in each round.
    """

    world: Conversations
    values: tuple[Row, ...]
    bidder: int
    reports: tuple[Row, ...]
    gain: int
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
        return _compared(_Play(mechanism, world), tuple(values), bidder, tuple(reports))

    def replay(self, mechanism: DynamicMechanism) -> int:
        """Play it again and return the gain.

        Raises:
            ReplayError: gain or answers differ from what is written here.
        """
        again = MultiRoundDeviation.of(mechanism, self.world, self.values, self.bidder, self.reports)
        if again is None or (again.gain, again.honest, again.deviating) != (self.gain, self.honest, self.deviating):
            found = 0 if again is None else again.gain
            raise ReplayError(f"recorded was a gain of {self.gain}, played again it is {found}: {self}")
        return again.gain

    def expression(self, mechanism: DynamicMechanism) -> str:
        """One Python expression, for a fresh interpreter, whose value is the gain.

        Raises:
            AuditError: the mechanism cannot be written down.
        """
        return (
            f'__import__("proofs").multi_round_gain({to_expression(mechanism)}, {to_expression(self.world)}, '
            f"{self.values}, {self.bidder}, {self.reports})"
        )

    def shrink(self, mechanism: DynamicMechanism) -> "MultiRoundDeviation":
        """A multi-round deviation that no step makes simpler: fewer bidders, agents, deviations; smaller numbers."""
        best = self
        while True:
            for world, values, bidder, reports in best._simpler():
                smaller = MultiRoundDeviation.of(mechanism, world, values, bidder, reports)
                if smaller is not None and smaller.simplicity < best.simplicity:
                    best = smaller
                    break
            else:
                return best

    @property
    def simplicity(self) -> tuple[int, ...]:
        """Smaller is simpler: bidders, agents, rounds with a misreport; then the largest value said, and their sum."""
        numbers = np.abs(np.array((*self.values, *self.reports)))
        misreports = sum(report != self.values[self.bidder] for report in self.reports)
        return self.world.bidders, self.world.agents, misreports, int(numbers.max()), int(numbers.sum())

    def _simpler(self) -> Iterator[tuple[Conversations, tuple[Row, ...], int, tuple[Row, ...]]]:
        world, values, bidder, reports = self.world, self.values, self.bidder, self.reports
        for other in range(world.bidders):
            if other != bidder:
                fewer = values[:other] + values[other + 1 :]
                yield world.smaller(bidders=world.bidders - 1), fewer, bidder - (other < bidder), reports
        for agent in range(world.agents if world.agents > 1 else 0):
            shorter, told = (tuple(row[:agent] + row[agent + 1 :] for row in rows) for rows in (values, reports))
            yield world.smaller(agents=world.agents - 1), shorter, bidder, told
        for number in range(world.rounds):
            yield world, values, bidder, (*reports[:number], values[bidder], *reports[number + 1 :])
        numbers = np.array((*values, *reports))
        for place in np.argwhere(numbers != 0):
            lower = numbers.copy()
            lower[tuple(place)] -= np.sign(lower[tuple(place)])
            rows = tuple(tuple(row) for row in lower.tolist())
            yield world, rows[: len(values)], bidder, rows[len(values) :]
        yield world, *self._lowered()

    def _lowered(self) -> tuple[tuple[Row, ...], int, tuple[Row, ...]]:
        """Every number one closer to 0."""
        numbers = np.array((*self.values, *self.reports))
        rows = tuple(tuple(row) for row in (numbers - np.sign(numbers)).tolist())
        return rows[: len(self.values)], self.bidder, rows[len(self.values) :]

    def __str__(self) -> str:
        said = ", then ".join(str(list(report)) for report in self.reports)
        told, deviated = (
            "; ".join(f"agents {list(answer.agents)} charges {list(answer.charges)}" for answer in answers)
            for answers in (self.honest, self.deviating)
        )
        return (
            f"bidder {self.bidder} reports {said} instead of {list(self.values[self.bidder])} in every round and gains "
            f"{self.gain}; true values {[list(row) for row in self.values]}; {self.world}\n"
            f"honest: {told} | deviating: {deviated}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class RoundsFinding:
    """Whether any sequence of reports gains over all rounds. Truthy where none does.

    `cases` sequences were played against truthful others; `worst` is the largest gain, in micro-units; the `multi-round
    deviation` was shrunk and replayed, as `note` says. Costs are those the predictor expects; they are what is charged.
    """

    mechanism: DynamicMechanism
    world: Conversations
    values: tuple[int, ...]
    status: Status
    cases: int
    seconds: float
    worst: int = 0
    gambit: MultiRoundDeviation | None = None
    note: str = ""

    def __bool__(self) -> bool:
        return self.status is Status.VERIFIED

    def __str__(self) -> str:
        lines = [
            f"truthful-over-rounds  {self.status}  {self.mechanism}  {self.cases:,} cases  {self.seconds:.2f} s",
            f"{self.world.bidders} bidders x {self.world.agents} agents, values {list(self.values)}; {self.world}",
        ]
        return "\n".join(lines if self.gambit is None else [*lines, str(self.gambit), self.note])


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
        AuditError: the mechanism is infeasible, or the scope malformed or too large.
        ReplayError: the multi-round deviation found does not happen again in a fresh process.

    Example:
        >>> from mechanisms import DynamicPivot
        >>> audit_rounds(DynamicPivot(), Conversations(bidders=1), range(3)).cases
        24
    """
    started = perf_counter()
    grid = Grid(world.bidders, world.agents, values)
    play, worst, cases = _Play(mechanism, world), None, 0
    types = [tuple(row) for row in grid.types(0)[:, 0].tolist()]
    for profile in range(grid.profiles):
        true = tuple(tuple(row) for row in grid.market(profile).values.tolist())
        for bidder, reports in product(range(world.bidders), product(types, repeat=world.rounds)):
            if any(report != true[bidder] for report in reports):
                cases += 1
                found = _compared(play, true, bidder, reports)
                if found is not None and (worst is None or found.gain > worst.gain):
                    worst = found
        if progress is not None:
            progress(profile + 1, grid.profiles)
    told = tuple(grid.values)
    if worst is None:
        return RoundsFinding(mechanism, world, told, Status.VERIFIED, cases, perf_counter() - started)
    gambit = worst.shrink(mechanism)
    try:
        note = evaluated_afresh(gambit.expression(mechanism), gambit.gain)
    except AuditError as error:
        if isinstance(error, ReplayError):
            raise
        gambit.replay(mechanism)
        note = f"replayed in this process only ({error})"
    seconds = perf_counter() - started
    return RoundsFinding(mechanism, world, told, Status.REFUTED, cases, seconds, worst.gain, gambit, note)


def multi_round_gain(
    mechanism: DynamicMechanism, world: Conversations, values: Sequence[Row], bidder: int, reports: Sequence[Row]
) -> int:
    """What a bidder gains over all rounds by these reports, in micro-units, or 0; what expressions call."""
    found = MultiRoundDeviation.of(mechanism, world, values, bidder, reports)
    return 0 if found is None else found.gain


def outcomes_of(mechanism: DynamicMechanism, world: Conversations, values: Sequence[Row]) -> tuple[Outcome, ...]:
    """The outcome of each round, when everybody reports these values in all of them.

    Raises:
        CertificateError: the mechanism is infeasible.
    """
    return _Play(mechanism, world).outcomes([tuple(values)] * world.rounds)


@dataclass(frozen=True, slots=True)
class _Play:
    """A mechanism in a world; each decision is asked for once."""

    mechanism: DynamicMechanism
    world: Conversations
    decided: dict[tuple[tuple[Row, ...], History], Outcome] = field(default_factory=dict)

    def outcomes(self, rounds: Sequence[tuple[Row, ...]]) -> tuple[Outcome, ...]:
        """The outcome of each round, when these values are reported in it."""
        history: History = ()
        outcomes = []
        for reports in rounds:
            key = reports, history
            if key not in self.decided:
                outcome = self.mechanism.decide(self.world, np.array(reports, np.int64), history)
                self.world.market(np.array(reports, np.int64), history).check(outcome.allocation)
                self.decided[key] = outcome
            outcomes.append(self.decided[key])
            history = (*history, tuple(outcomes[-1].allocation.agents.tolist()))
        return tuple(outcomes)


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
    """What a round is worth to the bidder by his true values, less his charge."""
    agent = int(outcome.allocation.agents[bidder])
    return (values[bidder][agent] if agent >= 0 else 0) - int(outcome.payments.charges[bidder])
