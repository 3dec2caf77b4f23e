"""Steps towards a simpler market, and what simpler means there; what `Counterexample` shrinks by."""

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np

from allocation import FORBIDDEN, Market, MarketError
from allocation.money import Money
from proofs.misreports.misreport import Deviation

#: Up to this many numbers, two are lowered at a time as well: enough for 2 x 2 markets with a misreport.
_PAIRED = 16

Case = tuple[Market, Deviation | None]


def simplicity(truth: Market, misreport: Deviation | None) -> tuple[int, ...]:
    """What makes one market simpler than another, most important first; smaller is simpler.

    Fewer bidders, then requests, then agents, then capacity, then forbidden pairs, then false reports; then smaller
    costs; then a smaller largest value or reported number; then a smaller sum of them.
    """
    values = np.abs(truth.values)
    said = np.abs(np.array(() if misreport is None else misreport.numbers, np.int64))
    return (
        len(truth.players),
        *truth.shape,
        int(truth.capacities.sum()),
        int((truth.weights == FORBIDDEN).sum()),
        0 if misreport is None else misreport.size,
        int(np.abs(truth.costs).sum()),
        int(max(values.max(initial=0), said.max(initial=0))),
        int(values.sum() + said.sum()),
    )


def simpler(truth: Market, misreport: Deviation | None) -> Iterator[Case]:
    """Candidates, the boldest first; not all of them are simpler, and most are no counterexamples."""
    yield from _fewer_rows(truth, misreport)
    yield from _fewer_agents(truth, misreport)
    yield from _less_capacity(truth, misreport)
    yield from _fewer_reports(truth, misreport)
    yield from _fewer_rows_and_less_capacity(truth, misreport)
    yield from _smaller_numbers(truth, misreport)


def _fewer_rows(truth: Market, misreport: Deviation | None) -> Iterator[Case]:
    everything = np.arange(truth.shape[0])
    groups = [truth.requests_of(bidder) for bidder in truth.players] + [everything[i : i + 1] for i in everything]
    for group in groups:
        kept = np.setdiff1d(everything, group)
        if kept.size == 0:
            continue
        rest = truth.requests(kept)
        labels = {bidder: label for label, bidder in enumerate(rest.players)}
        shorter = None if misreport is None else misreport.restricted(truth, kept, labels)
        if misreport is None or shorter is not None:
            owners = [labels[bidder] for bidder in rest.bidders.tolist()]
            yield Market(rest.values, rest.costs, rest.capacities, rest.feasible, owners), shorter


def _fewer_rows_and_less_capacity(truth: Market, misreport: Deviation | None) -> Iterator[Case]:
    """Both at once: a bidder who merely fills capacity can only leave together with it."""
    for shorter, rest in _fewer_rows(truth, misreport):
        yield from _less_capacity(shorter, rest)


def _fewer_agents(truth: Market, misreport: Deviation | None) -> Iterator[Case]:
    if truth.shape[1] == 1:
        return
    for agent in range(truth.shape[1]):
        narrower = None if misreport is None else misreport.without_agent(agent)
        if misreport is not None and narrower is None:
            continue
        yield truth.drop_agent(agent), narrower


def _less_capacity(truth: Market, misreport: Deviation | None) -> Iterator[Case]:
    if truth.feasible is not None:
        yield Market(truth.values, truth.costs, truth.capacities, None, truth.bidders), misreport
    for agent, capacity in enumerate(truth.capacities.tolist()):
        for smaller in sorted({0, 1, capacity // 2, capacity - 1} & set(range(capacity))):
            capacities = truth.capacities.copy()
            capacities[agent] = smaller
            yield truth.replace(capacities=capacities), misreport


def _fewer_reports(truth: Market, misreport: Deviation | None) -> Iterator[Case]:
    for part in () if misreport is None else misreport.parts():
        yield truth, part


def _smaller_numbers(truth: Market, misreport: Deviation | None) -> Iterator[Case]:
    """All numbers at once first, then one at a time, then, in small markets, two at a time."""
    numbers, rebuild = _numbers(truth, misreport)
    _, ranks = np.unique(np.append(numbers, 0), return_inverse=True)
    for smaller in (ranks[:-1] - ranks[-1], _toward_zero(numbers, 2), numbers - np.sign(numbers)):
        yield from rebuild(smaller)
    for index in np.flatnonzero(numbers).tolist():
        number = int(numbers[index])
        for value in dict.fromkeys((0, int(_toward_zero(numbers[index], 2)), number - (1 if number > 0 else -1))):
            smaller = numbers.copy()
            smaller[index] = value
            yield from rebuild(smaller)
    if numbers.size <= _PAIRED:
        for pair in combinations(np.flatnonzero(numbers).tolist(), 2):
            smaller = numbers.copy()
            smaller[list(pair)] -= np.sign(smaller[list(pair)])
            yield from rebuild(smaller)


def _numbers(truth: Market, misreport: Deviation | None) -> tuple[Money, Callable[[Money], Iterator[Case]]]:
    """Costs, values and reported values in one row, and the way back from such a row to a market."""
    size = truth.values.size
    said = np.array(() if misreport is None else misreport.numbers, np.int64)

    def rebuild(row: Money) -> Iterator[Case]:
        costs, values = row[:size].reshape(truth.shape), row[size : 2 * size].reshape(truth.shape)
        try:
            smaller = truth.replace(values=values, costs=costs)
        except MarketError:
            return
        yield smaller, None if misreport is None else misreport.renumbered(row[2 * size :].tolist())

    return np.concatenate([truth.costs.ravel(), truth.values.ravel(), said]), rebuild


def _toward_zero(numbers: Money, divisor: int) -> Money:
    quotient: Money = np.sign(numbers) * (np.abs(numbers) // divisor)
    return quotient
