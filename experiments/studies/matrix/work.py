"""The whole matrix, row by row: here, or by several processes at once. What comes out is the same."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

from experiments.errors import StudyError
from experiments.studies.matrix.cells import Cell, Evidence, Row, smallest
from experiments.studies.matrix.tables import rows


@dataclass(frozen=True)
class Examined:
    """One row with all its cells, and the simplest failure of each cell, None where nothing failed."""

    row: str
    rule: str
    cells: tuple[Cell, ...]
    evidence: tuple[Evidence | None, ...]


def examined(
    chosen: Sequence[Row], workers: int | None = None, progress: Callable[[int], None] = lambda steps: None
) -> Iterator[Examined]:
    """Examine rows, in their order.

    Args:
        chosen: rows of the matrix.
        workers: processes, >= 1; None: one per core. A single row is examined in this process.
        progress: called with the number of steps that were made.

    Raises:
        AuditError: a mechanism misbehaves.
        StudyError: `workers` is less than 1.
    """
    if workers is not None and workers < 1:
        raise StudyError(f"workers = {workers}; expected an integer >= 1")
    count = min(workers or os.cpu_count() or 1, len(chosen))
    if count == 1:
        yield from (_examined(row, progress) for row in chosen)
        return
    pool = ProcessPoolExecutor(count, get_context("spawn"), _begin)
    try:
        futures = [pool.submit(_found, str(row)) for row in chosen]
        for row, future in zip(chosen, futures, strict=True):
            done = future.result()
            progress(row.steps)
            yield done
    finally:
        pool.shutdown(cancel_futures=True)


def _examined(row: Row, progress: Callable[[int], None]) -> Examined:
    cells = row.examine(progress)
    shown = tuple(map(smallest, cells))
    # What shrinks a failure has done its work, and would not travel between processes.
    bare = (replace(cell, trials=tuple(replace(one, evidence=None) for one in cell.trials)) for cell in cells)
    return Examined(str(row), row.rule, tuple(bare), shown)


def _found(name: str) -> Examined:
    return next(_examined(row, lambda steps: None) for row in rows(every_pair=True) if str(row) == name)


def _begin() -> None:
    """The parent alone answers to Ctrl-C, and ends its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
