"""Two rounds: one report that stands in both, which must not gain, and what other reports buy, which nobody claims.

Between the rounds the world moves on as it must: what was decided is computed, caches fill, the policy is told, and
whoever was left `WAITING` competes again while anything is at work. A bidder's utility counts from when they came:
a second of waiting costs them their delay cost in either round, and is lost even if they wait in vain.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from time import perf_counter

import numpy as np

from allocation import UNSERVED
from experiments.audits.finding import Case, PolicyFinding
from experiments.audits.play import Decided
from experiments.audits.reference import MICROS, Reference
from experiments.audits.state import State
from experiments.audits.words import credits_of, of_type
from experiments.audits.world import ANSWER, Asked, World
from mechanisms import Preferences
from runtime import WAITING, Offer, Policy

#: What a bidder reports in round 1 (None: comes in round 2 alone) and in round 2, and whether what was not served in
#: round 1 is asked again, by another report.
Plan = tuple[int | None, int, bool]

#: The plans besides the truth that a bidder of this true type has, among so many types.
Ways = Callable[[int, range], list[Plan]]


@dataclass(frozen=True, slots=True)
class TwoRounds:
    """A state and what follows it: `gap_s` seconds between the rounds; with `turns`, who is served asks again."""

    state: State
    gap_s: float
    turns: bool = False


@dataclass(frozen=True, slots=True)
class Got:
    """What one request came to: seconds from its arrival, quality and charge, and what was predicted of it."""

    round: int
    agent: int
    place: int
    seconds: float
    quality: float
    charge: int
    stated_seconds: float
    stated_quality: float

    def worth(self, true: Preferences, *, stated: bool = False) -> float:
        """Credits, before the charge."""
        seconds, quality = (self.stated_seconds, self.stated_quality) if stated else (self.seconds, self.quality)
        if self.agent < 0:
            return -true.delay_cost * self.seconds
        credits = true.worth * quality - true.delay_cost * seconds
        return true.stake + (min(credits, 0.0) if self.seconds > true.deadline else credits)


@dataclass(frozen=True, slots=True)
class _Asking:
    """A request of a round: as asked, as offered, and how long before this round its bidder came."""

    owner: int
    asked: Asked
    offer: Offer
    came_s: float


class Story:
    """Both rounds under every combination of plans that is asked for, each played once."""

    def __init__(self, policy: Policy, story: TwoRounds) -> None:
        self.policy, self.story, self.types = policy, story, story.state.types
        self._ended: dict[tuple[Plan, ...], tuple[tuple[Got, ...], ...]] = {}
        self._first: tuple[int | None, ...] | None = None

    def play(self, combinations: Sequence[tuple[Plan, ...]]) -> None:
        """Play them, those with the same first round together."""
        for plans in sorted(set(combinations) - set(self._ended), key=repr):
            self._ended[plans] = self._second(plans)

    def got(self, plans: tuple[Plan, ...], bidder: int) -> tuple[Got, ...]:
        """What a bidder got."""
        return self._ended[plans][bidder]

    def utility(self, plans: tuple[Plan, ...], bidder: int, true: Preferences) -> tuple[int, int]:
        """Micro-units over both rounds at the reference, and by how much the policy's predictions differ."""
        total = error = 0
        for one in self.got(plans, bidder):
            total += round(one.worth(true) * MICROS) - one.charge
            apart = abs(one.worth(true) - one.worth(true, stated=True)) if np.isfinite(one.stated_quality) else 0.0
            error += int(np.ceil(apart * MICROS - 1e-3)) + 1
        return total, error

    def _begin(self, first: tuple[int | None, ...]) -> None:
        """Play the first round and let the world move on."""
        state = self.story.state
        self._first, self._results = first, [[] for _ in first]  # type: ignore[var-annotated]
        world = self._world = state.begin(self.policy)
        coming = [
            _Asking(k, state.asked[k], world.offer(state.asked[k], self.types[t]), state.asked[k].waited_s)
            for k, t in enumerate(first)
            if t is not None
        ]
        self._left: list[tuple[_Asking, bool]] = []
        self._served: list[int] = []
        if coming:
            self._carry_out(world, coming)
        world.advance(world.now_s + self.story.gap_s)

    def _carry_out(self, world: World, coming: Sequence[_Asking]) -> None:
        decided, reference = self._decide(world, coming)
        for i in np.argsort(decided.stated_places, kind="stable").tolist():
            one, agent = coming[i], int(decided.agents[i])
            if agent >= 0:
                self._results[one.owner].append(_got(1, decided, reference, i, one))
                note = self._notes[i] if len(self._notes) else None
                world.place(one.offer, agent, note, self._stated[i], int(decided.charges[i]), right=True)
                self._served.append(one.owner)
        for i, one in enumerate(coming):
            if decided.agents[i] < 0:
                # As the router does: where nothing is at work, waiting would change nothing.
                waits = decided.agents[i] == WAITING and any(world.lines)
                self._left.append((one, bool(waits)))

    def _second(self, plans: tuple[Plan, ...]) -> tuple[tuple[Got, ...], ...]:
        first = tuple(plan[0] for plan in plans)
        if first != self._first:
            self._begin(first)
        world, state, gap = self._world, self.story.state, self.story.gap_s
        results = [list(one) for one in self._results]
        coming = []
        for one, waits in self._left:
            _, report, again = plans[one.owner]
            came = one.came_s + gap
            if again:
                offer = replace(one.offer, preferences=self.types[report])
                coming.append(replace(one, offer=offer, came_s=came))
            elif waits:
                coming.append(replace(one, came_s=came))
            else:
                results[one.owner].append(_nothing(1, one.came_s))
        for k, (begins, report, _) in enumerate(plans):
            if begins is None:
                asked = replace(state.asked[k], waited_s=state.asked[k].waited_s + gap)
                coming.append(_Asking(k, asked, world.offer(asked, self.types[report]), asked.waited_s))
            elif self.story.turns and k in self._served:
                before = state.asked[k].tokens
                tokens = (*before, *range(10**9, 10**9 + ANSWER), *range(before[0] + 50, before[0] + 56))
                asked = Asked(state.asked[k].bidder, tokens, turn=1)
                coming.append(_Asking(k, asked, world.offer(asked, self.types[report]), 0.0))
        if coming and not self.policy.ready(world.fleet()):
            for one in coming:
                results[one.owner].append(_nothing(2, one.came_s))
        elif coming:
            decided, reference = self._decide(world, coming)
            for i, one in enumerate(coming):
                served = decided.agents[i] >= 0
                results[one.owner].append(_got(2, decided, reference, i, one) if served else _nothing(2, one.came_s))
        return tuple(map(tuple, results))

    def _decide(self, world: World, coming: Sequence[_Asking]) -> tuple[Decided, Reference]:
        reference = self.story.state.reference(world, [replace(one.asked, waited_s=one.came_s) for one in coming])
        decision = self.policy.decide([one.offer for one in coming], world.fleet())
        self._notes = list(decision.notes)
        self._stated = list(decision.predicted) if len(decision.predicted) else [None] * len(coming)
        return Decided.of(decision), reference


