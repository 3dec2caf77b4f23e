"""Loading kernels: compiled at most once per machine, announced when that takes long."""

import sys
from functools import cache
from importlib import import_module
from threading import Timer
from types import ModuleType

#: Seconds after which loading from numba's cache would be over.
_PATIENCE = 2.0


@cache
def kernels(name: str) -> ModuleType:
    """Import `allocation.kernels.NAME`; numba compiles what is not cached, and stderr says so if that takes long."""
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
