"""Fields of a workload: what each may be, said by name before anything is read."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.traces import RequestTrace


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


def weight(value: object, where: str) -> float:
    """A share of something, in any unit.

    Args:
        where: what it is called in an error.

    Raises:
        StudyError: it is no number above 0.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value) or value <= 0:
        raise StudyError(f"{where} = {value!r}; expected a number, more than 0")
    return float(value)


def said(value: object) -> str:
    """A field of a workload, as tables print it."""
    if isinstance(value, (AnswerTable, RequestTrace)):
        return value.title
    if isinstance(value, tuple):
        return "+".join(said(one) for one in value)
    if isinstance(value, str):
        return called(value)
    return written(value) if isinstance(value, float) else str(value)


def called(name: str) -> str:
    """A name or a file as tables print it: of an absolute path its last two parts, for results are passed on."""
    path = Path(name)
    return "/".join(path.parts[-2:]).removeprefix("//") if path.is_absolute() else name


def changed(given: object, *but: str) -> list[str]:
    """Fields that are not as by default, in words."""
    fields: Sequence[str] = [name for name in type(given).__dataclass_fields__ if name not in but]  # type: ignore[attr-defined]
    found = []
    for name in fields:
        value, usual = getattr(given, name), type(given).__dataclass_fields__[name].default  # type: ignore[attr-defined]
        if value != usual:
            found.append(f"{name.replace('_', ' ')} {said(value)}")
    return found
