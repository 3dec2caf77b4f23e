"""Which mechanism was it? A name for people, and a fingerprint of its sources for machines."""

import dataclasses
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from proofs.errors import AuditError
from proofs.subject.subject import to_expression

#: How deep the parts of parts are looked into.
_DEPTH = 6


def written(mechanism: object) -> str:
    """The mechanism as an expression, or else the name of its class."""
    kind = type(mechanism)
    try:
        return to_expression(mechanism)
    except AuditError:
        return f"{kind.__module__}:{kind.__qualname__}"


def fingerprint(mechanism: object) -> str:
    """sha256, in hex, of the sources of the modules of its classes outside the standard library.

    The classes are those of the object, of its parts, and those that they inherit from. Modules go in by name, in
    order: the name, a zero byte, the bytes of its file (none where it has no file), a zero byte. Functions of other
    modules that the classes call are not covered.
    """
    digest = hashlib.sha256()
    names = {kind.__module__ for kind in _kinds(mechanism, _DEPTH)}
    for name in sorted(name for name in names if name.partition(".")[0] not in sys.stdlib_module_names):
        file = getattr(sys.modules.get(name), "__file__", None)
        source = Path(file).read_bytes() if file is not None and Path(file).is_file() else b""
        digest.update(name.encode() + b"\0" + source + b"\0")
    return digest.hexdigest()


def _kinds(value: object, depth: int) -> Iterator[type]:
    yield from type(value).__mro__
    parts = list(value) if isinstance(value, list | tuple) else list(getattr(value, "__dict__", {}).values())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts += [getattr(value, field.name) for field in dataclasses.fields(value)]
    for part in parts if depth else ():
        yield from _kinds(part, depth - 1)
