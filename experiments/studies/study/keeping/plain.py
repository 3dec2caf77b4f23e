"""What a run came to as plain data for JSON, and back by its type: only what the type says is believed.

A table that is keyed by anything but texts becomes a list of pairs, since JSON has no other.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np


def as_plain(given: Any) -> Any:
    """Dataclasses, mappings, sequences and numbers as what `json.dumps` takes."""
    if isinstance(given, np.generic):
        return given.item()
    if is_dataclass(given) and not isinstance(given, type):
        return {one.name: as_plain(getattr(given, one.name)) for one in fields(given)}
    if isinstance(given, Mapping):
        if all(isinstance(key, str) for key in given):
            return {key: as_plain(value) for key, value in given.items()}
        return [[as_plain(key), as_plain(value)] for key, value in given.items()]
    if isinstance(given, (tuple, list)):
        return [as_plain(one) for one in given]
    return given


def of_type(kind: Any, given: Any) -> Any:
    """What `as_plain` made of something of this type, as it was.

    Raises:
        TypeError, ValueError, KeyError: it is none; or the type is of another kind than those named above.

    >>> of_type(dict[tuple[int, str], float], [[[1, "a"], 2]])
    {(1, 'a'): 2.0}
    """
    origin, within = get_origin(kind) or kind, get_args(kind)
    if kind is float:
        return float(_of(given, int, float))
    if kind in (int, str, bool):
        return _of(given, kind)
    if kind is None or kind is type(None):
        return _of(given, type(None))
    if origin in (Union, types.UnionType):
        return _of_some(within, given)
    if origin is tuple and within[1:] != (...,):
        return tuple(of_type(one, part) for one, part in zip(within, _of(given, list), strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        rows = given.items() if isinstance(given, dict) else _of(given, list)
        return {of_type(within[0], key): of_type(within[1], value) for key, value in rows}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        found = [of_type(within[0], one) for one in _of(given, list)]
        return found if origin is list else tuple(found)
    if is_dataclass(origin):
        return _dataclass(origin, _of(given, dict))
    raise TypeError(f"{kind} cannot be read from plain data")


def _dataclass(kind: Any, given: dict[str, Any]) -> Any:
    hints, names = get_type_hints(kind), [one.name for one in fields(kind)]
    if set(given) != set(names):
        raise KeyError(f"{kind.__name__} has {', '.join(names)}; found {', '.join(given)}")
    return kind(**{name: of_type(hints[name], given[name]) for name in names})


def _of_some(kinds: Sequence[Any], given: Any) -> Any:
    """By the first of several types that it is of."""
    for kind in kinds:
        try:
            return of_type(kind, given)
        except (TypeError, ValueError, KeyError):
            continue
    raise TypeError(f"expected one of {kinds}, found {given!r:.60}")


def _of(given: Any, *kinds: type) -> Any:
    if not isinstance(given, kinds) or (isinstance(given, bool) and bool not in kinds):
        raise TypeError(f"expected {' or '.join(one.__name__ for one in kinds)}, found {given!r:.60}")
    return given
