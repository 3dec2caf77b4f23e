"""One real file that this project knows: where it comes from, under which terms, and its checksum."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Kind(StrEnum):
    """What a file holds, thus who reads it."""

    DIALOGUES = "dialogues"
    ANSWERS = "answers"
    PRICES = "prices"
    TRACE = "trace"


class Terms(Protocol):
    """A layout, as far as a catalogue needs it: its name, and the terms of its official files."""

    @property
    def name(self) -> str:
        """What the layout is called."""
        ...

    @property
    def licence(self) -> str:
        """Under which its official files are published."""
        ...


@dataclass(frozen=True, slots=True)
class Stated:
    """The terms of a layout that has no more to it than a name."""

    name: str
    licence: str


@dataclass(frozen=True, slots=True)
class KnownFile:
    """One real file. `path` is its place under the cache folder and its name in reports; `size` is in bytes.

    `url` is None for copies that circulate but that their publishers do not offer: such files are recognised where they
    are found, not fetched. With `parts` it is a folder of files, each with a URL; its checksum is that of a list of
    theirs. `beside` are files that it is read together with.
    """

    name: str
    path: str
    layout: Terms
    origin: str
    url: str | None
    sha256: str | None = None
    size: int | None = None
    checksum_from: str = "nobody publishes one: trusted on first use"
    kind: Kind = Kind.DIALOGUES
    beside: tuple["KnownFile", ...] = ()
    parts: tuple["KnownFile", ...] = ()

    @property
    def licence(self) -> str:
        """The terms under which the file is published."""
        return self.layout.licence
