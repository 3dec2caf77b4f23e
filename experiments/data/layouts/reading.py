"""Reading JSON that somebody else laid out: a wrong shape is an error that says where, never a `KeyError`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from experiments.data.layouts.dialogue import Dialogue, Turn
from experiments.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON value together with the path that leads to it from the file's name.

    Looking (`has`, `peek`, `first`) never fails and finds null where there is nothing; reading (`at`, `each`,
    `items`, `text`, `texts`) raises `DatasetError` with the path, what was expected and what was found.
    """

    value: object
    where: str

    def has(self, *keys: str) -> bool:
        """Whether this is an object with all these keys."""
        return isinstance(self.value, dict) and all(key in self.value for key in keys)

    def peek(self, key: str) -> "Json":
        """The value under `key`, or null."""
        return Json(self.value.get(key) if isinstance(self.value, dict) else None, f"{self.where}.{key}")

    def first(self) -> "Json":
        """The first element or, of an object, the first value; or null."""
        inside: object = None
        if isinstance(self.value, list):
            inside = next(iter(self.value), None)
        elif isinstance(self.value, dict):
            inside = next(iter(self.value.values()), None)
        return Json(inside, f"{self.where}[0]")

    def some(self, most: int = 100) -> Iterator["Json"]:
        """The first elements of a list, to look at; nothing where it is none."""
        elements = self.value[:most] if isinstance(self.value, list) else []
        for index, value in enumerate(elements):
            yield Json(value, f"{self.where}[{index}]")

    def at(self, key: str) -> "Json":
        """The value under `key`, which must be there."""
        if not self.has(key):
            self._refuse(f"an object with the key {key!r}")
        return self.peek(key)

    def each(self) -> Iterator["Json"]:
        """The elements of a list."""
        if not isinstance(self.value, list):
            self._refuse("a list")
        for index, value in enumerate(self.value):
            yield Json(value, f"{self.where}[{index}]")

    def items(self) -> Iterator[tuple[str, "Json"]]:
        """The keys and values of an object."""
        if not isinstance(self.value, dict):
            self._refuse("an object")
        for key, value in self.value.items():
            yield key, Json(value, f"{self.where}.{key}")

    def text(self) -> str:
        """A string."""
        if not isinstance(self.value, str):
            self._refuse("a string")
        try:
            self.value.encode()
        except UnicodeEncodeError as error:
            raise DatasetError(
                f"{self.where}: character {error.start} is the lone surrogate U+{ord(self.value[error.start]):04X}, "
                "which is no text and cannot be sent; mend or remove it"
            ) from None
        return self.value

    def number(self) -> int:
        """A whole number."""
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            self._refuse("a whole number")
        return self.value

    def texts(self) -> tuple[str, ...]:
        """A list of strings."""
        return tuple(element.text() for element in self.each())

    def _refuse(self, expected: str) -> NoReturn:
        raise DatasetError(
            f"{self.where}: expected {expected}, found {describe(self.value)}; "
            "the file is incomplete or was edited: get it again (`iemas data fetch`)"
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """One format: how to know it by its content, how to read it, under which terms its official files come."""

    name: str
    licence: str
    recognises: Callable[[Json], bool]
    dialogues: Callable[[Json], Iterator[Dialogue]]


def spoken(answers: tuple[str, ...]) -> tuple[str, ...]:
    """The answers that say something: blank ones would make every reply wrong."""
    return tuple(answer for answer in answers if answer.strip())


def exchanged(utterances: list[Json], speaker: str, text: str, asks: str, answers: str) -> Iterator[Turn]:
    """Turns out of what two said in turn: a question, and what was replied, nothing where the next is a question again.

    `speaker` and `text` are the keys of an utterance, `asks` and `answers` the two who speak.

    Raises:
        DatasetError: somebody else speaks, or an answer follows no question.
    """
    question: str | None = None
    for entry in utterances:
        who, said = entry.at(speaker).text(), entry.at(text).text()
        if who == asks:
            if question is not None:
                yield Turn(question)
            question = said
        elif who == answers and question is not None:
            yield Turn(question, spoken((said,)))
            question = None
        else:
            raise DatasetError(f"{entry.where}: {who!r} speaks, where {asks!r} asks or {answers!r} answers, in turn")
    if question is not None:
        yield Turn(question)


def describe(value: object) -> str:
    """A JSON value in a few words, for an error message."""
    if isinstance(value, dict):
        keys = ", ".join(repr(key) for key in list(value)[:5])
        return f"an object with the keys {keys}" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)} elements" if value else "an empty list"
    return "null" if value is None else f"the {type(value).__name__} {str(value)[:40]!r}"
