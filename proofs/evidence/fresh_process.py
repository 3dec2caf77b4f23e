"""`evaluated_afresh`: the amount that an expression claims, computed again by another interpreter."""

import os
import subprocess
import sys
from pathlib import Path

from proofs.errors import ReplayError


def evaluated_afresh(expression: str, amount: int) -> str:
    """Evaluate an integer expression in a fresh interpreter, and say so.

    Raises:
        ReplayError: it is not `amount` there.
    """
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    child = subprocess.run(
        [sys.executable, "-c", f"print({expression})"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    if child.stdout.strip() != str(amount):
        said = (child.stdout.strip() or child.stderr.strip()).splitlines()[-1:]
        raise ReplayError(f"the amount was {amount}; a fresh process says {said} to {expression}")
    return "replayed in a fresh process"
