"""Kernels of `implementable`: option graphs, their distances and cycles, for many reports of the others at once.

Shapes: Q reports of the others, T types of the bidder, O options (bundles of agents that some report brings them).
"""

import numpy as np
from numpy.typing import NDArray

from allocation.money import Money

#: Length of an edge that no type imposes; sums of two of them stay within int64.
NO_EDGE = 2**61

#: Entries of the largest array that is built at a time.
_ENTRIES = 2**22


def option_lengths(options: NDArray[np.intp], values: Money) -> Money:
    """(Q, O, O) length of each edge a -> b: the least that b is worth more than a to a type who gets b.

    A type t with option b does not want a exactly if price(b) - price(a) <= values(t, b) - values(t, a).

    Args:
        options: (Q, T) what type t gets when the others report q.
        values: (T, O) what each option is worth to each type.
    """
    count, size = options.shape[0], values.shape[1]
    lengths = np.full((count, size, size), NO_EDGE, np.int64)
    step = max(1, _ENTRIES // values.size)
    for start in range(0, count, step):
        chosen = options[start : start + step]
        for option in range(size):
            margins = values[:, option, None] - values
            gets = (chosen == option)[:, :, None]
            lengths[start : start + step, :, option] = np.where(gets, margins, NO_EDGE).min(axis=1)
    return lengths


def distances(lengths: Money) -> Money:
    """(Q, O, O) shortest paths (Floyd 1962; Warshall 1962); a diagonal below 0 tells a cycle of negative length."""
    found = lengths.copy()
    nodes = np.arange(found.shape[1])
    found[:, nodes, nodes] = np.minimum(found[:, nodes, nodes], 0)
    for node in nodes:
        first, second = found[:, :, node, None], found[:, None, node, :]
        through = np.where((first < NO_EDGE) & (second < NO_EDGE), first + second, NO_EDGE)
        # Around a negative cycle lengths double with every node; the floor keeps them within int64.
        found = np.maximum(np.minimum(found, through), -NO_EDGE)
    return found


def price_bounds(options: NDArray[np.intp], values: Money, paths: Money) -> tuple[Money, Money]:
    """(Q, O) lowest and highest individually rational supporting prices; 0 for options that nobody gets at q.

    Supporting prices are the potentials of the option graph, which form a lattice (Rochet 1987; Heydenreich, Müller,
    Uetz and Vohra 2009). The highest ones: shortest paths from "stay away", whose edge to b is the least that b is
    worth to a type who gets it. The lowest ones: no option is paid for beyond what individual rationality forces.
    """
    reached = np.stack([(options == option).any(axis=1) for option in range(values.shape[1])], axis=1)
    entry = np.full(reached.shape, NO_EDGE, np.int64)
    for option in range(values.shape[1]):
        entry[:, option] = np.where(options == option, values[:, option], NO_EDGE).min(axis=1)
    known = reached[:, :, None] & reached[:, None, :]
    highest = np.where(known, entry[:, :, None] + np.where(known, paths, 0), NO_EDGE).min(axis=1)
    floor = np.minimum(highest, 0)
    # price(a) <= price(b) + path(b, a) for every a, so a floor under a holds b up.
    lowest = np.where(known, floor[:, None, :] - np.where(known, paths, 0), -NO_EDGE).max(axis=2)
    return np.where(reached, lowest, 0), np.where(reached, highest, 0)


def shortest_cycle(lengths: Money) -> tuple[int, ...]:
    """Nodes, in order of the edges, of a negative cycle of one (O, O) graph with as few edges as there can be.

    Among the cycles of that many edges one of least length. Such a walk visits no node twice, or a shorter one of its
    two parts would be negative. Empty where no cycle is negative.
    """
    size = lengths.shape[0]
    walks = lengths.copy()
    before: list[NDArray[np.intp]] = []
    for _ in range(size):
        best = int(walks.diagonal().argmin())
        if walks[best, best] < 0:
            return _traced(best, before)
        first, second = walks[:, :, None], lengths[None, :, :]
        longer = np.where((first < NO_EDGE) & (second < NO_EDGE), first + second, NO_EDGE)
        before.append(longer.argmin(axis=1))
        walks = longer.min(axis=1)
    return ()


def _traced(end: int, before: list[NDArray[np.intp]]) -> tuple[int, ...]:
    nodes = [end]
    for step in reversed(before):
        nodes.append(int(step[end, nodes[-1]]))
    return tuple(reversed(nodes))
