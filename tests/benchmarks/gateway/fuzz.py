"""python -m tests.benchmarks.gateway.fuzz --times 20: what the suite tries of a gateway, so many times over."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

FUZZED = Path(__file__).parents[2] / "runtime" / "gateway" / "fuzzed"


def main() -> int:
    """The exit code of pytest."""
    parser = argparse.ArgumentParser(description="Send a gateway what its documents allow, and much that they do not.")
    parser.add_argument("--times", type=int, default=20, help="as much as in a run of the suite, which takes 20 s")
    asked = parser.parse_args()
    command = [sys.executable, "-m", "pytest", "-p", "no:benchmark", "-v", "-m", "slow", "--durations=0", str(FUZZED)]
    return subprocess.run(command, env=os.environ | {"IEMAS_FUZZ_TIMES": str(max(1, asked.times))}).returncode


if __name__ == "__main__":
    sys.exit(main())
