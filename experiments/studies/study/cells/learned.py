"""Learned routers of a study, fitted once a process on rows that are never asked."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.embedding import BatchEmbedder, Counted, Vector, table_vectors
from experiments.routers.learned.policy import Calibrated, LearnedSkill, Routed
from experiments.routers.learned.router import QueryRouter
from experiments.studies.routing.comparison import LEARNED as FACTORIES
from experiments.studies.routing.study import find_embedder
from runtime.policies.policy import Agent
from runtime.policies.skill import QualityModel

#: Routers by name; `NAME@hashed` embeds by letters alone, which needs no download.
LEARNED: Sequence[str] = tuple(FACTORIES)


def is_learned(name: str) -> bool:
    """Whether a router of this name learns from a table."""
    return name.partition("@")[0] in FACTORIES


def learned_policy(name: str, table: AnswerTable, asked: Sequence[str], called: Mapping[str, str]) -> Routed:
    """Each request to the agent whose model the router scores highest.

    Args:
        table: what it learns from.
        asked: questions that will be asked, which are embedded together with the table's.
        called: the table's name of a model that a fleet calls otherwise.
    """
    router, embedder = _Fitted.of(name, table, asked)
    return Routed(router, embedder, called=called)


def learned_skill(
    name: str, table: AnswerTable, asked: Sequence[str], called: Mapping[str, str]
) -> Callable[[Sequence[Agent]], QualityModel]:
    """What makes the auction's idea of quality from a router."""
    router, embedder = _Fitted.of(f"{name}!", table, asked)
    return lambda agents: LearnedSkill(router, embedder, agents, called=called)


def embed_before(name: str, table: AnswerTable, asked: Sequence[str], progress: Counted) -> None:
    """Embed whatever a router of this name will look at, and keep it on disk: processes then read it."""
    _vectors(name.partition("@")[2] or "minilm", (*table.questions, *asked), progress)


class _Known:
    """An embedder that has embedded some texts before."""

    def __init__(self, embedder: BatchEmbedder, texts: Sequence[str], vectors: Vector) -> None:
        self._embedder, self.size = embedder, embedder.size
        self._held = dict(zip(texts, vectors, strict=True))

    def embed(self, text: str) -> Vector:
        """(size,) its vector."""
        held = self._held.get(text)
        return self._embedder.embed(text) if held is None else held


class _Fitted:
    """Routers that were fitted by this process; a table is known by its content, not by what it calls itself."""

    _held: ClassVar[dict[tuple[str, bytes], tuple[QueryRouter, _Known]]] = {}

    @classmethod
    def of(cls, name: str, table: AnswerTable, asked: Sequence[str]) -> tuple[QueryRouter, _Known]:
        """The router; with `!`, one that foretells scores."""
        content = hashlib.sha256("\0".join((*table.models, *table.questions, *asked)).encode("utf-8", "surrogatepass"))
        content.update(table.scores.tobytes())
        key = (name, content.digest())
        held = cls._held.get(key)
        if held is None:
            plain, _, by = name.rstrip("!").partition("@")
            if plain not in FACTORIES:
                raise StudyError(f"no learned router {plain!r}; there are: {', '.join(FACTORIES)}")
            texts = (*table.questions, *asked)
            vectors = _vectors(by or "minilm", texts)
            router = FACTORIES[plain]()
            if name.endswith("!") and not router.foretells:
                router = Calibrated(router)
            router.fit(vectors[: len(table.questions)], table)
            held = cls._held[key] = (router, _Known(_embedder(by or "minilm"), texts, vectors))
        return held


def _vectors(by: str, texts: Sequence[str], progress: Counted = lambda done, total: None) -> Vector:
    return table_vectors(texts, _embedder(by), progress=progress)


@lru_cache(maxsize=4)
def _embedder(name: str) -> BatchEmbedder:
    return find_embedder(name, lambda doing, fraction: None)
