"""What every layout of answers asks of a record: its models by name, scores that are numbers in [0, 1]."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from experiments.answers.table import AnswerTable
from experiments.errors import DatasetError
from experiments.files import Record

CREDITS_PER_DOLLAR = 1000.0
"""What a price in dollars is multiplied by: a credit is a tenth of a cent, a micro-unit a billionth of a dollar.

An answer of 500 tokens by a model of 70 billion parameters, at .90 dollars per million, costs .45 credits; the smallest
list price, .10 dollars per million, is 100 micro-units a token, so that no price is lost in rounding.
"""


@dataclass(frozen=True, slots=True)
class AnswersLayout:
    """One format: how to know it by its content, how to read it, under which terms its official files come.

    `read` may leave `title`, `licence` and `sha256` empty: they are of the file, not of the layout.
    """

    name: str
    licence: str
    recognises: Callable[[Path, bytes], bool]
    read: Callable[[Path, bytes], AnswerTable]


def credits_per_token(dollars_per_million: float) -> float:
    """A list price as credits of one token (see `CREDITS_PER_DOLLAR`)."""
    return dollars_per_million * CREDITS_PER_DOLLAR / 1e6


def as_score(record: Record, model: str, value: object) -> float:
    """A score in [0, 1]: a number, true or false, or either as text.

    Raises:
        DatasetError: it is none; the message has the file and the line.
    """
    number = _number(value)
    if number is None or not isfinite(number) or not 0.0 <= number <= 1.0:
        record.refuse(f"{model} has the score {str(value)[:40]!r}; expected a number in [0, 1], or true or false")
    return number


def as_amount(record: Record, what: str, value: object) -> float:
    """A finite amount, 0 at least.

    Raises:
        DatasetError: it is none; the message has the file and the line.
    """
    number = _number(value)
    if number is None or isinstance(value, bool) or not isfinite(number) or number < 0:
        record.refuse(f"{what} is {str(value)[:40]!r}; expected a number, 0 or more")
    return number


def as_count(record: Record, what: str, value: object) -> int:
    """A whole number of tokens, 0 at least.

    Raises:
        DatasetError: it is none; the message has the file and the line.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        record.refuse(f"{what} is {str(value)[:40]!r}; expected a whole number of tokens, 0 or more")
    return value


def by_model(record: Record, models: Sequence[str], given: object) -> list[object]:
    """The values of an object in the order of `models`, whichever order it has itself.

    Raises:
        DatasetError: it lacks a model, or has another; the message has the file and the line.
    """
    if not isinstance(given, Mapping):
        record.refuse(f"expected an object with a value for each model, found {str(given)[:40]!r}")
    lacking = [model for model in models if model not in given]
    others = [str(name) for name in given if name not in models]
    if lacking or others:
        said = [f"lacks {', '.join(lacking)}"] * bool(lacking) + [f"has also {', '.join(others)}"] * bool(others)
        record.refuse(f"it {' and '.join(said)}; every record must have the models of the first: {', '.join(models)}")
    return [given[model] for model in models]


class Once:
    """Refuses what stands in a file twice."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._seen: dict[str, int] = {}

    def check(self, record: Record, value: str) -> str:
        """The value, where it stands for the first time.

        Raises:
            DatasetError: it does not; the message has both lines.
        """
        first = self._seen.setdefault(value, record.line)
        if first != record.line:
            record.refuse(f"{self._what} {value[:60]!r} stands in {record.unit} {first} already; remove one of them")
        return value


def some(path: Path, records: Iterable[Record]) -> list[Record]:
    """The records of a file that has any.

    Raises:
        DatasetError: there is none.
    """
    found = list(records)
    if not found:
        raise DatasetError(f"{path} holds no question; get the raw file again")
    return found


def _number(value: object) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        flag = {"true": 1.0, "false": 0.0}.get(value.strip().lower())
        if flag is not None:
            return flag
        try:
            return float(value)
        except ValueError:
            return None
    return None
