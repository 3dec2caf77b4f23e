"""Workloads: recipes from which each seed draws its own traffic. Dialogues, questions of a table, requests of a trace.
`experiments.worlds.workloads.mix` plays several at the same time.

Dialogues("shipped", rate=0.5)
Questions("llmrouter-train", rate=2.0, count=500)
Trace("mooncake-conversation", count=2000, speedup=0.1)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Protocol

import numpy as np

from experiments.answers import AnswerTable
from experiments.data import Corpus, Dialogue, arrivals
from experiments.traces import RequestTrace
from experiments.worlds.presets import Preset
from experiments.worlds.traffic.dialogues import DialogueTraffic, dialogue_traffic, question_traffic
from experiments.worlds.traffic.tokens import TokenTraffic
from experiments.worlds.traffic.traffic import ALONE, Traffic, Within
from experiments.worlds.workloads.fields import called, changed, counts, files_of, named, numbers, written
from experiments.worlds.workloads.reading import corpus_of, models_of, split, table_of, trace_of


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
        return ", ".join([files, f"{written(self.rate)}/s", *changed(self, "data", "rate", "answers"), *_scored(self)])

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """The files, as tables print them."""
        read = zip(self.files, self._read(), strict=True)
        found = tuple((called(name), corpus.sha256) for name, (corpus, _) in read)
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
        return None if self.answers is None else table_of(self.answers)

    @property
    def played(self) -> tuple[Dialogue, ...]:
        """The dialogues that are held."""
        return tuple(one for corpus, _ in self._read() for one in corpus.dialogues)

    @property
    def held_out(self) -> tuple[Dialogue, ...]:
        """The dialogues to warm up on."""
        return tuple(one for _, more in self._read() for one in more)

    @property
    def arrivals(self) -> tuple[int, float]:
        """Conversations, and how many begin a second."""
        return self.repeat * len(self.played), self.rate

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
        return ", ".join([title, f"{written(self.rate)}/s", *changed(self, "table", "rate")])

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

    @property
    def arrivals(self) -> tuple[int, float]:
        """Questions, and how many are asked a second."""
        return self.count, self.rate

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
        return models_of(table_of(self.table), self.models)

    def _parts(self) -> tuple[AnswerTable | None, AnswerTable]:
        return split(self._whole(), self.train)


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
        return ", ".join([title, *changed(self, "trace", "answers"), *_scored(self)])

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """The trace's file, and the table's."""
        whole = trace_of(self.trace)
        found = [(whole.title, whole.sha256)]
        if self.scores is not None:
            found.append((self.scores.title, self.scores.sha256))
        return tuple(found)

    @property
    def scores(self) -> AnswerTable | None:
        """Scores that stand for quality."""
        return None if self.answers is None else table_of(self.answers)

    @property
    def training(self) -> AnswerTable | None:
        """Rows of the table that stand for no request."""
        return None if self.scores is None else split(self.scores, self.train)[0]

    @property
    def scored(self) -> AnswerTable | None:
        """Rows of the table that stand for requests."""
        return None if self.scores is None else split(self.scores, self.train)[1]

    @property
    def arrivals(self) -> tuple[int, float]:
        """Requests, and how many come a second, infinitely many where all come at once."""
        found = self.requests.stats()
        return found.requests, found.per_s or inf

    @property
    def requests(self) -> RequestTrace:
        """What is asked, as much of the trace as is used."""
        trace = trace_of(self.trace)
        trace = trace if self.count is None else trace.first(self.count)
        trace = trace if self.longest is None else trace.clipped(self.longest)
        return trace if self.speedup == 1.0 else replace(trace, at_s=trace.at_s / self.speedup)

    def draw(self, bidders: Preset, seed: int, within: Within = ALONE) -> TokenTraffic:
        """The trace; bidders and questions are drawn."""
        trace = self.requests if within.arrivals is None else self.requests.first(within.arrivals)
        return TokenTraffic(
            trace.scaled(within.pace),
            bidders=bidders.bidders,
            preferences=bidders.draw,
            seed=seed,
            answers=self.scored,
            within=within,
        )


def _longest(table: AnswerTable, output: int) -> int:
    return output if table.outputs is None else max(int(table.outputs.max()), 1)


def _short(name: str) -> str:
    return Path(name).parent.name if name.endswith("dev.json") else Path(name).stem


def _scored(given: "Dialogues | Trace") -> list[str]:
    """By which table answers are right, in words."""
    if given.answers is None:
        return []
    return [f"scored by {called(given.answers) if isinstance(given.answers, str) else given.answers.title}"]
