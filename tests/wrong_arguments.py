"""What every public function and class owes to a caller's mistake: an error of ours that names the value.

A `Call` is a valid call. Each of its arguments in turn is replaced by junk of every kind, the others stay valid.
"""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol

#: What a caller may write by mistake in place of anything.
JUNK: tuple[Any, ...] = (3, "x", None, [[1]], object())


@dataclass(frozen=True)
class Call:
    """A valid call; `takes` are the junk that is right for an argument, so that it may return, or "anything"."""

    function: Callable[..., object]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    takes: Mapping[str, Any] = field(default_factory=dict)

    def valid(self) -> object:
        """What the valid call returns."""
        return self.function(**self.arguments)

    def faults(self, ours: tuple[type[BaseException], ...]) -> Iterator[str]:
        """Each junk that is accepted without being right, or raises no error of ours, or one without a word."""
        for name in self.arguments:
            right = self.takes.get(name, ())
            for junk in () if right == "anything" else JUNK:
                try:
                    found = self.function(**{**self.arguments, name: junk})
                except ours as error:
                    if not str(error):
                        yield f"{name}={junk!r}: {type(error).__name__} without a word"
                except BaseException as error:
                    yield f"{name}={junk!r}: {type(error).__name__}: {error}"
                else:
                    if not any(junk is each or (type(junk) is type(each) and junk == each) for each in right):
                        yield f"{name}={junk!r}: nothing is raised, it returns {found!r}"


def untried(room: ModuleType, calls: Collection[str]) -> list[str]:
    """Public functions and classes of a room that no call is named after; protocols, enumerations, errors left out."""
    return [
        name
        for name in room.__all__
        if callable(public := getattr(room, name)) and not _never_called(public) and not _among(name, calls)
    ]


def _never_called(public: Any) -> bool:
    if not inspect.isclass(public):
        return False
    # A protocol is what others write, an error is raised by us.
    return issubclass(public, BaseException) or Protocol in public.__bases__


def _among(name: str, calls: Collection[str]) -> bool:
    return any(call == name or call.startswith(f"{name}.") for call in calls)
