"""Fields of a workload: what each may be, said by name before anything is read."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path

from experiments.errors import StudyError


def numbers(given: object, *names: str, or_none: Sequence[str] = ()) -> None:
    """Have fields be numbers above 0, or 0 where `or_none` names them.

    Raises:
        StudyError: one is not.
    """
    for name in names:
        value = getattr(given, name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
        if not number or value < 0 or (value == 0 and name not in or_none):
            least = "0 or more" if name in or_none else "more than 0"
            raise StudyError(f"{type(given).__name__}: {name} = {value!r}; expected a number, {least}")


def counts(given: object, *names: str, or_none: Sequence[str] = ()) -> None:
    """Have fields be whole numbers from 1 on, or 0 where `or_none` names them.

    Raises:
        StudyError: one is not.
    """
    for name in names:
        value, least = getattr(given, name), 0 if name in or_none else 1
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise StudyError(f"{type(given).__name__}: {name} = {value!r}; expected a whole number, {least} or more")


def named(given: object, name: str, kind: type, *, needed: bool = True) -> None:
    """Have a field be a name, a file (which becomes its name) or a `kind` itself; or None, unless it is needed.

    Raises:
        StudyError: it is not.
    """
    value = getattr(given, name)
    if isinstance(value, Path):
        object.__setattr__(given, name, str(value))
    elif not isinstance(value, (str, kind)) and (needed or value is not None):
        raise StudyError(f"{type(given).__name__}: {name} = {value!r:.60}; expected a name, a file or {kind.__name__}")


def files_of(given: object, name: str) -> str | tuple[str, ...]:
    """One name of a file, or several.

    Raises:
        StudyError: there is none.
    """
    value = getattr(given, name)
    if isinstance(value, (str, Path)):
        return str(value)
    found = tuple(map(str, value)) if isinstance(value, (tuple, list)) else ()
    if not found:
        raise StudyError(f"{type(given).__name__}: {name} = {value!r}; expected a name or a file, or several")
    return found


def written(number: float) -> str:
    """Short where that says it all."""
    return f"{number:g}" if float(f"{number:g}") == number else repr(number)
