"""What bidders choose besides a report, and no policy here claims to be proof against: what does it buy?

Asking in two halves, under a second name, or for another length. The utility of any reports in the new way is compared
with that of the truth in the plain way, at the reference, beyond the error of the predictions.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from time import perf_counter

import numpy as np

from experiments.audits.finding import Case, PolicyFinding
from experiments.audits.play import Ints, Played, Table
from experiments.audits.reference import MICROS, valued
from experiments.audits.state import State
from experiments.audits.words import credits_of, outcome
from experiments.audits.world import ANSWER, Asked
from mechanisms import Preferences
from runtime import Policy

#: What each of the requests in the new way is truly worth, by the true type of those in the plain way.
Truly = Sequence[tuple[tuple[int, ...], tuple[Preferences, ...]]]


def false_names(policy: Policy, state: State) -> PolicyFinding:
    """The first bidder with two requests asks for one of them under another name."""
    owner = next((bidder for bidder in state.bidders if len(state.of(bidder)) > 1), None)
    if owner is None:
        return PolicyFinding.over("false-names", 0, 0.0, [], claimed=False)
    owned = list(state.of(owner))
    asked = list(state.asked)
    asked[owned[-1]] = replace(asked[owned[-1]], bidder=f"{owner}, as somebody else")
    truly = [
        (pair, tuple(state.types[t] for t in pair)) for pair in product(range(len(state.types)), repeat=len(owned))
    ]
    return _bought("false-names", policy, state, asked, owned, owned, truly)


def splitting(policy: Policy, state: State) -> PolicyFinding:
    """The first request is asked in two halves, each of half the prompt and the answer, worth and delay cost."""
    whole = state.asked[0]
    middle = len(whole.tokens) // 2
    halves = [
        replace(whole, tokens=part, max_tokens=ANSWER // 2) for part in (whole.tokens[:middle], whole.tokens[middle:])
    ]
    truly = [
        ((t,), (replace(one, worth=one.worth / 2, delay_cost=one.delay_cost / 2, stake=one.stake / 2),) * 2)
        for t, one in enumerate(state.types)
    ]
    return _bought("splitting", policy, state, [*halves, *state.asked[1:]], [0], [0, 1], truly)


def lengths(policy: Policy, state: State) -> PolicyFinding:
    """The first bidder asks for at most half the answer, which is worth half as much, or for far more than it takes."""
    found = None
    for most in (ANSWER // 2, ANSWER, 100 * ANSWER):
        share = min(most / ANSWER, 1.0)
        truly = [((t,), (replace(one, worth=one.worth * share),)) for t, one in enumerate(state.types)]
        asked = [replace(state.asked[0], max_tokens=most), *state.asked[1:]]
        one = _bought("max-tokens", policy, state, asked, [0], [0], truly)
        found = one if found is None else found.and_(one)
    assert found is not None
    return found


def _bought(
    name: str, policy: Policy, state: State, asked: Sequence[Asked], plain: list[int], new: list[int], truly: Truly
) -> PolicyFinding:
    started = perf_counter()
    base, other = Table(policy, state).arrays(), Table(policy, state, asked).arrays()
    _, before = base.shaped(plain)
    _, after = other.shaped(new)
    own = list(product(range(len(state.types)), repeat=len(plain)))
    cases, violations = 0, []
    for types, worths in truly:
        t = own.index(types)
        honest = -base.charges[:, plain].sum(axis=1)[before[t]]
        error = np.zeros_like(honest)
        for k, i in enumerate(plain):
            honest = honest + base.worth[i, types[k]][before[t]]
            error = error + base.error[i, types[k]][before[t]]
        got, off = -other.charges[:, new].sum(axis=1)[after], np.zeros(after.shape, np.int64)
        for k, i in enumerate(new):
            worth, apart = _worth(other, i, worths[k])
            got, off = got + worth[after], off + apart[after]
        gain = got - honest
        cases += gain.size
        beyond = np.where(gain > error + off, gain, 0)
        if beyond.any():
            at = np.unravel_index(int(beyond.argmax()), gain.shape)
            pair = int(before[t, at[1]]), int(after[tuple(at)])
            violations.append(
                Case(int(gain[at]), _text(base, other, pair, new, worths, int(gain[at])), (len(asked), sum(types)),
                     state.name)
            )  # fmt: skip
    return PolicyFinding.over(name, cases, perf_counter() - started, violations, claimed=False)


def _worth(played: Played, i: int, true: Preferences) -> tuple[Ints, Ints]:
    """(P,) micro-units that each outcome is worth to a type off the grid, and the error of it."""
    reference, served = played.table.reference, played.agents[:, i] >= 0
    own = reference.values(i, [true])[0][np.maximum(played.agents[:, i], 0), played.places[:, i]]
    said = valued([true], played.stated[:, i, 2], played.stated[:, i, 0], float(reference.waited[i]))[0]
    apart = np.where(served & np.isfinite(said), np.abs(said - own), 0.0)
    worth = np.rint(np.where(served, own, 0.0) * MICROS).astype(np.int64)
    return worth, np.ceil(apart * MICROS - 1e-3).astype(np.int64) + 1


def _text(
    base: Played, other: Played, pair: tuple[int, int], new: list[int], worths: Sequence[Preferences], gain: int
) -> str:
    lines = []
    for title, played, p in (("plainly, in truth", base, pair[0]), ("instead", other, pair[1])):
        lines.append(f"  {title}:")
        decided = played.table.decided(tuple(played.types[p].tolist()))
        for i, one in enumerate(played.table.asked):
            true = played.table.types[played.types[p, i]]
            if played is other and i in new:
                true = worths[new.index(i)]
            lines.append(
                f"    {one.bidder} ({len(one.tokens)} tokens, at most {one.max_tokens} in answer): "
                f"{outcome(played.table, decided, i, true)}"
            )
    return "\n".join([*lines, f"  {base.table.asked[new[0]].bidder} gains {credits_of(gain)}"])
