"""What workloads read, each file once: dialogues, tables of answers, traces."""

from functools import lru_cache
from pathlib import Path

from experiments.answers import AnswerTable, load_answers
from experiments.data import Corpus, Dialogue, load, locate
from experiments.errors import DatasetError, StudyError
from experiments.traces import RequestTrace, load_trace


def corpus_of(
    name: str, dialogues: int, turns: int, context_words: int = 400, warm_up: int = 0
) -> tuple[Corpus, tuple[Dialogue, ...]]:
    """The first dialogues of a file, and its last, which are to warm up on.

    Raises:
        StudyError: the warm-up leaves none.
        DatasetError: there is no such file, or it is a folder.
    """
    path = locate(name)
    if not path.is_file():
        raise DatasetError(f"{name} is a folder; name its files, one by one")
    return _corpus(name, path, path.stat().st_mtime_ns, dialogues, turns, context_words, warm_up)


@lru_cache(maxsize=64)
def _corpus(
    name: str, path: Path, changed_ns: int, dialogues: int, turns: int, context_words: int, warm_up: int
) -> tuple[Corpus, tuple[Dialogue, ...]]:
    whole = load(path).shortened(turns)
    longest = max((len(one.context.split()) for one in whole.dialogues), default=0)
    whole = whole.capped(context_words) if longest > context_words else whole
    held = len(whole.dialogues) - warm_up
    if held < 1:
        raise StudyError(f"{name} has {len(whole.dialogues)} dialogues; a warm-up of {warm_up} leaves none to play")
    return whole.first(min(dialogues, held)), whole.dialogues[held:]


def table_of(given: str | AnswerTable) -> AnswerTable:
    """A table of answers, of a name or a file where it is none."""
    return _table(given, _changed_ns(given)) if isinstance(given, str) else given


@lru_cache(maxsize=8)
def _table(name: str, changed_ns: int) -> AnswerTable:
    return load_answers(name)


def _changed_ns(name: str) -> int:
    """When a file of this name was written last; what was fetched stays as it is."""
    return Path(name).stat().st_mtime_ns if Path(name).exists() else 0


@lru_cache(maxsize=8)
def models_of(table: AnswerTable, models: tuple[str, ...]) -> AnswerTable:
    """A table of some of its models, of all where none is named."""
    return table.only(models) if models else table


@lru_cache(maxsize=8)
def split(table: AnswerTable, train: int) -> tuple[AnswerTable | None, AnswerTable]:
    """To learn from, if anything is, and to ask; the same for everybody.

    Raises:
        StudyError: nothing is left to ask.
    """
    asked = len(table.questions) - train
    if asked < 1:
        raise StudyError(
            f"{table.title} has {len(table.questions)} questions; train = {train} leaves none to ask: give less, "
            "or 0 where nothing is learnt beforehand"
        )
    if train == 0:
        return None, table
    return table.split(train, asked)


@lru_cache(maxsize=4)
def _named_trace(name: str, changed_ns: int) -> RequestTrace:
    return load_trace(name)


def trace_of(given: str | RequestTrace) -> RequestTrace:
    """A trace, of a name or a file where it is none."""
    return _named_trace(given, _changed_ns(given)) if isinstance(given, str) else given
