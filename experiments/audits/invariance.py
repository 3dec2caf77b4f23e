"""What must not change: terms when a present report does, decisions when asked again or in another order."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from time import perf_counter

import numpy as np

from experiments.audits.finding import Case, PolicyFinding
from experiments.audits.play import Decided, Ints, Played, Profile, Table, stated_fees
from experiments.audits.reference import MICROS, valued
from experiments.audits.state import State
from experiments.audits.words import of_type, profile_text
from mechanisms import Preferences
from proofs import Status
from runtime import Arrived, Policy

#: Profiles of a state that are asked again, and asked in other orders.
AGAIN = 40


def interference(played: Played, *, slack: float = 1e-9) -> PolicyFinding:
    """Predictions, fees and readiness are the same whatever the present bidders report."""
    started, table = perf_counter(), played.table
    cases, violations = 0, []
    base = table.decided(_first(table)).fees
    said: dict[tuple[int, int, int], tuple[float, ...]] = {}
    for p, profile in enumerate(table.profiles()):
        one = table.decided(profile)
        for i in np.flatnonzero((one.agents >= 0) & np.isfinite(one.stated[:, 0])).tolist():
            cases += 1
            where = i, int(one.agents[i]), int(one.stated_places[i])
            expected = said.setdefault(where, tuple(one.stated[i].tolist()))
            apart = float(np.abs(one.stated[i] - expected).max())
            if apart > slack:
                what = f"predicts {one.stated[i].tolist()}, and {list(expected)} under other reports"
                violations.append(_case(table, profile, p, i, what, apart))
        if base is not None and one.fees is not None:
            cases += 1
            apart = float(np.abs(one.fees - base).max())
            if apart > slack:
                what = f"fees {one.fees.round(4).tolist()}, and {base.round(4).tolist()} where all report type 0"
                violations.append(_case(table, profile, p, 0, what, apart))
        if len(violations) > AGAIN:
            break
    for cases_of_arrival, found in _arrivals(table):
        cases += cases_of_arrival
        violations += found
    note = "" if base is not None else "the policy states no fees"
    return PolicyFinding.over("non-interference", cases, perf_counter() - started, violations, note)


def _arrivals(table: Table) -> Iterator[tuple[int, list[Case]]]:
    """Tell the policy who arrived with which report before it decides: neither readiness nor the decision may move."""
    state, last = table.state, len(table.types) - 1
    seen: dict[str, object] = {}
    for i, t in [(-1, 0), *((i, last) for i in range(len(table.asked)))]:
        arriving = tuple(t if i == k else 0 for k in range(len(table.asked)))
        world = state.begin(table.policy)
        offers = [world.offer(one, table.types[arriving[k]]) for k, one in enumerate(table.asked)]
        for offer in offers:
            table.policy.notice(Arrived(world.now_s, offer))
        fleet = world.fleet()
        # The same reports in the round itself: what differs is what was said on arrival.
        plain = [replace(offer, preferences=table.types[0]) for offer in offers]
        fees = stated_fees(table.policy, plain, fleet)
        decided = Decided.of(table.policy.decide(plain, fleet))
        now: dict[str, object] = {
            "ready": table.policy.ready(fleet),
            "fees": None if fees is None else fees.round(9).tolist(),
            "decision": (decided.agents.tolist(), decided.charges.tolist(), decided.stated.round(9).tolist()),
        }
        seen = seen or now
        moved = [name for name in now if repr(now[name]) != repr(seen[name])]
        who = table.asked[i].bidder
        yield (
            len(now),
            [
                Case(
                    1,
                    f"{who} arrives reporting {of_type(table.types[t])} instead of {of_type(table.types[0])}: "
                    f"{name} is {now[name]}, not {seen[name]}",
                    (len(table.asked), 1),
                    state.name,
                )
                for name in moved
            ],
        )


def own_past(policy: Policy, state: State) -> PolicyFinding:
    """What a bidder reported before moves neither their fees nor what they get when they come alone."""
    started, cases, violations = perf_counter(), 0, []
    own = [bidder for bidder in state.bidders if any(one.bidder == bidder for one in state.past)]
    for bidder in own:
        asked = [one for one in state.asked if one.bidder == bidder]
        seen: tuple[object, object] | None = None
        for earlier in (None, Preferences(0.5, 0.0), Preferences(50.0, 0.0), Preferences(20.0, 5.0)):
            past = [
                replace(one, preferences=earlier) if one.bidder == bidder and earlier is not None else one
                for one in state.past
            ]
            world = state.begin(policy, past)
            fleet, middle = world.fleet(), state.types[len(state.types) // 2]
            offers = [world.offer(one, middle) for one in asked]
            fees = stated_fees(policy, offers, fleet)
            decided = Decided.of(policy.decide(offers, fleet))
            got = decided.agents.tolist(), decided.charges.tolist()
            seen = seen or (fees, got)
            cases += 1
            apart = 0.0 if fees is None else float(np.abs(fees - np.asarray(seen[0])).max())
            charged = max(abs(a - b) for a, b in zip(got[1], seen[1][1], strict=True))  # type: ignore[index]
            if apart > 2 / MICROS or charged > 2 or got[0] != seen[1][0]:  # type: ignore[index]
                text = (
                    f"{bidder} comes alone ({of_type(middle)}); had they reported {of_type(earlier or middle)} before, "
                    f"agents and charges are {got}, not {seen[1]}; fees differ by {apart:.6f}"
                )
                violations.append(Case(max(int(apart * MICROS), charged, 1), text, (len(asked),), state.name))
    return PolicyFinding.over("own-past", cases, perf_counter() - started, violations)


def orderly(played: Played) -> PolicyFinding:
    """Asked twice, a policy decides the same; asked in another order, bidders get the same, up to ties."""
    started, table = perf_counter(), played.table
    profiles, cases, violations = table.profiles(), 0, []
    drawn = np.random.default_rng(len(profiles)).permutation(len(profiles))[:AGAIN].tolist()
    for p in drawn:
        profile = profiles[p]
        first, again = table.decided(profile), table.ask(profile)
        cases += 1
        if (first.agents.tolist(), first.charges.tolist()) != (again.agents.tolist(), again.charges.tolist()):
            what = f"asked again: agents {again.agents.tolist()}, charges {again.charges.tolist()}"
            violations.append(_case(table, profile, p, 0, what, 1 / MICROS))
        for order in list(permutations(range(len(table.asked))))[1:]:
            offers = table.offers(profile)
            moved = Decided.of(table.policy.decide([offers[i] for i in order], table.fleet))
            back = np.argsort(order)
            cases += 1
            apart = _apart(played, p, moved, back)
            if apart > 0:
                what = f"in the order {order}: agents {moved.agents[back].tolist()}, charges "
                violations.append(_case(table, profile, p, 0, what + str(moved.charges[back].tolist()), apart / MICROS))
    return PolicyFinding.over("order-independent", cases, perf_counter() - started, violations)


def predictions(played: Played) -> PolicyFinding:
    """No prediction of quality is further off than two standard errors of what was graded; all else is stated.

    VERIFIED where every prediction equals the reference but for rounding, UNKNOWN where some differ by what a finite
    past leaves open or in latency and cost, which other models of the same past may see in another way.
    """
    started, table = perf_counter(), played.table
    reference, violations, cases, exact = table.reference, [], 0, True
    worst = np.zeros(3)
    for i in range(len(table.asked)):
        served = np.flatnonzero((played.agents[:, i] >= 0) & np.isfinite(played.stated[:, i, 0]))
        j, k = played.agents[served, i], played.places[served, i]
        true = np.stack([reference.latency[i, j, k], reference.cost[i, j], reference.quality[j]], axis=1)
        apart = np.abs(played.stated[served, i] - true)
        cases += len(served)
        if not len(served):
            continue
        worst = np.maximum(worst, apart.max(axis=0))
        exact = exact and bool((apart < 1e-6).all())
        bad = np.flatnonzero(apart[:, 2] > 2 * reference.doubt[j] + 1e-9)
        for at in _first_few(bad):
            p = int(served[at])
            what = f"expects a right answer with {played.stated[p, i, 2]:.3f}, where {true[at, 2]:.3f} were right"
            violations.append(_case(table, table.profiles()[p], p, i, what, float(apart[at, 2])))
    note = "" if exact else "off by {:.4f} s, {:.4f} credits of cost, {:.4f} of quality at most"
    found = PolicyFinding.over("predictions", cases, perf_counter() - started, violations, note)
    found = replace(found, figures=tuple(worst.tolist()) if note else ())
    return found if violations or exact or not cases else replace(found, status=Status.UNKNOWN)


def _apart(played: Played, p: int, moved: Decided, back: Ints) -> int:
    """Micro-units by which some bidder's utility differs beyond error, 0 where the two are tied in welfare."""
    agents, places, charges, stated = (getattr(moved, name)[back] for name in ("agents", "places", "charges", "stated"))
    table, reference = played.table, played.table.reference
    types = [table.types[t] for t in played.types[p]]
    decided = table.decided(tuple(played.types[p].tolist()))

    def worth(i: int, j: int, k: int) -> int:
        return 0 if j < 0 else round(reference.value(i, j, k, types[i]) * MICROS)

    one = [worth(i, int(decided.agents[i]), int(decided.places[i])) for i in range(len(types))]
    two = [worth(i, int(agents[i]), int(places[i])) for i in range(len(types))]
    error = int(played.error[range(len(types)), played.types[p], p].sum()) + len(types)
    for i in np.flatnonzero((agents >= 0) & np.isfinite(stated[:, 0])).tolist():
        said = valued([types[i]], stated[i, 2:], stated[i, :1], float(reference.waited[i])).item()
        error += abs(round(said * MICROS) - two[i]) + 1
    if _welfare(table, decided.agents, one, decided) == _welfare(table, agents, two, decided) and (
        decided.agents.tolist() != agents.tolist() or decided.places.tolist() != places.tolist()
    ):
        return 0
    worst = 0
    for bidder in dict.fromkeys(one_.bidder for one_ in table.asked):
        owned = [i for i, one_ in enumerate(table.asked) if one_.bidder == bidder]
        gap = sum(one[i] - int(decided.charges[i]) - two[i] + int(charges[i]) for i in owned)
        worst = max(worst, abs(gap) if abs(gap) > error else 0)
    return worst


def _welfare(table: Table, agents: Ints, worths: list[int], decided: Decided) -> int:
    costs = table.reference.cost + (0.0 if decided.fees is None else decided.fees)
    return sum(worths) - sum(round(float(costs[i, j]) * MICROS) for i, j in enumerate(agents.tolist()) if j >= 0)


def _case(table: Table, profile: Profile, p: int, i: int, what: str, apart: float) -> Case:
    text = f"{profile_text(table, profile)}\n  request {i}: {what}"
    size = (len(table.asked), sum(profile))
    return Case(max(round(apart * MICROS), 1), text, size, table.state.name)


def _first(table: Table) -> Profile:
    return (0,) * len(table.asked)


def _first_few(found: Ints) -> list[int]:
    return [int(at) for at in found[:3]]
