"""Looks at processes from outside, without their cooperation."""

import os
import time
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and waits to be fetched by its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return _state_and_group(Path(f"/proc/{pid}/stat"))[0] != "Z"


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def members(group: int) -> list[int]:
    """The processes of a group that run (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        state, its_group = _state_and_group(stat)
        if its_group == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def _state_and_group(stat: Path) -> tuple[str, int]:
    try:
        state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return "", -1
    return state, int(group)
