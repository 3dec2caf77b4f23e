"""`PatientBar`: how far an audit is, said on the terminal once it takes long."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console
    from rich.progress import Progress, TaskID

#: A progress bar for anything shorter would only flicker.
_PATIENCE_S = 2.0


class PatientBar:
    """A progress bar that shows itself only once the wait has become one."""

    def __init__(self, console: "Console", clock: Callable[[], float] = monotonic) -> None:
        self._console = console
        self._clock = clock
        self._started = clock()
        self._first: tuple[float, int] | None = None
        self._bar: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> "PatientBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        if self._bar is not None:
            self._bar[0].stop()

    def __call__(self, done: int, total: int) -> None:
        """So much is done."""
        now = self._clock()
        # What an earlier run has left is there at the first call, and says nothing about the rate.
        began, before = self._first = self._first or (now, done)
        if self._bar is None:
            if now - self._started < _PATIENCE_S or done == total:
                return
            self._bar = self._shown(total)
        progress, task = self._bar
        rate = (done - before) / max(now - began, 1e-9)
        left = f"{rate:,.0f}/s, {(total - done) / rate:,.0f} s left" if rate else ""
        progress.update(task, completed=done, total=total, rate=left)

    def _shown(self, total: int) -> "tuple[Progress, TaskID]":
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (TextColumn("markets"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
        progress = Progress(*columns, console=self._console, transient=True)
        progress.start()
        return progress, progress.add_task("audit", total=total, rate="")
