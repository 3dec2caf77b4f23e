"""What code of the user's a mechanism can reach: modules that it imports, and files that it opened."""

import ast
import dataclasses
import hashlib
import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path

_LIBRARIES = tuple(
    str(Path(folder).resolve())
    for folder in {
        *(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        *site.getsitepackages(),
        site.getusersitepackages(),
    }
)

_OURS = Path(__file__).resolve().parents[2]

#: Rooms whose code decides what a mechanism answers.
_ROOMS = ("allocation", "mechanisms")

#: How deep the parts of parts are looked into.
_DEPTH = 6

_opened: set[str] | None = None
_hooked = False


def definers(*values: object) -> set[str]:
    """Names of the modules that define these objects: their classes and what those inherit from, and their parts'.

    Parts are attributes, members of lists and mappings, and functions; the standard library is left out.
    """
    names: set[str] = set()
    for value in values:
        names.update(_homes(value, _DEPTH))
    return {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}


def sources_of(names: Iterable[str]) -> dict[str, Path]:
    """The files of these modules and of all of the user's that those import, one from another, by name.

    Imports are read from the source, those within functions too, whether they were made yet or not. Of libraries and of
    our own rooms only the modules named are in it; what is imported by a computed name is not seen.
    """
    found: dict[str, Path] = {}
    left = list(names)
    seen = set(left)
    while left:
        name = left.pop()
        path = _file(name)
        if path is None:
            continue
        found[name] = path
        for other in _imported(name, path) if _is_users(path) else ():
            file = None if other in seen else _file(other)
            seen.add(other)
            if file is not None and _is_users(file):
                left.append(other)
    return {name: found[name] for name in sorted(found)}


def digest(names: Iterable[str]) -> str:
    """sha256, in hex, of all sources that these modules can reach, and of the rooms that decide for them.

    First the modules, in order of name, each as its name, a zero byte, the bytes of its file, a zero byte; then the
    files of `allocation` and `mechanisms`, in order of path, each with its path from the rooms' folder as its name.
    """
    rooms = [path for room in _ROOMS for path in (_OURS / room).rglob("*.py")]
    parts = [*sources_of(names).items(), *sorted((path.relative_to(_OURS).as_posix(), path) for path in rooms)]
    mark = hashlib.sha256()
    for name, path in parts:
        mark.update(name.encode() + b"\0" + _bytes(path) + b"\0")
    return mark.hexdigest()


@contextmanager
def watching() -> Iterator[set[str]]:
    """The data files opened for reading meanwhile, by absolute path; the set grows while the context is open.

    Sources, libraries and what lies in folders of the system are left out.
    """
    global _opened, _hooked
    if not _hooked:
        sys.addaudithook(_note)
        _hooked = True
    before, _opened = _opened, set()
    try:
        yield _opened
    finally:
        _opened = before


def checksum(path: str) -> str:
    """The SHA-256 of a file, or a word for one that cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return "unreadable"


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or _opened is None:
        return
    path, mode = arguments[0], arguments[1]
    if not isinstance(path, str) or (isinstance(mode, str) and mode[:1] != "r"):
        return
    whole = os.path.realpath(path)
    if whole.endswith((".py", ".pyc", ".so", ".nbi", ".nbc")) or whole.startswith((*_LIBRARIES, str(_OURS))):
        return
    if whole.startswith(("/proc/", "/sys/", "/dev/")) or not os.path.isfile(whole):  # noqa: PTH113, no Path in a hook
        return
    _opened.add(whole)


def _homes(value: object, depth: int) -> Iterator[str]:
    yield from (kind.__module__ for kind in type(value).__mro__)
    if callable(value) and isinstance(home := getattr(value, "__module__", None), str):
        yield home
    parts = list(value) if isinstance(value, list | tuple | set | frozenset) else []
    parts += value.values() if isinstance(value, Mapping) else []
    # A class has in its dictionary what its module says anyway.
    parts += [] if isinstance(value, type) else getattr(value, "__dict__", {}).values()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts += [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    if isinstance(value, partial):
        parts += [value.func, *value.args, *value.keywords.values()]
    for part in parts if depth else ():
        yield from _homes(part, depth - 1)


def _file(name: str) -> Path | None:
    """The source of a module, found without importing it."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded is None:
        loaded = _located(name)
    return Path(loaded).resolve() if loaded is not None and str(loaded).endswith(".py") else None


def _located(name: str) -> str | None:
    if name.partition(".")[0] in sys.stdlib_module_names:
        return None
    folders: Sequence[str] | None = None
    origin = None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        try:
            spec = PathFinder.find_spec(".".join(parts[:count]), folders)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        origin, folders = spec.origin, spec.submodule_search_locations
        if folders is None and count < len(parts):
            return None
    return origin


def _is_users(path: Path) -> bool:
    rooms = tuple(str(_OURS / room) + os.sep for room in (*_ROOMS, "prediction", "proofs", "runtime", "experiments"))
    return not str(path).startswith((*_LIBRARIES, *rooms))


def _imported(name: str, path: Path) -> Iterator[str]:
    """Names of modules that this one imports, and of the packages that it lies in; some are names of no module."""
    above = name.split(".")[:-1]
    yield from (".".join(above[:count]) for count in range(1, len(above) + 1))
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    package = name if path.name == "__init__.py" else ".".join(above)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
