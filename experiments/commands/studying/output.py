"""An output folder of a run: made once its checks passed, held by one run at a time, cleared of results of another."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from experiments.data.catalogue import KNOWN
from experiments.errors import StudyError

#: What a run writes into its folder, and nobody must find there when it did not end well.
RESULTS = ("report.html", "results.json", "requests.jsonl")

_LOCK = ".iemas-run"


class OutputFolder:
    """A folder that one run holds while the context is open.

    Entering removes the results of an earlier run; a run that raises leaves none. The folder itself is made by `make`,
    once there is something to write. What a file system refuses inside the context becomes a `StudyError`.

    Args:
        folder: where to write.

    Raises:
        StudyError: the name hides a data set, is a file, cannot be made, or another run holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        names = {"shipped", *(file.name for file in KNOWN)}
        if folder.parent == Path() and folder.name in names:
            raise StudyError(f"--out {folder} would hide the data set of that name from --data; name another folder")
        parent = folder.absolute()
        while not parent.exists():
            parent = parent.parent
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise StudyError(
                f"cannot write to {folder}: {parent} is no folder that you may write to; use another --out"
            )
        self.folder = folder
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        if self.folder.is_dir():
            self._hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            if error is not None:
                with suppress(OSError):
                    self._clear()
            with suppress(OSError):
                (self.folder / _LOCK).unlink()
            self._lock.close()
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
            raise self._refused(error) from error

    def make(self) -> Path:
        """Make the folder, if it is not there; returns the folder for ledgers in it."""
        books = self.folder / "books"
        books.mkdir(parents=True, exist_ok=True)
        if self._lock is None:
            self._hold()
        return books

    def _hold(self) -> None:
        try:
            self._lock = (self.folder / _LOCK).open("a")
            if not _locked(self._lock):
                self._lock.close()
                self._lock = None
                raise StudyError(f"another run writes to {self.folder}; wait for it, or name another with --out")
            self._clear()
        except OSError as error:
            raise self._refused(error) from error

    def _clear(self) -> None:
        for name in RESULTS:
            (self.folder / name).unlink(missing_ok=True)
        # Ids of requests repeat from run to run, and a ledger refuses a second charge.
        for kind in ("*.sqlite*", "*.latency.jsonl", "*.trace.jsonl"):
            for old in (self.folder / "books").glob(kind):
                old.unlink()

    def _refused(self, error: OSError) -> StudyError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full; make room" if full else f"{error.strerror}; name another folder with --out"
        return StudyError(f"cannot write to {error.filename or self.folder}: {what}")


def _locked(file: IO[str]) -> bool:
    """Whether this process has the file for itself now; true where the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
