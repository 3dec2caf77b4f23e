"""The numbers in a mechanism's own source: where it may turn, and so where to look for a difference."""

import ast
import dataclasses
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType

from allocation import MAX_AMOUNT

#: Rooms whose code is ours.
_OURS = ("allocation", "mechanisms", "prediction", "proofs", "runtime", "experiments", "numpy", "builtins")

#: More numbers than this are no thresholds.
_MOST = 64


def constants(mechanism: object) -> tuple[int, ...]:
    """Whole numbers in the modules that define the object and its parts, ours left out, and in its fields."""
    found = {number for module in _modules(mechanism) for number in _in_source(module)}
    found |= set(_in_fields(mechanism))
    return tuple(sorted(number for number in found if 1 < number <= MAX_AMOUNT)[:_MOST])


def _modules(thing: object) -> set[ModuleType]:
    names = {kind.__module__ for part in _parts(thing) for kind in type(part).__mro__}
    return {sys.modules[name] for name in names if name in sys.modules and name.partition(".")[0] not in _OURS}


def _parts(thing: object, depth: int = 3) -> Iterator[object]:
    yield thing
    inside = [*getattr(thing, "__dict__", {}).values()]
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        inside += [getattr(thing, one.name) for one in dataclasses.fields(thing)]
    for part in inside if depth else ():
        if hasattr(part, "__module__") or dataclasses.is_dataclass(part):
            yield from _parts(part, depth - 1)


def _in_source(module: ModuleType) -> Iterator[int]:
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool):
            yield node.value
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            ends = (node.left, node.right)
            if all(isinstance(end, ast.Constant) and isinstance(end.value, int) for end in ends):
                base, power = (end.value for end in ends)  # type: ignore[attr-defined]
                if 0 < power < 64 and base < MAX_AMOUNT:
                    yield base**power


def _in_fields(thing: object) -> Iterator[int]:
    for part in _parts(thing):
        inside = [*getattr(part, "__dict__", {}).values()]
        if dataclasses.is_dataclass(part) and not isinstance(part, type):
            inside += [getattr(part, one.name) for one in dataclasses.fields(part)]
        yield from (each for each in inside if isinstance(each, int) and not isinstance(each, bool))