def _got(number: int, decided: Decided, reference: Reference, i: int, one: _Asking) -> Got:
    agent, place = int(decided.agents[i]), int(decided.places[i])
    seconds = float(reference.latency[i, agent, place]) + one.came_s
    said, _, quality = decided.stated[i]
    return Got(
        number, agent, place, seconds, float(reference.quality[agent]), int(decided.charges[i]),
        float(said) + one.came_s, float(quality),
    )  # fmt: skip


def _nothing(number: int, waited_s: float) -> Got:
    return Got(number, UNSERVED, 0, waited_s, 0.0, 0, waited_s, 0.0)


def single_report(policy: Policy, stories: Sequence[TwoRounds]) -> PolicyFinding:
    """One report, which stands in both rounds where the policy lets a request wait: no misreport gains."""
    return _enumerated("single-report", policy, stories, lambda t, types: [(r, r, False) for r in types if r != t])


def past_reports(policy: Policy, stories: Sequence[TwoRounds]) -> PolicyFinding:
    """Who asks in both rounds may report anything in each: what does it buy?"""
    return _enumerated(
        "past-reports", policy, [replace(one, turns=True) for one in stories],
        lambda t, types: [(r, s, False) for r, s in product(types, types) if (r, s) != (t, t)], claimed=False,
    )  # fmt: skip


