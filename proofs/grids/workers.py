"""`Pool`: who works off the blocks of an enumeration. What comes out is the same whoever does.

`Serial` is this process, `Processes` are others on this machine, `cluster.RayCluster` is a Ray cluster.
"""

import os
import pickle
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from time import monotonic, sleep
from typing import Protocol, runtime_checkable

from proofs.errors import AuditError
from proofs.grids.table import Block, Enumeration

#: Blocks per worker that are handed out ahead.
AHEAD = 2

#: How long to wait for the exit code of a worker that has died, in seconds.
_ENDING_S = 2.0


@runtime_checkable
class Pool(Protocol):
    """Somebody who answers blocks."""

    def answer(self, work: Enumeration, numbers: Sequence[int]) -> Iterator[Block]:
        """The blocks of these numbers, in any order, each as `work.answer` gives it.

        Raises:
            AuditError: the mechanism misbehaves, or cannot be sent to where it would be run.
        """
        ...


@dataclass(frozen=True, slots=True)
class Serial:
    """This process, block after block."""

    def answer(self, work: Enumeration, numbers: Sequence[int]) -> Iterator[Block]:
        """The blocks in the given order."""
        yield from map(work.answer, numbers)


@dataclass(frozen=True, slots=True)
class Processes:
    """Other processes on this machine, which end when the sweep does, however it ends.

    Args:
        count: how many, >= 1; None: one per core.

    Raises:
        AuditError: `count` is no integer >= 1.
    """

    count: int | None = None

    def __post_init__(self) -> None:
        if self.count is not None and (
            not isinstance(self.count, int) or isinstance(self.count, bool) or self.count < 1
        ):
            raise AuditError(f"{self.count!r} workers; expected an integer >= 1, or None for one per core")

    def answer(self, work: Enumeration, numbers: Sequence[int]) -> Iterator[Block]:
        """The blocks as they are done.

        Raises:
            AuditError: as `Pool`, or a process died.
        """
        workers = min(self.count or os.cpu_count() or 1, max(1, len(numbers)))
        payload, left = packed(work), iter(numbers)
        pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (payload,))
        # Kept here, since a pool that breaks forgets its processes.
        began: Mapping[int, BaseProcess] = getattr(pool, "_processes", {})
        running: set[Future[Block]] = set()
        try:
            for _, number in zip(range(AHEAD * workers), left, strict=False):
                running.add(pool.submit(_answer, number))
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    running.update(pool.submit(_answer, number) for number in _next(left))
                    yield future.result()
        except BrokenProcessPool as error:
            how = _how_ended(began)
            _kill(pool)
            raise AuditError(
                f"a worker process died{how}: out of memory, ended by the mechanism, or unable to import it; "
                "try fewer workers, or one"
            ) from error
        except BaseException:
            # Nobody wants what they still work at, and some of it may never end.
            _kill(pool)
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.kill()


def _how_ended(processes: Mapping[int, BaseProcess]) -> str:
    """How the worker that died ended, in words; whom the pool has ended since is told by its signal."""
    until = monotonic() + _ENDING_S
    while True:
        codes = {process.exitcode for process in list(processes.values())} - {None, -signal.SIGTERM}
        if codes or monotonic() > until:
            break
        sleep(0.01)
    return "".join(f", {ended(code)}" for code in sorted(code for code in codes if code is not None)[:1])


def ended(code: int) -> str:
    """The exit code of a process in words, as `subprocess` has it: a signal where it is negative."""
    if code >= 0:
        return f"exit status {code}"
    return f"signal {signal.Signals(-code).name if -code in set(signal.Signals) else -code}"


def packed(work: Enumeration) -> bytes:
    """The enumeration, pickled for another process.

    Raises:
        AuditError: the mechanism or a property cannot be.
    """
    try:
        return pickle.dumps(work)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AuditError(
            f"{type(work.mechanism).__name__} cannot be sent to another process ({error}); move it to a module of its "
            "own, or use one worker"
        ) from error


def _next(left: Iterator[int]) -> Iterator[int]:
    for number in left:
        yield number
        return


_work: Enumeration


def _begin(payload: bytes) -> None:
    """Get the work once; the parent alone answers to Ctrl-C, and ends its children."""
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _work = pickle.loads(payload)


def _answer(number: int) -> Block:
    return _work.answer(number)
