"""Compiled once per machine, and never stale: a kernel's cache is tied to every source that it may inline.

Numba compares a cached kernel with the file that defines it alone. But a kernel inlines functions of other files, and
an edit there would go unseen, wherever `NUMBA_CACHE_DIR` puts the cache.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit

_KERNELS = Path(__file__).resolve().parents[1]


def compiled(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel for one signature, from the cache if nothing that it may inline has changed since.

    Where no folder can be written to, it is compiled in every process, and standard error says so once.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        kernel = njit(function)
        try:
            kernel.enable_caching()
            # Numba offers no other way to say of what a cached kernel is made.
            stored = kernel._cache._cache_file
            stored._source_stamp = fingerprint(function.__code__.co_filename)
            if not stored._load_index():
                _say_compiling(kernel._cache.cache_path, fingerprint(str(_KERNELS / "cascade.py"))[0])
            kernel.compile(signature)
        except (OSError, RuntimeError, AttributeError) as error:
            if isinstance(error, RuntimeError) and "cannot cache" not in str(error):
                raise
            _say_uncached()
            kernel = njit(function)
            kernel.compile(signature)
        kernel.disable_compile()
        return kernel

    return decorate


@cache
def fingerprint(file: str) -> tuple[str, int]:
    """A checksum of all that a cached kernel may have been made of, and its size in bytes."""
    mark, size = hashlib.sha256(), 0
    for source in sorted({*_KERNELS.rglob("*.py"), Path(file)}):
        content = source.read_bytes()
        mark.update(source.name.encode() + content)
        size += len(content)
    return mark.hexdigest(), size


@cache
def _say_compiling(folder: str, mark: str) -> None:
    """Say once per cache, not once per process, that this takes a while: several workers may begin together."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (_root(Path(folder)) / f"iemas-compiled-{mark[:16]}").open("x").close()
    except FileExistsError:
        return
    print("iemas: compiling the solver for this machine; this happens once and takes some 10 s ...", file=sys.stderr)


def _root(folder: Path) -> Path:
    """One folder for all kernels of a cache: where NUMBA_CACHE_DIR points, or that of the kernels' own files."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named and Path(named).is_dir():
        return Path(named)
    own = _KERNELS / "__pycache__"
    # Python itself makes it only if it may keep bytecode.
    with suppress(OSError):
        own.mkdir(exist_ok=True)
    return own if own.is_dir() and os.access(own, os.W_OK) else folder


@cache
def _say_uncached() -> None:
    print(
        "iemas: the compiled solver cannot be kept here, so each process compiles it anew (some 10 s); set "
        "NUMBA_CACHE_DIR to a folder that can be written to",
        file=sys.stderr,
    )
