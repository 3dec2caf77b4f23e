"""Workloads: recipes from which each seed draws its own traffic. Dialogues, questions of a table, requests of a trace.
`experiments.worlds.mix` plays several at the same time.

Dialogues("shipped", rate=0.5)
Questions("llmrouter-train", rate=2.0, count=500)
Trace("mooncake-conversation", count=2000, speedup=0.1)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from experiments.answers import AnswerTable, load_answers
from experiments.data import Corpus, Dialogue, arrivals, load, locate
from experiments.errors import DatasetError, StudyError
from experiments.traces import RequestTrace, load_trace
from experiments.worlds.fields import counts, files_of, named, numbers, written
from experiments.worlds.presets import Preset
from experiments.worlds.traffic.dialogues import DialogueTraffic, dialogue_traffic, question_traffic
from experiments.worlds.traffic.tokens import TokenTraffic
from experiments.worlds.traffic.traffic import ALONE, Traffic, Within


class Workload(Protocol):
    """Draws traffic; the same seed draws the same."""

    @property
    def name(self) -> str:
        """As tables print it: what differs from the defaults."""
        ...

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """Names of the files it reads, each with its SHA-256."""
        ...

    @property
    def training(self) -> AnswerTable | None:
        """What learned routers may learn from beforehand: nothing that is asked."""
        ...

    def draw(self, bidders: Preset, seed: int) -> Traffic:
        """Traffic of these bidders."""
        ...


@dataclass(frozen=True, slots=True)
class Dialogues:
    """Conversations of one or several files, each begun as a Poisson process has it.

    Args:
        data: names or files, as `--data` takes them.
        rate: dialogues that begin a second.
        dialogues, turns, context_words: cut each file.
        warm_up: the last dialogues of each file, which are kept out: agents have answered them before.
        answers: a table with what models answered to these very turns (`iemas record answers` makes one); without,
            answers are right as often as an assumed skill has it.
        repeat: how many conversations each dialogue is, for runs that are longer than the files.
    """

    data: str | tuple[str, ...] = "shipped"
    rate: float = 0.5
    dialogues: int = 20
    turns: int = 12
    context_words: int = 400
    max_tokens: int = 48
    think_time_s: float = 5.0
    warm_up: int = 0
    answers: str | AnswerTable | None = None
    repeat: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", files_of(self, "data"))
        named(self, "answers", AnswerTable, needed=False)
        numbers(self, "rate", "think_time_s", or_none=("think_time_s",))
        counts(self, "dialogues", "turns", "context_words", "max_tokens", "warm_up", "repeat", or_none=("warm_up",))

    @property
    def files(self) -> tuple[str, ...]:
        """Names or files."""
        return (self.data,) if isinstance(self.data, str) else tuple(self.data)

    @property
    def name(self) -> str:
        """Files and rate, and what differs from the defaults."""
        files = "+".join(map(_short, self.files))
        return ", ".join([files, f"{written(self.rate)}/s", *_changed(self, "data", "rate", "answers"), *_scored(self)])

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """The files."""
        found = tuple((name, corpus.sha256) for name, (corpus, _) in zip(self.files, self._read(), strict=True))
        return found if self.scores is None else (*found, (self.scores.title, self.scores.sha256))

    @property
    def training(self) -> AnswerTable | None:
        """Answers to the dialogues that are kept out; None where there are none, or they were not recorded."""
        return self._scores_of(self.held_out) if self.warm_up else None

    @property
    def scored(self) -> AnswerTable | None:
        """Answers to what is asked; None where none were recorded."""
        return self._scores_of(self.played)

    @property
    def scores(self) -> AnswerTable | None:
        """What models answered to these turns."""
        return None if self.answers is None else _table_of(self.answers)

    @property
    def played(self) -> tuple[Dialogue, ...]:
        """The dialogues that are held."""
        return tuple(one for corpus, _ in self._read() for one in corpus.dialogues)

    @property
    def held_out(self) -> tuple[Dialogue, ...]:
        """The dialogues to warm up on."""
        return tuple(one for _, more in self._read() for one in more)

    def draw(self, bidders: Preset, seed: int, within: Within = ALONE) -> DialogueTraffic:
        """Dialogues in shuffled order, dealt to bidders in turn."""
        corpora = [corpus for corpus, _ in self._read()]
        count = self.repeat * sum(len(corpus.dialogues) for corpus in corpora)
        return dialogue_traffic(
            corpora,
            arrivals(count, rate_per_s=self.rate, think_time_s=self.think_time_s, seed=seed),
            bidders=bidders.bidders,
            preferences=bidders.draw,
            max_tokens=self.max_tokens,
            seed=seed,
            table=self.scores,
            repeat=self.repeat,
            within=within,
        )

    def _scores_of(self, dialogues: Sequence[Dialogue]) -> AnswerTable | None:
        if self.scores is None:
            return None
        chosen = {one.id for one in dialogues}
        rows = [k for k, name in enumerate(self.scores.ids) if name.rpartition("/")[0] in chosen]
        return self.scores.rows(np.array(rows, np.intp)) if rows else None

    def _read(self) -> list[tuple[Corpus, tuple[Dialogue, ...]]]:
        return [corpus_of(name, self.dialogues, self.turns, self.context_words, self.warm_up) for name in self.files]


@dataclass(frozen=True, slots=True)
class Questions:
    """Single questions whose answers every model was scored on beforehand.

    Args:
        table: a name or a file of `experiments.answers`, or a table itself.
        rate: questions a second, a Poisson process.
        count: questions that a seed asks; drawn without replacement while they last.
        models: which of the table's; default all.
        train: rows that are kept out for learned routers to learn from, the same for every seed; 0 where none learns.
        output: tokens of an answer, where the table keeps none.
    """

    table: str | AnswerTable
    rate: float = 2.0
    count: int = 500
    models: tuple[str, ...] = ()
    train: int = 2500
    output: int = 64

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", (self.models,) if isinstance(self.models, str) else tuple(self.models))
        named(self, "table", AnswerTable)
        numbers(self, "rate")
        counts(self, "count", "train", "output", or_none=("train",))

    @property
    def name(self) -> str:
        """Table and rate, and what differs from the defaults."""
        title = _short(self.table) if isinstance(self.table, str) else self.table.title
        return ", ".join([title, f"{written(self.rate)}/s", *_changed(self, "table", "rate")])

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """The table's file."""
        whole = self._whole()
        return ((whole.title, whole.sha256),)

    @property
    def scored(self) -> AnswerTable:
        """What is asked."""
        return self._parts()[1]

    @property
    def training(self) -> AnswerTable | None:
        """What is not; None where nothing is kept out."""
        return self._parts()[0]

    def draw(self, bidders: Preset, seed: int, within: Within = ALONE) -> DialogueTraffic:
        """Questions in random order, dealt to bidders at random."""
        schedule = arrivals(self.count, rate_per_s=self.rate, seed=seed)
        return question_traffic(
            self.scored,
            schedule.starts_s,
            bidders=bidders.bidders,
            preferences=bidders.draw,
            max_tokens=_longest(self.scored, self.output),
            seed=seed,
            output=self.output,
            within=within,
        )

    def _whole(self) -> AnswerTable:
        return _models(_table_of(self.table), self.models)

    def _parts(self) -> tuple[AnswerTable | None, AnswerTable]:
        return _split(self._whole(), self.train)


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests at the moments, of the lengths and with the beginnings in common that somebody recorded.

    Args:
        trace: a name or a file of `experiments.traces`, or a trace itself.
        count: its first requests; None for all.
        speedup: how many times faster they come.
        longest: tokens to which prompts are cut; None leaves them whole.
        answers: a table whose scores stand for quality; without, every answer counts as right.
        train: of that table's rows, kept out as in `Questions`.
    """

    trace: str | RequestTrace
    count: int | None = None
    speedup: float = 1.0
    longest: int | None = None
    answers: str | AnswerTable | None = None
    train: int = 2500

    def __post_init__(self) -> None:
        named(self, "trace", RequestTrace)
        named(self, "answers", AnswerTable, needed=False)
        numbers(self, "speedup")
        given = [name for name in ("count", "longest") if getattr(self, name) is not None]
        counts(self, *given, "train", or_none=("train",))

    @property
    def name(self) -> str:
        """Trace, and what differs from the defaults."""
        title = _short(self.trace) if isinstance(self.trace, str) else self.trace.title
        return ", ".join([title, *_changed(self, "trace", "answers"), *_scored(self)])

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """The trace's file, and the table's."""
        whole = _trace(self.trace)
        found = [(whole.title, whole.sha256)]
        if self.scores is not None:
            found.append((self.scores.title, self.scores.sha256))
        return tuple(found)

    @property
    def scores(self) -> AnswerTable | None:
        """Scores that stand for quality."""
        return None if self.answers is None else _table_of(self.answers)

    @property
    def training(self) -> AnswerTable | None:
        """Rows of the table that stand for no request."""
        return None if self.scores is None else _split(self.scores, self.train)[0]

    @property
    def scored(self) -> AnswerTable | None:
        """Rows of the table that stand for requests."""
        return None if self.scores is None else _split(self.scores, self.train)[1]

    def draw(self, bidders: Preset, seed: int, within: Within = ALONE) -> TokenTraffic:
        """The trace; bidders and questions are drawn."""
        trace = _trace(self.trace)
        trace = trace if self.count is None else trace.first(self.count)
        trace = trace if self.longest is None else trace.clipped(self.longest)
        trace = trace if self.speedup == 1.0 else replace(trace, at_s=trace.at_s / self.speedup)
        return TokenTraffic(
            trace,
            bidders=bidders.bidders,
            preferences=bidders.draw,
            seed=seed,
            answers=self.scored,
            within=within,
        )


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


def _table_of(given: str | AnswerTable) -> AnswerTable:
    return _table(given, _changed_ns(given)) if isinstance(given, str) else given


@lru_cache(maxsize=8)
def _table(name: str, changed_ns: int) -> AnswerTable:
    return load_answers(name)


def _changed_ns(name: str) -> int:
    """When a file of this name was written last; what was fetched stays as it is."""
    return Path(name).stat().st_mtime_ns if Path(name).exists() else 0


@lru_cache(maxsize=8)
def _models(table: AnswerTable, models: tuple[str, ...]) -> AnswerTable:
    return table.only(models) if models else table


@lru_cache(maxsize=8)
def _split(table: AnswerTable, train: int) -> tuple[AnswerTable | None, AnswerTable]:
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


def _trace(given: str | RequestTrace) -> RequestTrace:
    return _named_trace(given, _changed_ns(given)) if isinstance(given, str) else given


def _longest(table: AnswerTable, output: int) -> int:
    return output if table.outputs is None else max(int(table.outputs.max()), 1)


def _short(name: str) -> str:
    return Path(name).parent.name if name.endswith("dev.json") else Path(name).stem


def _scored(given: "Dialogues | Trace") -> list[str]:
    """By which table answers are right, in words."""
    if given.answers is None:
        return []
    return [f"scored by {given.answers if isinstance(given.answers, str) else given.answers.title}"]


def _changed(given: object, *but: str) -> list[str]:
    """Fields that are not as by default, in words."""
    fields: Sequence[str] = [name for name in type(given).__dataclass_fields__ if name not in but]  # type: ignore[attr-defined]
    found = []
    for name in fields:
        value, usual = getattr(given, name), type(given).__dataclass_fields__[name].default  # type: ignore[attr-defined]
        if value != usual:
            found.append(f"{name.replace('_', ' ')} {said(value)}")
    return found


def said(value: object) -> str:
    """A field of a workload, as tables print it."""
    if isinstance(value, (AnswerTable, RequestTrace)):
        return value.title
    if isinstance(value, tuple):
        return "+".join(map(str, value))
    return written(value) if isinstance(value, float) else str(value)
