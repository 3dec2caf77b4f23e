"""Checks of what a scope is given: integers, ticks, bounds."""

import operator
from collections.abc import Iterable

import numpy as np

from allocation import MAX_AMOUNT
from proofs.errors import AuditError

#: Longest list of ticks that a grid is built from.
MOST_TICKS = 2**22

#: Largest market, in pairs of a request and an agent, that a scope is built from.
MOST_PAIRS = 2**26


def integer(value: object, name: str) -> int:
    if isinstance(value, bool | np.bool_):
        raise AuditError(f"{name} holds {value!r}; expected integers")
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise AuditError(f"{name} holds {value!r}; expected integers: scale money to ticks first") from None


def integers(values: object, name: str) -> tuple[int, ...]:
    if not isinstance(values, Iterable):
        raise AuditError(f"{name} = {values!r}; expected several integers, e.g. range(4)")
    return tuple(integer(value, name) for value in values)


def count(number: int) -> str:
    """A whole number >= 0 for a message; Python refuses to spell the longest."""
    return f"{number:,}" if number < 10**30 else f"about 10^{(number.bit_length() - 1) * 30_103 // 100_000}"


def ticks_of(values: object, name: str, least: int | None = None) -> tuple[int, ...]:
    if isinstance(values, range) and values and (values[-1] - values[0]) // values.step >= MOST_TICKS:
        raise AuditError(f"{name} = {values}: more than {MOST_TICKS:,} ticks; use fewer, or Sample(...)")
    ticks = tuple(sorted(integers(values, name)))
    if not ticks:
        raise AuditError(f"{name} is empty; a grid needs at least one value, e.g. {name}=range(4)")
    if len(set(ticks)) < len(ticks):
        raise AuditError(f"{name} {list(ticks)} repeat; name each value once")
    if max(abs(ticks[0]), abs(ticks[-1])) > MAX_AMOUNT:
        raise AuditError(f"{name} reach {max(ticks, key=abs)}, beyond {MAX_AMOUNT} ticks; rescale the unit of money")
    if least is not None and ticks[0] < least:
        raise AuditError(f"{name} = {list(ticks)}; expected integers >= {least}")
    return ticks


def bounds_of(values: object, name: str, least: int) -> tuple[int, int]:
    bounds = integers(values, name)
    if len(bounds) != 2 or not least <= bounds[0] <= bounds[1] <= MAX_AMOUNT:
        raise AuditError(f"{name} = {values!r}; a sample draws from (low, high), both within [{least}, {MAX_AMOUNT}]")
    return bounds[0], bounds[1]


def at_least(least: int, value: object, name: str) -> int:
    number = integer(value, name)
    if number < least:
        raise AuditError(f"{name} = {number}; expected an integer >= {least}")
    return number
