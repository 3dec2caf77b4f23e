"""Finished runs in a file, one a line, so that a study that was stopped goes on where it was.

A run is known by what decided it: our code, yours, the data, the cell, the policy, the seed. A run of other code does
not count, and a line that was cut off as it was written is none.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from experiments.errors import StudyError
from experiments.studies.study.described import described
from experiments.studies.study.playing import Played, Task
from experiments.worlds.scores import Score

_ROOMS = ("allocation", "mechanisms", "prediction", "runtime", "experiments")
#: Parts of ours that decide no run.
_OUTSIDE = ("commands", "reports", "gateway", "metrics", "audits", "results")


def keys(tasks: Sequence[Task]) -> list[str]:
    """A fingerprint for each task of all that decides its run."""
    held: dict[int, str] = {}

    def told(part: object) -> str:
        # Cells and policies come again and again, and may hold whole tables.
        if id(part) not in held:
            held[id(part)] = described(part)
        return held[id(part)]

    cells = {id(task.cell): task.cell for task in tasks}
    sources = {name: described(cell.workload.sources) for name, cell in cells.items()}
    speeds = {name: described([agent.step_time for agent in cell.fleet]) for name, cell in cells.items()}
    found = []
    for task in tasks:
        cell = task.cell
        parts = (cell.workload, cell.bidders, cell.fleet, cell.slots, cell.churn, task.entrant, *task.measures)
        said = [ours(), sources[id(cell)], speeds[id(cell)], *map(told, parts), described(task.seed)]
        found.append(hashlib.sha256("\n".join(said).encode("utf-8", "surrogatepass")).hexdigest()[:32])
    return found


@cache
def ours() -> str:
    """A fingerprint of all of ours that decides a run."""
    root = Path(__file__).resolve().parents[3]
    digest = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            if path.relative_to(root).parts[1] not in _OUTSIDE:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def read(path: Path | None) -> dict[str, Played]:
    """Finished runs by key; lines that are none are passed over."""
    found: dict[str, Played] = {}
    for row in rows(path):
        try:
            found[row["key"]] = played(row["run"])
        except (KeyError, TypeError, AttributeError):
            continue
    return found


def played(row: dict[str, Any]) -> Played:
    """A run as `plain` wrote it.

    Raises:
        KeyError, TypeError: it is none, or of another version.
    """
    return Played(score(row["score"]), row["figures"], (), row["measured"], row["python"])


def score(row: dict[str, Any]) -> Score:
    """A score as `Score.as_dict` gives it."""
    fields: dict[str, Any] = {name: tuple(said) if isinstance(said, list) else said for name, said in row.items()}
    return Score(**fields)


def plain(run: Played) -> dict[str, Any]:
    """A run as plain data."""
    return {
        "score": asdict(run.score),
        "figures": dict(run.figures),
        "measured": run.measured,
        "python": run.python,
    }


def write(path: Path | None, name: str, run: Played) -> None:
    """Add a finished run; one that contradicted the audit is not kept."""
    if not run.contradictions:
        append(path, {"key": name, "run": plain(run)})


def rows(path: Path | None) -> Iterator[dict[str, Any]]:
    """Lines of a file of finished runs; what is no whole line is passed over."""
    for line in path.read_bytes().split(b"\n") if path is not None and path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row


def append(path: Path | None, row: Mapping[str, Any]) -> None:
    """Add a line."""
    if path is None:
        return
    with path.open("a+b") as lines:
        # A line that was cut off must not take this one with it.
        lines.seek(max(lines.tell() - 1, 0))
        begun = lines.read(1) not in (b"", b"\n")
        lines.write(b"\n" * begun + json.dumps(row).encode() + b"\n")


def require_writable(path: Path | None) -> None:
    """Find out before anything is played.

    Raises:
        StudyError: it cannot be written.
    """
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("ab").close()
        except OSError as error:
            raise StudyError(f"cannot write to {path}: {error.strerror}") from error
