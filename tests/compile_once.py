"""Compiles kernels and tests, once: `python -m tests.compile_once`, before several processes would each do so at once.

Kernels take one core; beside them pytest reads the tests on another, which rewrites their assertions and keeps the
bytecode of all that they import. Where bytecode is there, or may not be kept, only kernels are looked at.
"""

import importlib
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Tests that need a kernel to be imported would compile it a second time.
_READ = ("-m", "pytest", "-p", "no:benchmark", "--collect-only", "-qq", "--ignore=tests/allocation/kernels")


def kernels() -> list[str]:
    """Modules that define some."""
    files = [file for room in ("allocation", "mechanisms", "runtime") for file in (ROOT / room).rglob("*.py")]
    found = [file.relative_to(ROOT) for file in files if "\n@compiled(" in file.read_text(encoding="utf-8")]
    return sorted(".".join(file.with_suffix("").parts) for file in found)


def tests_are_compiled() -> bool:
    """Whether pytest has kept the bytecode of this folder before."""
    return any((ROOT / "tests" / "__pycache__").glob("*-pytest-*.pyc"))


def main() -> None:
    with ExitStack() as stack:
        if not (sys.dont_write_bytecode or tests_are_compiled()):
            # What is wrong with a test is said by the run that comes next.
            stack.enter_context(subprocess.Popen([sys.executable, *_READ], cwd=ROOT, stdout=subprocess.DEVNULL))
        for module in kernels():
            importlib.import_module(module)


if __name__ == "__main__":
    main()
