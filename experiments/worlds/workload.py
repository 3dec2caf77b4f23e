"""Workloads: recipes from which each seed draws its own traffic. Dialogues, questions of a table, requests of a trace.

Dialogues("shipped", rate=0.5)
Questions("llmrouter-train", rate=2.0, count=500)
Trace("mooncake-conversation", count=2000, speedup=0.1)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

from experiments.answers import AnswerTable, load_answers
from experiments.data import Corpus, Dialogue, arrivals, load, locate
from experiments.errors import DatasetError, StudyError
from experiments.traces import RequestTrace, load_trace
from experiments.worlds.presets import Preset
from experiments.worlds.traffic.dialogues import dialogue_traffic, question_traffic
from experiments.worlds.traffic.tokens import TokenTraffic
from experiments.worlds.traffic.traffic import Traffic


@runtime_checkable
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
        _positive(self, "rate", "dialogues", "turns", "context_words", "max_tokens", "repeat")

    @property
    def files(self) -> tuple[str, ...]:
        """Names or files."""
        return (self.data,) if isinstance(self.data, str) else tuple(self.data)

    @property
    def name(self) -> str:
        """Files and rate, and what differs from the defaults."""
        return ", ".join(
            ["+".join(map(_short, self.files)), f"{self.rate:g}/s", *_changed(self, "data", "rate", "answers")]
        )

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """The files."""
        found = tuple((name, corpus.sha256) for name, (corpus, _) in zip(self.files, self._read(), strict=True))
        return found if self.scores is None else (*found, (self.scores.title, self.scores.sha256))

    @property
    def training(self) -> None:
        """Nothing that a router could learn models' scores from."""
        return None

    @property
    def scores(self) -> AnswerTable | None:
        """What models answered to these turns."""
        return _table(self.answers) if isinstance(self.answers, str) else self.answers

    @property
    def held_out(self) -> tuple[Dialogue, ...]:
        """The dialogues to warm up on."""
        return tuple(one for _, more in self._read() for one in more)

    def draw(self, bidders: Preset, seed: int) -> Traffic:
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
        )

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
        train: rows that are kept out for learned routers to learn from; the same for every seed.
        output: tokens of an answer, where the table keeps none.
    """

    table: str | AnswerTable
    rate: float = 2.0
    count: int = 500
    models: tuple[str, ...] = ()
    train: int = 2500
    output: int = 64

    def __post_init__(self) -> None:
        _positive(self, "rate", "count", "output")

    @property
    def name(self) -> str:
        """Table and rate, and what differs from the defaults."""
        title = _short(self.table) if isinstance(self.table, str) else self.table.title
        return ", ".join([title, f"{self.rate:g}/s", *_changed(self, "table", "rate")])

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
    def training(self) -> AnswerTable:
        """What is not."""
        return self._parts()[0]

    def draw(self, bidders: Preset, seed: int) -> Traffic:
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
        )

    def _whole(self) -> AnswerTable:
        return _models(_table(self.table) if isinstance(self.table, str) else self.table, tuple(self.models))

    def _parts(self) -> tuple[AnswerTable, AnswerTable]:
        return _split(self._whole(), self.train)


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests at the moments, of the lengths and with the beginnings in common that somebody recorded.

    Args:
        trace: a name or a file of `experiments.traces`, or a trace itself.
        count: its first requests; None for all.
        speedup: how many times faster they come.
        longest: tokens of prompt and answer to which requests are cut; None leaves them whole.
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
        _positive(self, "speedup", *(["count"] if self.count is not None else []))

    @property
    def name(self) -> str:
        """Trace, and what differs from the defaults."""
        title = _short(self.trace) if isinstance(self.trace, str) else self.trace.title
        scored = (
            []
            if self.answers is None
            else [f"scored by {self.answers if isinstance(self.answers, str) else self.answers.title}"]
        )
        return ", ".join([title, *_changed(self, "trace", "answers"), *scored])

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """The trace's file, and the table's."""
        whole = _trace(self.trace)
        found = [(whole.title, whole.sha256)]
        if self.answers is not None:
            found.append((self._scores().title, self._scores().sha256))
        return tuple(found)

    @property
    def training(self) -> AnswerTable | None:
        """Rows of the table that stand for no request."""
        if self.answers is None:
            return None
        return _split(self._scores(), self.train)[0]

    def draw(self, bidders: Preset, seed: int) -> Traffic:
        """The trace; bidders and questions are drawn."""
        trace = _trace(self.trace)
        trace = trace if self.count is None else trace.first(self.count)
        trace = trace if self.longest is None else trace.clipped(self.longest)
        trace = trace if self.speedup == 1.0 else replace(trace, at_s=trace.at_s / self.speedup)
        scores = None
        if self.answers is not None:
            scores = _split(self._scores(), self.train)[1]
        return TokenTraffic(trace, bidders=bidders.bidders, preferences=bidders.draw, seed=seed, answers=scores)

    def _scores(self) -> AnswerTable:
        assert self.answers is not None
        return _table(self.answers) if isinstance(self.answers, str) else self.answers


@lru_cache(maxsize=64)
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
    whole = load(path).shortened(turns)
    longest = max((len(one.context.split()) for one in whole.dialogues), default=0)
    whole = whole.capped(context_words) if longest > context_words else whole
    held = len(whole.dialogues) - warm_up
    if held < 1:
        raise StudyError(f"{name} has {len(whole.dialogues)} dialogues; a warm-up of {warm_up} leaves none to play")
    return whole.first(min(dialogues, held)), whole.dialogues[held:]


@lru_cache(maxsize=8)
def _table(name: str) -> AnswerTable:
    return load_answers(name)


@lru_cache(maxsize=8)
def _models(table: AnswerTable, models: tuple[str, ...]) -> AnswerTable:
    return table.only(models) if models else table


@lru_cache(maxsize=8)
def _split(table: AnswerTable, train: int) -> tuple[AnswerTable, AnswerTable]:
    """To learn from, and to ask; the same for everybody.

    Raises:
        StudyError: nothing is left to ask.
    """
    asked = len(table.questions) - train
    if asked < 1:
        raise StudyError(f"{table.title} has {len(table.questions)} questions; train = {train} leaves none to ask")
    return table.split(train, asked)


@lru_cache(maxsize=4)
def _named_trace(name: str) -> RequestTrace:
    return load_trace(name)


def _trace(given: str | RequestTrace) -> RequestTrace:
    return _named_trace(given) if isinstance(given, str) else given


def _longest(table: AnswerTable, output: int) -> int:
    return output if table.outputs is None else max(int(table.outputs.max()), 1)


def _short(name: str) -> str:
    return Path(name).parent.name if name.endswith("dev.json") else Path(name).stem


def _changed(given: object, *but: str) -> list[str]:
    """Fields that are not as by default, in words."""
    fields: Sequence[str] = [name for name in type(given).__dataclass_fields__ if name not in but]  # type: ignore[attr-defined]
    found = []
    for name in fields:
        value, usual = getattr(given, name), type(given).__dataclass_fields__[name].default  # type: ignore[attr-defined]
        if value != usual:
            said = "+".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else value
            found.append(f"{name.replace('_', ' ')} {said}")
    return found


def _positive(given: object, *names: str) -> None:
    for name in names:
        value = getattr(given, name)
        if not value > 0:
            raise StudyError(f"{type(given).__name__}: {name} = {value}; expected more than 0")
