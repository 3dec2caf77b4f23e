"""How figures came about: version, commit, machine, data, command."""

import datetime
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Made:
    """What somebody needs to make the same figures again.

    `sources` are files with their SHA-256; `kept` says how many runs were there already when the command was given.
    """

    command: str
    version: str
    commit: str
    machine: str
    python: str
    at: str
    seeds: tuple[int, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    kept: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {**asdict(self), "seeds": list(self.seeds), "sources": dict(self.sources)}

    def lines(self) -> list[tuple[str, str]]:
        """As a report prints it."""
        commit = f", commit {self.commit[:12]}" if self.commit else ""
        data = [("data", f"{name} (SHA-256 {sha256[:16]})") for name, sha256 in self.sources.items() if sha256]
        return [
            ("command", self.command),
            ("version", f"{self.version}{commit}"),
            ("machine", f"{self.machine}, Python {self.python}"),
            ("made", self.at),
            ("seeds", ", ".join(map(str, self.seeds))),
            *([("gone on from", self.kept)] if self.kept else []),
            *data,
        ]


def made_here() -> Made:
    """By this process."""
    try:
        ours = version("iemas")
    except PackageNotFoundError:
        ours = "unknown"
    return Made(
        command=_command(sys.argv),
        version=ours,
        commit=commit(),
        machine=f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        python=platform.python_version(),
        at=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _command(argv: Sequence[str]) -> str:
    """As somebody types it; a kernel's own arguments name files that are gone by then."""
    name = Path(argv[0]).name if argv else ""
    if name in ("ipykernel_launcher.py", "colab_kernel_launcher.py"):
        return "a notebook"
    if name in ("", "-", "-c"):
        return "python"
    return shlex.join(["iemas" if name in ("iemas", "cli.py", "__main__.py") else name, *argv[1:]])


def commit() -> str:
    """The hash of the commit that is checked out, with `+` where files differ from it; empty outside a clone."""
    here = Path(__file__).parent
    try:
        asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=here)
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], capture_output=True, cwd=here)
    except OSError:
        return ""
    return asked.stdout.strip() + "+" * (changed.returncode == 1) if asked.returncode == 0 else ""
