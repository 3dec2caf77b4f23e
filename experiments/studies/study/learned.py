"""Learned routers of a study, fitted once a process on rows that are never asked."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.embedding import BatchEmbedder, table_vectors
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


def learned_policy(name: str, table: AnswerTable, called: Mapping[str, str]) -> Routed:
    """Each request to the agent whose model the router scores highest.

    Args:
        called: the table's name of a model that a fleet calls otherwise.
    """
    router, embedder = _Fitted.of(name, table)
    return Routed(router, embedder, called=called)


def learned_skill(
    name: str, table: AnswerTable, called: Mapping[str, str]
) -> Callable[[Sequence[Agent]], QualityModel]:
    """What makes the auction's idea of quality from a router."""
    router, embedder = _Fitted.of(f"{name}!", table)
    return lambda agents: LearnedSkill(router, embedder, agents, called=called)


class _Fitted:
    """Routers that were fitted by this process; a table is known by its content, not by what it calls itself."""

    _held: ClassVar[dict[tuple[str, bytes], tuple[QueryRouter, BatchEmbedder]]] = {}

    @classmethod
    def of(cls, name: str, table: AnswerTable) -> tuple[QueryRouter, BatchEmbedder]:
        """The router; with `!`, one that foretells scores."""
        content = hashlib.sha256("\0".join((*table.models, *table.questions)).encode("utf-8", "surrogatepass"))
        content.update(table.scores.tobytes())
        key = (name, content.digest())
        held = cls._held.get(key)
        if held is None:
            plain, _, by = name.rstrip("!").partition("@")
            if plain not in FACTORIES:
                raise StudyError(f"no learned router {plain!r}; there are: {', '.join(FACTORIES)}")
            embedder = _embedder(by or "minilm")
            router = FACTORIES[plain]()
            if name.endswith("!") and not router.foretells:
                router = Calibrated(router)
            router.fit(table_vectors(table.questions, embedder), table)
            held = cls._held[key] = (router, embedder)
        return held


@lru_cache(maxsize=4)
def _embedder(name: str) -> BatchEmbedder:
    return find_embedder(name, lambda doing, fraction: None)
