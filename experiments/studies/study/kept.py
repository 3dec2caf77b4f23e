"""Finished runs in a file, one a line, so that a study that was stopped goes on where it was.

A run is known by what decided it: our code, yours, the data, the cell, the policy, the seed. A run of other code does
not count, and a line that was cut off as it was written is none.
"""

import hashlib
import inspect
import json
import sys
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from experiments.errors import StudyError
from experiments.studies.study.playing import Played, Task
from experiments.worlds.scores import Score

_ROOMS = ("allocation", "mechanisms", "prediction", "runtime", "experiments")
#: Parts of ours that decide no run.
_OUTSIDE = ("commands", "reports", "gateway", "metrics", "audits", "results")


def key(task: Task) -> str:
    """A fingerprint of all that decides a run."""
    digest = hashlib.sha256(ours().encode())
    cell = task.cell
    for part in (cell.workload, cell.workload.sources, cell.bidders, cell.fleet, cell.slots, task.entrant, task.seed):
        digest.update(described(part).encode())
    for measure in task.measures:
        digest.update(described(measure).encode())
    return digest.hexdigest()[:32]


def described(given: object) -> str:
    """What something is, so that other code or other data reads differently; the same in every process."""
    if isinstance(given, str):
        return f"{given!r}{_source_named(given)}"
    if given is None or isinstance(given, (bool, int, float)):
        return repr(given)
    if isinstance(given, dict):
        return "{" + ",".join(f"{k}:{described(v)}" for k, v in given.items()) + "}"
    if isinstance(given, (tuple, list)):
        return "(" + ",".join(map(described, given)) + ")"
    if is_dataclass(given) and not isinstance(given, type):
        held = {field.name: getattr(given, field.name) for field in fields(given) if field.compare}
        return f"{type(given).__qualname__}{described(held)}"
    if isinstance(given, type) or callable(given):
        return _code(given)
    return _code(type(given)) + _content(given)


def _content(given: object) -> str:
    import cloudpickle

    return hashlib.sha256(cloudpickle.dumps(given)).hexdigest()


def _code(given: object) -> str:
    """Where it is from, all of that file, and what it closes over."""
    module = getattr(given, "__module__", "")
    name = f"{module}.{getattr(given, '__qualname__', given)}"
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is not None and module != "__main__":
        source = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    else:
        try:
            source = inspect.getsource(given)  # type: ignore[arg-type]
        except (OSError, TypeError):
            source = _content(given)
    closed = [cell.cell_contents for cell in getattr(given, "__closure__", None) or () if _filled(cell)]
    return f"{name}[{source}]{described(closed) if closed else ''}"


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _source_named(name: str) -> str:
    """The content of a file of yours that `mine:Policy` names, once it is loaded; nothing for any other string."""
    module, colon, _ = name.rpartition(":")
    if not colon:
        return ""
    stem = Path(module).name.removesuffix(".py")
    file = getattr(sys.modules.get(stem), "__file__", None)
    return "" if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()


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
    for line in path.read_text(encoding="utf-8").splitlines() if path is not None and path.exists() else ():
        try:
            row = json.loads(line)
            found[row["key"]] = played(row["run"])
        except (ValueError, KeyError, TypeError):
            continue
    return found


def played(row: dict[str, Any]) -> Played:
    """A run as `plain` wrote it."""
    score: dict[str, Any] = {
        name: tuple(said) if isinstance(said, list) else said for name, said in row["score"].items()
    }
    return Played(Score(**score), row["figures"], (), row["measured"], row["python"])


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
    if path is None or run.contradictions:
        return
    with path.open("a+b") as lines:
        # A line that was cut off must not take this one with it.
        lines.seek(max(lines.tell() - 1, 0))
        begun = lines.read(1) not in (b"", b"\n")
        lines.write(b"\n" * begun + json.dumps({"key": name, "run": plain(run)}).encode() + b"\n")


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
