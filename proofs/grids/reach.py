"""What code of the user's a mechanism can reach: modules that it imports, and files that it opened."""

import ast
import hashlib
import inspect
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

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

_opened: set[str] | None = None
_hooked = False


def modules_of(definers: set[ModuleType]) -> list[ModuleType]:
    """These modules and all that they import, one from another, libraries and our own rooms left out; by name.

    Imports are read from the source, those within functions too; what is imported by a computed name is not seen.
    """
    found: dict[str, ModuleType] = {}
    left = [module for module in definers if _is_users(module)]
    while left:
        module = left.pop()
        if module.__name__ in found:
            continue
        found[module.__name__] = module
        for name in _imported(module):
            other = sys.modules.get(name)
            if other is not None and _is_users(other):
                left.append(other)
    return [found[name] for name in sorted(found)]


def digest(definers: set[ModuleType]) -> str:
    """A checksum of the sources of all modules that these can reach, and of the rooms that decide for them."""
    mark = hashlib.sha256()
    for module in modules_of(definers):
        mark.update(f"{module.__name__}\n".encode() + _bytes(Path(str(module.__file__))))
    for room in _ROOMS:
        for path in sorted((_OURS / room).rglob("*.py")):
            mark.update(path.relative_to(_OURS).as_posix().encode() + _bytes(path))
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


def _is_users(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if file is None or not str(file).endswith(".py"):
        return False
    path = str(Path(file).resolve())
    rooms = tuple(str(_OURS / room) + os.sep for room in (*_ROOMS, "prediction", "proofs", "runtime", "experiments"))
    return not path.startswith((*_LIBRARIES, *rooms))


def _imported(module: ModuleType) -> Iterator[str]:
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return
    package = module.__name__ if hasattr(module, "__path__") else module.__name__.rpartition(".")[0]
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
