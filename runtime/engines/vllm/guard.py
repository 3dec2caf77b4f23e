"""Runs vLLM's command line in a process that dies with the one that started it: `guard.py PARENT serve ...`.

Executed by the Python of vLLM's own environment, so the standard library and vLLM are all it may import.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Ask Linux to end this process when `parent` ends, however that happens; elsewhere there is no such request."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(f"the process {parent} that started this server has ended")


def main() -> None:
    """Run vLLM's command line, as long as the parent lives."""
    parent = int(sys.argv.pop(1))
    die_with(parent)
    # Python puts this file's folder on the path, and its neighbours are no modules that vLLM should import.
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    from vllm.entrypoints.cli.main import main as command_line

    sys.argv[0] = "vllm"
    command_line()


if __name__ == "__main__":
    main()
