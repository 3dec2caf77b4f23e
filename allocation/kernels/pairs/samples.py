"""Samples of a market's requests: always the same ones, for the same market is to be allocated the same way."""

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

#: Requests that stand for all where a mean will do.
_PILOT = 64


def sample_rows(n: int, count: int) -> NDArray[np.intp]:
    """`count` of n rows, one at random in each of `count` equal strata."""
    stride = n // count
    rows = np.arange(count, dtype=np.intp)
    picked: NDArray[np.intp] = rows * stride + ((rows * 2654435761) >> 15) % stride
    return picked


def sample(weights: Integers, capacities: Integers, count: int) -> tuple[Integers, Integers]:
    """`count` of the requests, and capacities (M,) in proportion, their sum rounded up; all where they are no more."""
    n, _ = weights.shape
    if count >= n:
        return weights, capacities
    return weights.take(sample_rows(n, count), axis=0), np.diff(-(-np.cumsum(capacities) * count // n), prepend=0)


def pilot(weights: Integers) -> Integers:
    """The few requests that stand for all."""
    n, _ = weights.shape
    return weights.take(sample_rows(n, min(n, _PILOT)), axis=0)


def spread(weights: Integers) -> int:
    """How far the welfare of a request's best pair is above the mean of its positive ones, on average."""
    some = np.maximum(pilot(weights), 0)
    return int((some.max(axis=1) - some.sum(axis=1) / np.maximum(1, np.count_nonzero(some, axis=1))).mean())
