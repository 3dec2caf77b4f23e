"""Finished runs in a file, one a line, so that a study that was stopped goes on where it was.

A run is known by what decided it: our code, yours, the data, the cell, the policy, the seed. A run of other code does
not count, and a line that was cut off as it was written, or changed since, is none.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from experiments.errors import StudyError
from experiments.studies.study.cells.cell import Cell
from experiments.studies.study.keeping.described import described
from experiments.studies.study.keeping.plain import as_plain, of_type
from experiments.studies.study.running.playing import Played, Task
from experiments.studies.study.running.pool import run_all
from experiments.worlds.running.scores import Score

T = TypeVar("T")
R = TypeVar("R")

_ROOMS = ("allocation", "mechanisms", "prediction", "runtime", "experiments")
#: Parts of ours that decide no run.
_OUTSIDE = ("commands", "reports", "gateway", "metrics", "audits", "results")


@dataclass(frozen=True, slots=True)
class Form(Generic[R]):
    """How what a run came to is written and read, and whether it is kept at all.

    `read` raises KeyError, TypeError, ValueError or AttributeError of what nobody wrote so.
    """

    write: Callable[[R], Any]
    read: Callable[[Any], R]
    keeps: Callable[[R], bool] = lambda run: True


@dataclass(slots=True)
class Kept:
    """A file of finished runs, None for no file, and what became of the runs that were asked for.

    Args:
        path: read first, and added to run by run.
        asked: runs in all that were asked for so far.
        found: those of them that the file had already.
        played: those that were run now.
    """

    path: Path | None = None
    asked: int = 0
    found: int = 0
    played: int = 0

    @property
    def said(self) -> str:
        """How much is not of now; empty where everything is."""
        return f"{self.found:,} of {self.asked:,} runs kept, {self.asked - self.found:,} run" if self.found else ""

    def finish(
        self,
        work: Callable[[T], R],
        tasks: Sequence[T],
        keys: Sequence[str],
        form: Form[R],
        workers: int | str | None,
        progress: Callable[[int, int], None],
        title: Callable[[T], str] = str,
    ) -> list[R]:
        """What `work` makes of each task, in their order: as it is in the file, else run now and written to it.

        Args:
            keys: of each task, all that decides its run.
            progress: is called with runs done and in all, at first with those that were kept.

        Raises:
            StudyError: the file cannot be written, or as `run_all`.
            Exception: what `work` raises.
        """
        require_writable(self.path)
        found = _read(self.path, keys, form)
        todo = [k for k in range(len(tasks)) if k not in found]
        self.asked, self.found = self.asked + len(tasks), self.found + len(found)
        if found:
            left = f"{len(todo):,} to run" if todo else "none to run"
            print(f"{self.path}: {len(found):,} of {len(tasks):,} runs kept, {left}", file=sys.stderr)
        # Closed whatever happens: workers must not outlive an error that somebody still looks at.
        with closing(run_all(work, [tasks[k] for k in todo], workers, title)) as running:
            progress(len(found), len(tasks))
            for place, run in running:
                k, self.played = todo[place], self.played + 1
                found[k] = run
                if form.keeps(run):
                    append(self.path, {"key": keys[k], "run": form.write(run)})
                progress(len(found), len(tasks))
        return [found[k] for k in range(len(tasks))]


def finish(
    kept: Kept | None,
    work: Callable[[T], R],
    tasks: Sequence[T],
    data: object,
    workers: int | str | None,
    progress: Callable[[int, int], None],
    title: Callable[[T], str] = str,
) -> list[R]:
    """`Kept.finish` for a question: what a run comes to is written as plain data, and read by what `work` says it is.

    What is run now is read from plain data, too, so that it is the same whether it was kept.

    Args:
        data: all that decides runs and is not in the tasks, such as `cells_said`.

    Raises:
        StudyError, Exception: as `Kept.finish`.
    """
    form: Form[R] = Form(as_plain, partial(of_type, get_type_hints(work)["return"]))
    common = [ours(), described(work), described(data)]
    names = [_digest([*common, described(task)]) for task in tasks]
    found = (kept or Kept()).finish(work, tasks, names, form, workers, progress, title)
    return [form.read(json.loads(json.dumps(form.write(one)))) for one in found]


def cells_said(*cells: Cell) -> list[str]:
    """What cells read that is not in their fields: the data's bytes, and speeds of calibrations."""
    return [described((cell.workload.sources, [agent.step_time for agent in cell.fleet])) for cell in cells]


def keys(tasks: Sequence[Task]) -> list[str]:
    """A fingerprint for each task of all that decides its run."""
    held: dict[int, str] = {}

    def told(part: object) -> str:
        # Cells and policies come again and again, and may hold whole tables.
        if id(part) not in held:
            held[id(part)] = described(part)
        return held[id(part)]

    cells = {id(task.cell): task.cell for task in tasks}
    said = {name: cells_said(cell) for name, cell in cells.items()}
    found = []
    for task in tasks:
        cell = task.cell
        parts = (cell.workload, cell.bidders, cell.fleet, cell.slots, cell.churn, task.entrant, *task.measures)
        found.append(_digest([ours(), *said[id(cell)], *map(told, parts), described(task.seed)]))
    return found


def _digest(said: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(said).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@cache
def ours() -> str:
    """A fingerprint of all of ours that decides a run."""
    root = Path(__file__).resolve().parents[4]
    digest = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            if path.relative_to(root).parts[1] not in _OUTSIDE:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _read(path: Path | None, wanted: Sequence[str], form: Form[R]) -> dict[int, R]:
    """Finished runs by the place of their key; lines that are none are passed over."""
    places: dict[str, list[int]] = {}
    for k, key in enumerate(wanted):
        places.setdefault(key, []).append(k)
    found: dict[int, R] = {}
    for row in rows(path):
        try:
            found |= dict.fromkeys(places[row["key"]], form.read(row["run"]))
        except (KeyError, TypeError, ValueError, AttributeError):
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


#: A run that contradicted the audit is not kept.
RUNS: Form[Played] = Form(plain, played, lambda run: not run.contradictions)


def rows(path: Path | None) -> Iterator[dict[str, Any]]:
    """Lines of a file of finished runs; what is no whole line, or was changed since it was written, is passed over."""
    for line in path.read_bytes().split(b"\n") if path is not None and path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.pop("sum", None) == _sum(row):
            yield row


def append(path: Path | None, row: Mapping[str, Any]) -> None:
    """Add a line, with a checksum of what it says."""
    if path is None:
        return
    with path.open("a+b") as lines:
        # A line that was cut off must not take this one with it.
        lines.seek(max(lines.tell() - 1, 0))
        begun = lines.read(1) not in (b"", b"\n")
        lines.write(b"\n" * begun + json.dumps({**row, "sum": _sum(row)}).encode() + b"\n")


def _sum(row: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]


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
