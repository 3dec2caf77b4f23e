"""`AnswerTable`: what every model scored on every question, measured once and replayed as often as a study likes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from experiments.errors import DatasetError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class AnswerTable:
    """Scores of M models on Q questions.

    Args:
        title: what tables print; it names the file, never the benchmark that the file is a part of.
        questions: Q texts, as a user would ask them.
        models: M names.
        scores: (Q, M) in [0, 1]; a cell that nobody measured is refused, not guessed.
        prices: (M, 2) credits of an input and of an output token; None where the source states none.
        outputs: (Q, M) tokens that each answer had; None where the source kept no answers.
        topics: what each question is of, Q names; empty where the source has none.
        measured: one sentence: by whom, on what, judged how.
        licence: the source's.
        sha256: of the bytes that were read.
        inputs: (Q, M) tokens that each model read; None where the source does not say.
        layout: the format they were in.
        ids: what each question is called, `dialogue/turn` for a turn of a dialogue; empty where the source has none.

    Raises:
        DatasetError: shapes differ, there is no question or no model, a model stands twice, a score is outside [0, 1].
    """

    title: str
    questions: tuple[str, ...]
    models: tuple[str, ...]
    scores: Floats
    prices: Floats | None = None
    outputs: NDArray[np.int64] | None = None
    topics: tuple[str, ...] = ()
    measured: str = ""
    licence: str = ""
    sha256: str = ""
    inputs: NDArray[np.int64] | None = None
    layout: str = ""
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        size = (len(self.questions), len(self.models))
        if 0 in size:
            raise DatasetError(f"{self.title} has {size[0]} questions and {size[1]} models; there must be one of each")
        if len(set(self.models)) < size[1]:
            raise DatasetError(f"{self.title} has a model twice: {', '.join(self.models)}")
        for name, wanted in (("scores", size), ("prices", (size[1], 2)), ("outputs", size), ("inputs", size)):
            found = getattr(self, name)
            if found is None:
                continue
            held = np.array(found, np.int64 if name in ("outputs", "inputs") else np.float64)
            held.flags.writeable = False
            object.__setattr__(self, name, held)
            if held.shape != wanted:
                raise DatasetError(f"{self.title}: {name} are {held.shape}; expected {wanted}")
            fine = np.isfinite(held) & (held >= 0) & (held <= (1.0 if name == "scores" else np.inf))
            if not fine.all():
                row = int(np.argwhere(~fine)[0, 0])
                raise DatasetError(f"{self.title}: {name} of row {row} are {held[row].tolist()}, out of range")
        if self.topics and len(self.topics) != size[0]:
            raise DatasetError(f"{self.title} has {len(self.topics)} topics for {size[0]} questions")
        if self.ids and (len(self.ids) != size[0] or len(set(self.ids)) < size[0]):
            raise DatasetError(f"{self.title} has {len(set(self.ids))} ids for {size[0]} questions")

    @property
    def best_single(self) -> int:
        """The model of the highest mean score."""
        return int(self.scores.mean(axis=0).argmax())

    @property
    def oracle(self) -> float:
        """The mean of each question's best score: what a router could reach."""
        return float(self.scores.max(axis=1).mean())

    def rows(self, chosen: NDArray[np.intp]) -> Self:
        """The same table with these questions, in this order."""
        return replace(
            self,
            questions=tuple(self.questions[k] for k in chosen),
            scores=self.scores[chosen],
            outputs=None if self.outputs is None else self.outputs[chosen],
            inputs=None if self.inputs is None else self.inputs[chosen],
            topics=tuple(self.topics[k] for k in chosen) if self.topics else (),
            ids=tuple(self.ids[k] for k in chosen) if self.ids else (),
        )

    def only(self, models: tuple[str, ...]) -> Self:
        """The same questions asked of some models.

        Raises:
            DatasetError: the table lacks one.
        """
        for name in models:
            if name not in self.models:
                raise DatasetError(f"{self.title} has no model {name!r}; it has: {', '.join(self.models)}")
        at = np.array([self.models.index(name) for name in models], np.intp)
        return replace(
            self,
            models=models,
            scores=self.scores[:, at],
            prices=None if self.prices is None else self.prices[at],
            outputs=None if self.outputs is None else self.outputs[:, at],
            inputs=None if self.inputs is None else self.inputs[:, at],
        )

    def split(self, training: int, test: int, seed: int = 0) -> tuple[Self, Self]:
        """Two tables without a question in common, drawn by seed.

        Raises:
            DatasetError: there are too few questions.
        """
        if training < 1 or test < 1 or training + test > len(self.questions):
            raise DatasetError(f"{self.title} has {len(self.questions)} questions; no split into {training} and {test}")
        order = np.random.default_rng(seed).permutation(len(self.questions))
        return self.rows(order[:training]), self.rows(order[training : training + test])


def joined(tables: Sequence[AnswerTable], models: tuple[str, ...]) -> AnswerTable:
    """Several tables as one, of models that all have; of a question that two have, the first counts.

    Raises:
        DatasetError: a table lacks one of the models.
    """
    found = [table.only(models) for table in tables]
    if len(found) == 1:
        return found[0]
    places: dict[str, tuple[int, int]] = {}
    for k, table in enumerate(found):
        for row, question in enumerate(table.questions):
            places.setdefault(question, (k, row))
    priced = next((table.prices for table in found if table.prices is not None), None)
    return AnswerTable(
        " + ".join(dict.fromkeys(table.title for table in found)),
        tuple(places),
        models,
        np.array([found[k].scores[row] for k, row in places.values()]),
        priced,
        measured="; ".join(dict.fromkeys(table.measured for table in found if table.measured)),
    )
