"""Loading kernels: compiled at most once per machine, dropped when any source changes, announced when it takes long."""

import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Timer
from types import ModuleType

#: Seconds after which loading from numba's cache would be over.
_PATIENCE = 2.0


@cache
def kernels(name: str) -> ModuleType:
    """Import `allocation.kernels.NAME`; numba compiles what is not cached, and stderr says so if that takes long."""
    _drop_stale()
    notice = Timer(_PATIENCE, _notify)
    notice.daemon = True
    notice.start()
    try:
        return import_module(f"allocation.kernels.{name}")
    finally:
        notice.cancel()


@cache
def _notify() -> None:
    print("iemas: compiling the solver for this machine; this happens once and takes a while ...", file=sys.stderr)


@cache
def _drop_stale() -> None:
    """Remove compiled kernels older than any kernel's source: numba compares each file with its own source alone."""
    here = Path(__file__).parents[1]
    newest = max(source.stat().st_mtime for source in here.rglob("*.py"))
    for index in here.rglob("*.nbi"):
        with suppress(OSError):
            if index.stat().st_mtime < newest:
                index.unlink()
