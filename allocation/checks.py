"""Checks of the public part of a market: whole numbers, capacities, bidders, forbidden pairs; amounts are `money`'s."""

from reprlib import repr as shown

import numpy as np
from numpy.typing import ArrayLike, NDArray

from allocation.errors import MarketError
from allocation.money import as_array


def integer_of(raw: object, name: str, least: int, most: int | None = None) -> int:
    """A whole number between two ends, both included.

    Raises:
        MarketError: it is none, or lies outside.
    """
    if (
        isinstance(raw, int | np.integer)
        and not isinstance(raw, bool)
        and least <= raw <= (raw if most is None else most)
    ):
        return int(raw)
    ends = f">= {least}" if most is None else f"from {least} to {most}"
    raise MarketError(f"{name} = {shown(raw)}; expected an integer {ends}")


def rows_of(raw: ArrayLike, n: int, name: str) -> NDArray[np.intp]:
    """(K,) indices of requests, each from 0 to n - 1.

    Raises:
        MarketError: naming what is wrong.
    """
    array = as_array(raw, name)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise MarketError(f"{name} = {shown(raw)}; expected a row of indices of requests")
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < n:
        raise MarketError(f"{name} reach from {array.min()} to {array.max()}; requests are 0 to {n - 1}")
    return array.astype(np.intp)


def frozen(array: NDArray[np.signedinteger]) -> NDArray[np.int64]:
    """A read-only copy in int64."""
    array = array.astype(np.int64)
    array.setflags(write=False)
    return array


def integers_of(raw: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.int64]:
    """Whole numbers of this shape.

    Raises:
        MarketError: naming what is wrong, and where.
    """
    array = as_array(raw, name)
    if array.size and array.dtype.kind not in "iu":
        raise MarketError(f"{name} holds {array.ravel().tolist()[0]!r}; expected integers")
    if array.shape != shape:
        raise MarketError(f"{name} has shape {array.shape}, expected {shape}")
    return frozen(array)


def capacities_of(raw: ArrayLike, m: int) -> NDArray[np.int64]:
    """(M,) capacities, >= 0.

    Raises:
        MarketError: naming what is wrong, and where.
    """
    array = integers_of(raw, (m,), "capacities")
    if (array < 0).any():
        column = int(np.flatnonzero(array < 0)[0])
        raise MarketError(f"capacities[{column}] = {array[column]} is negative; an agent without room has capacity 0")
    return array


def bidders_of(raw: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """(N,) whose request each is; each its own bidder's where nothing is said.

    Raises:
        MarketError: naming what is wrong, and where.
    """
    return integers_of(np.arange(n) if raw is None else raw, (n,), "bidders")


def feasible_of(raw: ArrayLike | None, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """(N, M) which pairs may be matched, or None for all.

    Raises:
        MarketError: naming what is wrong, and where.
    """
    if raw is None:
        return None
    array = as_array(raw, "feasible")
    if array.shape != shape:
        raise MarketError(f"feasible has shape {array.shape}, expected {shape} like values")
    if array.dtype.kind != "b":
        raise MarketError(f"feasible holds {array.ravel().tolist()[:1]}, {array.dtype}; expected booleans")
    array = array.copy()
    array.setflags(write=False)
    return array
