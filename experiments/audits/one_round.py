"""One round: truth, rationality, deficit, efficiency, on the arrays of all profiles of a state.

A misreport's gain is scored at the reference. A policy that is truthful by its own predictions may let a misreport gain
at the reference no more than its predictions are wrong about the two outcomes that are compared: if v is what the
reference says of an outcome and w what the policy says, then v' - v = (w' - w) + (v' - w') - (v - w), where w' - w less
the charges is at most 0. So only a gain beyond |v' - w'| + |v - w| counts, at most twice the stated prediction error;
a micro-unit of rounding is added for each request.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from time import perf_counter

import numpy as np

from experiments.audits.finding import Case, PolicyFinding
from experiments.audits.play import Ints, Played
from experiments.audits.reference import MICROS
from experiments.audits.words import credits_of, profile_text
from runtime import Decided as Event

# Size, amount, the profiles of truth and of reports, the bidder.
_Violation = tuple[tuple[int, ...], int, int, int, str]


def truthful(played: Played) -> PolicyFinding:
    """No misreport of (worth, delay cost, deadline, stake) gains a bidder anything, whatever the others report."""
    started, state = perf_counter(), played.table.state
    cases = 0
    violations: list[_Violation] = []
    for bidder in dict.fromkeys(one.bidder for one in played.table.asked):
        owned = [i for i, one in enumerate(played.table.asked) if one.bidder == bidder]
        for t, own, order, worth, error in _by_truth(played, owned):
            gain = worth - worth[t]
            cases += gain.size - gain.shape[1]
            beyond = np.argwhere(gain > error + error[t])
            if not beyond.size:
                continue
            # The largest gain, and the one with the fewest and plainest changes.
            simple = min(beyond.tolist(), key=lambda at: (_changes(played, own[t], own[at[0]]), order[t, at[1]]))
            large = np.unravel_index(int(np.where(gain > error + error[t], gain, 0).argmax()), gain.shape)
            for at in (simple, large):
                truth, said = order[t, at[1]], order[at[0], at[1]]
                size = (len(played.table.asked), *_changes(played, own[t], own[at[0]]), int(played.types[truth].sum()))
                violations.append((size, int(gain[tuple(at)]), int(truth), int(said), bidder))
    kept = _smallest_and_largest(violations)
    return PolicyFinding.over(
        "truthful",
        cases,
        perf_counter() - started,
        [Case(gain, _gain_text(played, truth, said, bidder, gain), size, state.name)
         for size, gain, truth, said, bidder in kept],
    )  # fmt: skip


def rational(played: Played) -> PolicyFinding:
    """No bidder who reports the truth pays more than the service is worth at the reference."""
    started, state = perf_counter(), played.table.state
    cases = 0
    violations: list[_Violation] = []
    for bidder in dict.fromkeys(one.bidder for one in played.table.asked):
        owned = [i for i, one in enumerate(played.table.asked) if one.bidder == bidder]
        for t, _, order, worth, error in _by_truth(played, owned):
            cases += worth.shape[1]
            for r in np.flatnonzero(worth[t] < -error[t]).tolist():
                truth = int(order[t, r])
                size = (len(played.table.asked), int(played.types[truth].sum()))
                violations.append((size, -int(worth[t, r]), truth, truth, bidder))
    kept = _smallest_and_largest(violations)
    return PolicyFinding.over(
        "individually-rational",
        cases,
        perf_counter() - started,
        [Case(loss, f"{profile_text(played.table, _profile(played, truth))}\n  {bidder} loses {credits_of(loss)}",
              size, state.name) for size, loss, truth, _, bidder in kept],
    )  # fmt: skip


def solvent(played: Played) -> PolicyFinding:
    """Charges cover the reference's costs, but for what is left of the policy's `budget` for exploring."""
    started, table = perf_counter(), played.table
    budget = round(exploration_budget(played.table.policy) * MICROS)
    short, error = deficits(played)
    bad = np.flatnonzero(short > budget + error)
    cases = [
        Case(int(short[p]), f"{profile_text(table, _profile(played, p))}\n  costs exceed charges by "
             f"{credits_of(int(short[p]))}, the budget is {credits_of(budget)}",
             (len(table.asked), int(played.types[p].sum())), table.state.name)
        for p in _ends(bad, short)
    ]  # fmt: skip
    worst = max(int(short.max(initial=0)), 0)
    found = PolicyFinding.over("no-deficit", len(short), perf_counter() - started, cases)
    if worst == 0:
        return found
    note = "a round costs the auctioneer {:.6f} credits at most"
    return replace(found, note=note, figures=(worst / MICROS,))


def frugal(played: Played, rounds: int = 40) -> PolicyFinding:
    """Rounds that run a deficit, one after the other, cost no more in all than the budget for exploring."""
    started, table = perf_counter(), played.table
    short, error = deficits(played)
    dear = int((short - error).argmax())
    allowed = round(exploration_budget(table.policy) * MICROS)
    spent, asked = 0, 0
    while short[dear] - error[dear] > 0 and asked < rounds:
        decision = table.policy.decide(table.offers(_profile(played, dear)), table.fleet)
        for i, one in enumerate(table.offers(_profile(played, dear))):
            j = int(decision.agents[i])
            if j >= 0:
                charge = int(decision.charges[i])
                spent += round(float(table.reference.cost[i, j]) * MICROS) - charge
                predicted = decision.predicted[i] if decision.predicted else None
                note = decision.notes[i] if len(decision.notes) else None
                table.policy.notice(Event(table.world.now_s, one, j, charge, predicted, note))
        asked += 1
    over = spent - allowed - rounds * int(error[dear])
    text = (
        f"{profile_text(table, _profile(played, dear))}\n  {asked} such rounds cost {credits_of(spent)}, of a budget "
        f"of {credits_of(allowed)}"
    )
    cases = [Case(over, text, (len(table.asked),), table.state.name)] if over > 0 else []
    return PolicyFinding.over("within-budget", max(asked, 1), perf_counter() - started, cases)


def deficits(played: Played) -> tuple[Ints, Ints]:
    """(P,) micro-units by which costs at the reference exceed charges, and how far the stated costs are off."""
    short, error = -played.charges.sum(axis=1), np.zeros(len(played.types), np.int64)
    for i in range(len(played.table.asked)):
        j, served = np.maximum(played.agents[:, i], 0), played.agents[:, i] >= 0
        cost = np.where(served, played.table.reference.cost[i, j], 0.0)
        said = played.stated[:, i, 1]
        short = short + np.rint(cost * MICROS).astype(np.int64)
        apart = np.where(served & np.isfinite(said), np.abs(said - cost), 0.0)
        error = error + np.ceil(apart * MICROS - 1e-3).astype(np.int64) + 1
    return short, error


def efficient(played: Played) -> PolicyFinding:
    """Nobody is served whose value is below cost plus what it costs others at every agent.

    What it costs others is the larger of the fee that the policy states and the harm that the reference works out, of
    which a quarter is forgiven since arrivals come in steps; a standard error of the share of right answers, at the
    mean worth reported before, may be forgone to explore.
    """
    started, table = perf_counter(), played.table
    reference, violations = table.reference, []
    explored = reference.doubt * table.state.doubted
    served_in = 0
    for i in range(len(table.asked)):
        fees = table.decided(_profile(played, 0)).fees
        social = 0.75 * reference.harm[i] - explored
        if fees is not None:
            social = np.maximum(social, fees[i])
        value = reference.values(i, table.types)[:, :, 0] - reference.cost[i] - social
        best = np.where(np.array(reference.alive), value, -np.inf).max(axis=1)
        net = np.rint(best[played.types[:, i]] * MICROS).astype(np.int64)
        error = played.error[i, played.types[:, i], np.arange(len(net))]
        served = played.agents[:, i] >= 0
        served_in += int(served.sum())
        lost = np.where(served & (net < -error), -net, 0)
        for p in _ends(np.flatnonzero(lost > 0), lost):
            j = int(played.agents[p, i])
            truth = _profile(played, p)
            text = (
                f"{profile_text(table, truth)}\n  {table.asked[i].bidder} is served where it costs others "
                f"{social[j]:.4f} besides its cost: everywhere a loss of {credits_of(int(lost[p]))} or more"
            )
            violations.append(Case(int(lost[p]), text, (len(table.asked), sum(truth)), table.state.name))
    return PolicyFinding.over("socially-efficient", served_in, perf_counter() - started, violations)


def exploration_budget(policy: object) -> float:
    """Credits that a policy still allows itself for exploring: `budget` less `spent`, 0 where it states none."""
    return max(float(getattr(policy, "budget", 0.0)) - float(getattr(policy, "spent", 0.0)), 0.0)


def _by_truth(played: Played, owned: list[int]) -> Iterator[tuple[int, list[tuple[int, ...]], Ints, Ints, Ints]]:
    """For each true type of a bidder: its index, all own types, profile indices (own, rest), what each outcome is worth
    to that true type less charges (own, rest), and the error of that."""
    _, order = played.shaped(owned)
    own = list(product(range(len(played.table.types)), repeat=len(owned)))
    charges = played.charges[:, owned].sum(axis=1)[order]
    for t, types in enumerate(own):
        worth = np.sum([played.worth[i, types[k]][order] for k, i in enumerate(owned)], axis=0)
        error = np.sum([played.error[i, types[k]][order] for k, i in enumerate(owned)], axis=0)
        yield t, own, order, worth - charges, error


def _changes(played: Played, truth: tuple[int, ...], said: tuple[int, ...]) -> tuple[int, int]:
    types = played.table.types
    pairs = [(types[a], types[b]) for a, b in zip(truth, said, strict=True)]
    fields = ("worth", "delay_cost", "deadline", "stake")
    return sum(getattr(a, name) != getattr(b, name) for a, b in pairs for name in fields), sum(truth) + sum(said)


def _profile(played: Played, p: int) -> tuple[int, ...]:
    return tuple(played.types[p].tolist())


def _gain_text(played: Played, truth: int, said: int, bidder: str, gain: int) -> str:
    table, true, lie = played.table, _profile(played, truth), _profile(played, said)
    return (
        f"  truth:\n{profile_text(table, true)}\n  misreport:\n{profile_text(table, true, lie)}\n"
        f"  {bidder} gains {credits_of(gain)}"
    )


def _smallest_and_largest(violations: list[_Violation]) -> list[_Violation]:
    if not violations:
        return []
    return [min(violations, key=lambda one: (one[0], -one[1])), max(violations, key=lambda one: one[1])]


def _ends(bad: Ints, amount: Ints) -> list[int]:
    """The first and the worst of them."""
    return [] if not bad.size else [int(bad[0]), int(bad[amount[bad].argmax()])]