def late_arrival(policy: Policy, stories: Sequence[TwoRounds]) -> PolicyFinding:
    """Coming in round 2 instead of round 1."""
    return _enumerated(
        "late-arrival", policy, stories, lambda t, types: [(None, r, False) for r in types], claimed=False
    )


def resubmission(policy: Policy, stories: Sequence[TwoRounds]) -> PolicyFinding:
    """Asking again, as something else or the same, what was not served."""
    return _enumerated(
        "resubmission", policy, stories, lambda t, types: [(r, s, True) for r, s in product(types, types)],
        claimed=False,
    )  # fmt: skip


def _enumerated(
    name: str, policy: Policy, stories: Sequence[TwoRounds], plans: Ways, *, claimed: bool = True
) -> PolicyFinding:
    started, cases, violations = perf_counter(), 0, []
    for one in stories:
        story = Story(policy, one)
        found = list(_deviations(story, plans))
        story.play([way for honest, lying, *_ in found for way in (honest, lying)])
        cases += len(found)
        best = []
        for honest, lying, bidder, true in found:
            told, error = story.utility(honest, bidder, true)
            got, other = story.utility(lying, bidder, true)
            if got - told > error + other:
                best.append(
                    ((len(one.state.agents), *_size(honest, lying, bidder)), got - told, honest, lying, bidder, true)
                )
        if best:
            for size, gain, honest, lying, bidder, true in (
                min(best, key=lambda found: (found[0], -found[1])),
                max(best, key=lambda found: found[1]),
            ):
                text = _text(story, honest, lying, bidder, true, gain)
                where = f"{one.state.name}, {one.gap_s:g} s between rounds"
                violations.append(Case(gain, text, size, where))
    return PolicyFinding.over(name, cases, perf_counter() - started, violations, claimed=claimed)


def _deviations(story: Story, plans: Ways) -> Iterator[tuple[tuple[Plan, ...], tuple[Plan, ...], int, Preferences]]:
    types = range(len(story.types))
    for truth in product(types, repeat=len(story.story.state.asked)):
        honest: tuple[Plan, ...] = tuple((t, t, False) for t in truth)
        for bidder, t in enumerate(truth):
            for plan in plans(t, types):
                yield honest, (*honest[:bidder], plan, *honest[bidder + 1 :]), bidder, story.types[t]


def _size(honest: tuple[Plan, ...], lying: tuple[Plan, ...], bidder: int) -> tuple[float, ...]:
    truth, (first, second, _) = honest[bidder][1], lying[bidder]
    changed = (first != truth) + (second != truth)
    return len(honest), changed, sum(plan[1] for plan in honest) + (first or 0) + second


def _text(
    story: Story, honest: tuple[Plan, ...], lying: tuple[Plan, ...], bidder: int, true: Preferences, gain: int
) -> str:
    names = [one.bidder for one in story.story.state.asked]
    lines = []
    for title, plans in (("truth", honest), ("instead", lying)):
        lines.append(f"  {title}:")
        for k, plan in enumerate(plans):
            lines.append(f"    {names[k]} ({of_type(story.types[honest[k][1]])}){_said(story, honest[k], plan)}")
            own = true if k == bidder else story.types[honest[k][1]]
            lines += [f"      {_line(got, own)}" for got in story.got(plans, k)]
    return "\n".join([*lines, f"  {names[bidder]} gains {credits_of(gain)}"])


def _said(story: Story, honest: Plan, plan: Plan) -> str:
    if plan == honest:
        return ""
    first, second, again = plan
    said = "comes in round 2" if first is None else f"reports {of_type(story.types[first])} in round 1"
    asks = "asks again in round 2 with" if again else "in round 2"
    return f" {said}, {asks} {of_type(story.types[second])}"


def _line(got: Got, true: Preferences) -> str:
    if got.agent < 0:
        return f"round {got.round}: unserved" + (f" after {got.seconds:g} s" if got.seconds else "")
    worth = got.worth(true)
    return (
        f"round {got.round}: agent {got.agent}, place {got.place}: {true.worth:g} x {got.quality:g} - "
        f"{true.delay_cost:g} x {got.seconds:.4f} s = {worth:.4f}, pays {got.charge / MICROS:.4f}: "
        f"{worth - got.charge / MICROS:.4f}"
    )
