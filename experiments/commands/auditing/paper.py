"""`Paper`: what an answer is printed on, as plain data; it is written in memory, whoever has the terminal."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Paper:
    """What is printed on: width in characters, and colours as rich names them."""

    width: int = 80
    terminal: bool = False
    colours: str | None = None
    encoding: str = "utf-8"

    @classmethod
    def of(cls, console: "Console") -> "Paper":
        """The paper of a console."""
        colours = None if console.no_color else console.color_system
        return cls(console.width, console.is_terminal, colours, console.encoding)


class _Sheet(io.StringIO):
    """Text in memory that says which encoding it will be written in."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


def sheet_of(paper: Paper) -> "tuple[io.StringIO, Console]":
    """Text in memory, and the console that writes it for this paper."""
    from rich.console import Console

    sheet = _Sheet(paper.encoding)
    console = Console(
        file=sheet,
        width=paper.width,
        force_terminal=paper.terminal,
        color_system=paper.colours,  # type: ignore[arg-type]
        no_color=paper.colours is None,
        legacy_windows=False,
    )
    return sheet, console


def coloured(status: str) -> str:
    """The status in its colour, as rich has it in a table."""
    colour = {"REFUTED": "bold red", "UNKNOWN": "yellow"}.get(status, "green")
    return f"[{colour}]{status}[/]"
