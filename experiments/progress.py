"""The bar that shows how far something is; in a notebook, a line that counts."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


def progress_bar(console: "Console") -> "Progress":
    """What is being done, how much of it is, and when it will be."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


class Counts(Protocol):
    """Called with what is done and all there is."""

    def __call__(self, done: int, total: int) -> None:
        """Show it."""
        ...


@contextmanager
def counting(name: str) -> Iterator[Counts]:
    """A bar on stderr, or in a notebook a line of its own, which goes as it ends."""
    if "ipykernel" in sys.modules:
        from IPython.display import display

        line = display(_Line(name), display_id=True)
        try:
            yield lambda done, total: line.update(_Line(f"{name}: {done:,} of {total:,}"))
        finally:
            line.update(_Line(""))
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    with progress_bar(console) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Line:
    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text
