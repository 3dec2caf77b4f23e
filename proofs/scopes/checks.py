"""Checks of what a scope is given: integers, micro-units, bounds."""

import operator
from collections.abc import Iterable

import numpy as np

from allocation import MAX_AMOUNT
from proofs.errors import AuditError

#: Longest list of micro-units that a grid is built from.
MOST_AMOUNTS = 2**22

#: Largest market, in pairs of a request and an agent, that a scope is built from.
MOST_PAIRS = 2**26


def integer(value: object, name: str) -> int:
    """The value as an integer; a boolean is none."""
    if isinstance(value, bool | np.bool_):
        raise AuditError(f"{name} holds {value!r}; expected integers")
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise AuditError(f"{name} holds {value!r}; expected integers: scale money to micro-units first") from None


def integers(values: object, name: str) -> tuple[int, ...]:
    """Several integers."""
    if not isinstance(values, Iterable):
        raise AuditError(f"{name} = {values!r}; expected several integers, e.g. range(4)")
    return tuple(integer(value, name) for value in values)


def count(number: int) -> str:
    """A whole number >= 0 for a message; Python refuses to spell the longest."""
    return f"{number:,}" if number < 10**30 else f"about 10^{(number.bit_length() - 1) * 30_103 // 100_000}"


def amounts_of(values: object, name: str, least: int | None = None) -> tuple[int, ...]:
    """Sorted amounts of a grid, each once, none below `least`."""
    if isinstance(values, range) and values and (values[-1] - values[0]) // values.step >= MOST_AMOUNTS:
        raise AuditError(f"{name} = {values}: more than {MOST_AMOUNTS:,} micro-units; use fewer, or Sample(...)")
    amounts = tuple(sorted(integers(values, name)))
    if not amounts:
        raise AuditError(f"{name} is empty; a grid needs at least one value, e.g. {name}=range(4)")
    if len(set(amounts)) < len(amounts):
        raise AuditError(f"{name} {list(amounts)} repeat; name each value once")
    if max(abs(amounts[0]), abs(amounts[-1])) > MAX_AMOUNT:
        raise AuditError(
            f"{name} reach {max(amounts, key=abs)}, beyond {MAX_AMOUNT} micro-units; rescale the unit of money"
        )
    if least is not None and amounts[0] < least:
        raise AuditError(f"{name} = {list(amounts)}; expected integers >= {least}")
    return amounts


def bounds_of(values: object, name: str, least: int) -> tuple[int, int]:
    """(low, high) that a sample draws from."""
    bounds = integers(values, name)
    if len(bounds) != 2 or not least <= bounds[0] <= bounds[1] <= MAX_AMOUNT:
        raise AuditError(f"{name} = {values!r}; a sample draws from (low, high), both within [{least}, {MAX_AMOUNT}]")
    return bounds[0], bounds[1]


def at_least(least: int, value: object, name: str) -> int:
    """The value as an integer that is no less than `least`."""
    number = integer(value, name)
    if number < least:
        raise AuditError(f"{name} = {number}; expected an integer >= {least}")
    return number
