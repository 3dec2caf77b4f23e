"""What decides a run, as text: other code or other data reads differently, and every process writes the same.

A function or a class of a file is that file's content and whatever it closes over; one of a notebook or a script is its
compiled code with the names that it uses there. An object is its class and what it holds.
"""

import functools
import hashlib
import re
import sys
import types
from collections.abc import Set
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np

_NAMED = re.compile(r"[\w./\\-]+:\w+")
#: Of a class, what says nothing about what it does.
_BESIDE = ("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__annotations__",
           "__static_attributes__", "__abstractmethods__", "_abc_impl", "__dataclass_fields__")  # fmt: skip


def described(given: object) -> str:
    """What something is, so that other code or other data reads differently; the same in every process."""
    return _described(given, ())


def source_named(name: str) -> str:
    """The content of a file of yours that `mine:Policy` names, once it is loaded; nothing for any other string."""
    if not _NAMED.fullmatch(name):
        return ""
    stem = Path(name.rpartition(":")[0]).name.removesuffix(".py")
    file = getattr(sys.modules.get(stem), "__file__", None)
    return "" if file is None else _hashed(Path(file).read_bytes())


def _described(given: object, within: tuple[int, ...]) -> str:
    if given is None or isinstance(given, (bool, int, float, complex, range)):
        return repr(given)
    if isinstance(given, str):
        return f"{given!r}{source_named(given)}"
    if isinstance(given, PurePath):
        # It remembers what it was asked, and would read differently afterwards.
        return f"{type(given).__name__}({str(given)!r})"
    if isinstance(given, bytes):
        return _hashed(given)
    if id(given) in within:
        return "(itself)"
    within = (*within, id(given))
    if isinstance(given, Enum):
        return f"{type(given).__qualname__}.{given.name}"
    if isinstance(given, dict):
        return "{" + ",".join(f"{_described(k, within)}:{_described(v, within)}" for k, v in given.items()) + "}"
    if isinstance(given, (tuple, list)):
        return "(" + ",".join(_described(one, within) for one in given) + ")"
    if isinstance(given, Set):
        return "{" + ",".join(sorted(_described(one, within) for one in given)) + "}"
    if isinstance(given, (np.ndarray, np.generic)):
        return _array(given, within)
    if isinstance(given, types.CodeType):
        return _compiled(given, within)
    if isinstance(given, types.ModuleType):
        return given.__name__
    if isinstance(given, type):
        return _class(given, within)
    return _callable(given, within) or _object(given, within)


def _array(given: "np.ndarray[Any, Any] | np.generic", within: tuple[int, ...]) -> str:
    held = np.asarray(given)
    if held.dtype.hasobject:
        return _described(held.tolist(), within)
    return f"{held.dtype}{held.shape}{_hashed(np.ascontiguousarray(held).tobytes())}"


def _callable(given: object, within: tuple[int, ...]) -> str:
    """A function, however it is bound; nothing for an object that can merely be called."""
    if isinstance(given, functools.partial):
        return f"partial{_described((given.func, given.args, given.keywords), within)}"
    if isinstance(given, types.MethodType):
        return f"method{_described((given.__func__, given.__self__), within)}"
    if isinstance(given, (staticmethod, classmethod)):
        return _described(given.__func__, within)
    if isinstance(given, property):
        return _described((given.fget, given.fset), within)
    if isinstance(given, types.FunctionType):
        return _function(given, within)
    if isinstance(given, types.BuiltinFunctionType):
        return f"{given.__module__}.{given.__qualname__}"
    return ""


def _function(given: types.FunctionType, within: tuple[int, ...]) -> str:
    closed = [one.cell_contents for one in given.__closure__ or () if _filled(one)]
    held = (closed, given.__defaults__, given.__kwdefaults__)
    name = f"{given.__module__}.{given.__qualname__}"
    source = _file_of(given.__module__)
    if source:
        # Several lambdas of a file are called alike.
        return f"{name}[{source}]{_compiled(given.__code__, within)}{_described(held, within)}"
    used = {one: given.__globals__[one] for one in _names(given.__code__) if one in given.__globals__}
    return f"{name}[{_compiled(given.__code__, within)}]{_described((held, used), within)}"


def _class(given: type, within: tuple[int, ...]) -> str:
    name = f"{given.__module__}.{given.__qualname__}"
    above = [one for one in given.__bases__ if one is not object]
    source = _file_of(given.__module__)
    if source or given.__module__ == "builtins":
        return f"{name}[{source}]{_described(above, within) if above else ''}"
    held = {one: value for one, value in sorted(vars(given).items()) if one not in _BESIDE}
    return f"{name}[{_described(held, within)}]{_described(above, within)}"


def _object(given: object, within: tuple[int, ...]) -> str:
    kind = _class(type(given), within)
    if is_dataclass(given):
        held: dict[str, object] = {one.name: getattr(given, one.name) for one in fields(given) if one.compare}
        return f"{type(given).__qualname__}{kind}{_described(held, within)}"
    slots = [one for base in type(given).__mro__ for one in _listed(getattr(base, "__slots__", ()))]
    held = {one: getattr(given, one) for one in slots if hasattr(given, one) and one != "__dict__"}
    held |= getattr(given, "__dict__", {})
    if held:
        return kind + _described(held, within)
    return kind + _pickled(given)


def _pickled(given: object) -> str:
    """Objects without attributes that Python could see: what they travel as."""
    import cloudpickle

    try:
        return _hashed(cloudpickle.dumps(given))
    except Exception:
        return ""


def _compiled(code: types.CodeType, within: tuple[int, ...]) -> str:
    parts = (code.co_code, code.co_names, code.co_varnames, code.co_consts)
    return _hashed(_described(parts, within).encode())


def _names(code: types.CodeType) -> list[str]:
    """Names that a function uses, and those within it."""
    inner = [one for const in code.co_consts if isinstance(const, types.CodeType) for one in _names(const)]
    return list(dict.fromkeys([*code.co_names, *inner]))


def _file_of(module: str) -> str:
    """The content of a module's file; nothing where it has none that stays as it was run."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or module == "__main__" or not Path(file).is_file():
        return ""
    now = Path(file).stat()
    return _content(file, now.st_mtime_ns, now.st_size)


@cache
def _content(file: str, changed_ns: int, size: int) -> str:
    return _hashed(Path(file).read_bytes())


def _hashed(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _listed(slots: object) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)  # type: ignore[arg-type]
