"""Another interpreter, and the amount that an expression claims, computed again there."""

import os
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from proofs.errors import ReplayError


def run_afresh(arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run a Python of its own with these arguments, which finds the modules that this one finds."""
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    command, variables = [sys.executable, *arguments], {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def evaluated_afresh(expression: str, amount: int | Fraction) -> str:
    """Evaluate an expression whose value is exact in a fresh interpreter, and say so.

    Raises:
        ReplayError: it is not `amount` there.
    """
    child = run_afresh(["-c", f"print({expression})"])
    if child.stdout.strip() != str(amount):
        said = (child.stdout.strip() or child.stderr.strip()).splitlines()[-1:]
        raise ReplayError(f"the amount was {amount}; a fresh process says {said} to {expression}")
    return "replayed in a fresh process"
