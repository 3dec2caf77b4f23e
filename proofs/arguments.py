"""What a caller may have written by mistake, looked at once at the door: checks name the value and what goes there."""

from collections.abc import Iterable
from reprlib import repr as shown
from typing import TypeVar

import numpy as np

from allocation import Market
from allocation.allocator import as_allocator
from proofs.errors import AuditError

Kind = TypeVar("Kind")


def of_kind(given: object, kind: type[Kind], name: str, expected: str) -> Kind:
    """The argument, if it is of this class.

    Raises:
        AuditError: it is not.
    """
    if isinstance(given, kind):
        return given
    raise AuditError(f"{name} = {shown(given)}; expected {expected}")


def require_method(given: object, method: str, name: str, expected: str) -> None:
    """Raise `AuditError` unless the argument is an object that has this method."""
    if isinstance(given, type) or not callable(getattr(given, method, None)):
        raise AuditError(f"{name} = {shown(given)} has no {method}(...); expected {expected}")


def require_allocator(given: object) -> None:
    """Raise `AuditError` unless the argument is an allocator."""
    try:
        as_allocator(given)
    except ValueError as error:
        raise AuditError(f"allocator = {error}") from None


def require_market(given: object) -> Market:
    """The market, as it is; raises `AuditError` for anything else."""
    return of_kind(given, Market, "the market", "Market(values, costs, capacities)")


def require_progress(given: object) -> None:
    """Raise `AuditError` unless the argument is None, or can be called."""
    if given is not None and not callable(given):
        raise AuditError(f"progress = {shown(given)}; expected a function of (done, total), or None")


def require_flag(given: object, name: str) -> None:
    """Raise `AuditError` unless the argument is True or False."""
    if not isinstance(given, bool | np.bool_):
        raise AuditError(f"{name} = {shown(given)}; expected True or False")


def several(given: Iterable[Kind], name: str, expected: str) -> list[Kind]:
    """The members of a list or the like, the keys of a mapping; a string is none."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise AuditError(f"{name} = {shown(given)}; expected {expected}, in a list")
    return list(given)
