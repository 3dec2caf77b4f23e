"""Money is int64 micro-units; this is the one door through which floats become money.

One credit is `MICROS` micro-units. Amounts are bounded by `MAX_AMOUNT` so that no sum or path length formed
by an allocator can leave int64: optimality, incentive compatibility and budget balance are then exact statements.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from allocation.errors import MarketError

MICROS = 1_000_000
MAX_AMOUNT = 2**40
#: Credits that are within `MAX_AMOUNT` however they are rounded.
_SURELY = (MAX_AMOUNT - 1) / MICROS

Money = NDArray[np.int64]


def to_micros(credits: ArrayLike, *, name: str = "amount") -> Money:
    """Quantise credits (floats) to integer micro-units, rounding half to even.

    Args:
        credits: any shape, in credits.
        name: what the amounts are, for the error message.

    Raises:
        MarketError: an entry is NaN, infinite or beyond `MAX_AMOUNT` micro-units; the message names its index.
    """
    if type(credits) is float and abs(credits) <= _SURELY:
        # One amount, as each served request brings some.
        return np.array(round(credits * MICROS), np.int64)
    raw = as_array(credits, name)
    if raw.size and raw.dtype.kind not in "iuf":
        raise MarketError(f"{name} holds {_first(raw)!r}; expected credits, as numbers")
    amounts = raw.astype(np.float64)
    if amounts.size and np.maximum.reduce(abs(amounts), axis=None) <= _SURELY:
        # Anything else, NaN among it, is looked at entry by entry.
        return np.rint(amounts * MICROS).astype(np.int64)
    bad = ~np.isfinite(amounts)
    if bad.any():
        raise MarketError(f"{name}{_index(bad)} is {amounts[bad][0]}; money must be a finite number of credits")
    micros = np.rint(amounts * MICROS)
    bad = np.abs(micros) > MAX_AMOUNT
    if bad.any():
        raise MarketError(
            f"{name}{_index(bad)} = {amounts[bad][0]} credits is beyond {MAX_AMOUNT / MICROS:.0f}; "
            "rescale the unit of money"
        )
    return micros.astype(np.int64)


def as_money(amounts: ArrayLike, *, name: str, ndim: int) -> Money:
    """A read-only int64 copy of amounts that are already micro-units.

    Raises:
        MarketError: floats, booleans or objects are given, the number of dimensions is not `ndim`, or an entry
            exceeds `MAX_AMOUNT`.
    """
    raw = as_array(amounts, name)
    if raw.ndim != ndim:
        raise MarketError(f"{name} has {raw.ndim} dimensions (shape {raw.shape}), expected {ndim}")
    if raw.size == 0:
        return _frozen(raw.astype(np.int64, order="C"))
    if raw.dtype.kind == "f":
        bad = ~np.isfinite(raw)
        if bad.any():
            raise MarketError(f"{name}{_index(bad)} is {raw[bad][0]}; money must be finite")
        where = (0,) * ndim
        raise MarketError(
            f"{name}{list(where)} = {raw[where]} is a float; money is int64 micro-units: "
            f"pass to_micros({name}) or integers"
        )
    if raw.dtype.kind not in "iu":
        odd = next((each for each in raw.flat if type(each) is not int or abs(each) > MAX_AMOUNT), raw.flat[0])
        raise MarketError(
            f"{name} holds {_plain(odd)!r}; money is int64 micro-units: pass integers up to {MAX_AMOUNT}, or rescale"
        )
    if np.maximum.reduce(raw, axis=None) > MAX_AMOUNT or np.minimum.reduce(raw, axis=None) < -MAX_AMOUNT:
        bad = (raw > MAX_AMOUNT) | (raw < -MAX_AMOUNT)
        raise MarketError(
            f"{name}{_index(bad)} = {raw[bad][0]} exceeds {MAX_AMOUNT} micro-units; rescale the unit of money"
        )
    return _frozen(raw.astype(np.int64, order="C"))


def as_array(raw: ArrayLike, name: str) -> NDArray[Any]:
    """The numbers as an array, if nothing is lost on the way.

    Raises:
        MarketError: rows of different lengths, a masked array (its mask would be dropped), or booleans among numbers.
    """
    if isinstance(raw, np.ma.MaskedArray):
        raise MarketError(f"{name} is a masked array, whose mask would be lost; say what is forbidden by feasible=")
    if isinstance(raw, np.ndarray):
        return raw
    try:
        array = np.asarray(raw)
    except ValueError as error:
        raise MarketError(f"{name} is ragged: its rows differ in length ({error})") from None
    if array.dtype.kind in "iuf" and (odd := _boolean(raw)) is not None:
        raise MarketError(f"{name} holds {odd!r} among numbers; write 1 or 0 if that is what is meant")
    return array


def _boolean(raw: object) -> object:
    """The first boolean in nested lists of numbers, which numpy would take for a number; or None."""
    if isinstance(raw, bool | np.bool_):
        return raw
    if isinstance(raw, list | tuple):
        return next((odd for each in raw if (odd := _boolean(each)) is not None), None)
    return None


def _first(array: NDArray[Any]) -> object:
    return _plain(array.flat[0])


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _index(mask: NDArray[np.bool_]) -> str:
    return str([int(k) for k in np.argwhere(mask)[0]]) if mask.ndim else ""


def _frozen(array: Money) -> Money:
    array.setflags(write=False)
    return array
