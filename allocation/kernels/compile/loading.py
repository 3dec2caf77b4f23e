"""Loading kernels: imported when they are first needed, so that importing the room costs nothing."""

from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def kernels(name: str) -> ModuleType:
    """Import `allocation.kernels.NAME`; what is not cached is compiled, and standard error says so (`caching`)."""
    return import_module(f"allocation.kernels.{name}")
