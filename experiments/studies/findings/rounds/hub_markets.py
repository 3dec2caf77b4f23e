"""Rounds of a large fleet, drawn from real dialogues: who asks what, who is good at it, whose cache is warm.

Texts, their lengths and which turns share a prefix are real; agents' skills, prices and speeds are drawn. Agents are
grouped by what anybody may know of them: their scores on questions put to all beforehand, and their prices.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from allocation import Market, to_micros
from experiments.data import Corpus, find_real, load, shipped
from experiments.errors import StudyError
from experiments.worlds.presets import find_preset
from prediction import HashedNgrams

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: A token is about three quarters of an English word.
_TOKENS_A_WORD = 4 / 3
_OUTPUT = 64
#: Credits a prompt token, at the least and at the most; a cached token costs a tenth, output twice as much.
_PRICES = (0.005, 0.04)
#: Seconds a prompt token at the lowest price, and to begin with; dearer agents are slower in proportion.
_TOKEN_S, _START_S = 5e-4, 0.1
#: Slots of the fleet for each request: somebody has to do without the agent that they would like.
CAPACITY = 0.9
_PROBES = 400


@dataclass(frozen=True, slots=True)
class Job:
    """A drawn fleet and round at one seed; `where` holds the texts."""

    where: str
    agents: int
    requests: int
    seed: int

    @property
    def title(self) -> str:
        """As errors name it."""
        return f"{self.agents} agents, {self.requests} requests at seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Asked:
    """Turns that may be asked: (T,) topic, conversation, turn, tokens up to it; (T, D) vectors of the questions."""

    topics: Ints
    conversations: Ints
    turns: Ints
    tokens: Ints
    vectors: NDArray[np.float32]
    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Round:
    """N requests, M agents; where a request's last turn was served decides what is cached.

    `skills` (N, M) chances of a right answer; `types` (N, 2) true worth in credits, and cost of a second's delay;
    `seen` (N,) tokens of earlier turns; `openings` N names of conversations.
    """

    vectors: NDArray[np.float32]
    skills: Floats
    tokens: Ints
    seen: Ints
    prices: Floats
    capacities: Ints
    openings: tuple[bytes, ...]
    types: Floats

    def before(self) -> "Round":
        """The turn before of the conversations that had one: what leaves the caches."""
        kept = np.flatnonzero(self.seen > 0)
        return replace(
            self,
            vectors=self.vectors[kept],
            skills=self.skills[kept],
            tokens=self.seen[kept],
            seen=np.zeros(kept.size, np.int64),
            openings=tuple(self.openings[i] for i in kept),
            types=self.types[kept],
        )

    def service(self, homes: Ints) -> tuple[Floats, Floats]:
        """(N, M) seconds to the first token, and credits; (N,) `homes` served the turn before, -1 for none."""
        cached = np.zeros(self.skills.shape, np.int64)
        warm = np.flatnonzero(homes >= 0)
        cached[warm, homes[warm]] = self.seen[warm]
        fresh = self.tokens[:, None] - cached
        late = _START_S + _TOKEN_S * self.prices / _PRICES[0] * fresh
        return late, self.prices * (fresh + cached / 10 + 2 * _OUTPUT)

    def market(self, homes: Ints, feasible: Mask | None = None) -> Market:
        """The market after these turns; pairs that are not `feasible` are forbidden."""
        late, costs = self.service(homes)
        # `Preferences.value` of all rows at once.
        values = self.types[:, :1] * self.skills - self.types[:, 1:] * late
        return Market(to_micros(values), to_micros(costs), self.capacities, feasible)


@dataclass(frozen=True, slots=True)
class Known:
    """What is public of agents: (P, D) vectors of probes, and (P, M) how right each agent was about them."""

    vectors: NDArray[np.float32]
    scores: NDArray[np.bool_]
    topics: Ints

    def capabilities(self, prices: Floats) -> Floats:
        """(M, F) scores by topic, and the price on a logarithmic scale, each with mean 0 and deviation 1."""
        rows = [self.scores[self.topics == topic].mean(axis=0) for topic in np.unique(self.topics)]
        table = np.stack([*rows, np.log(prices)], axis=1)
        deviation = table.std(axis=0)
        scaled: Floats = (table - table.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
        return scaled


@lru_cache(maxsize=2)
def asked(where: str) -> Asked:
    """All turns of the shipped dialogues and of a folder's real files; topics are files, or documents of a lone one."""
    corpora: list[Corpus] = [shipped(), *(load(path) for path in (find_real([where]) if where else ()))]
    embedder = HashedNgrams()
    kinds: dict[str, int] = {}
    rows: list[tuple[int, int, int, int]] = []
    vectors = []
    conversations = 0
    for corpus in corpora:
        for dialogue in corpus.dialogues:
            name = dialogue.source if len(corpora) == 1 else corpus.name
            topic = kinds.setdefault(name, len(kinds))
            words = len(dialogue.context.split())
            for turn, one in enumerate(dialogue.turns):
                words += len(one.question.split())
                rows.append((topic, conversations, turn, max(int(words * _TOKENS_A_WORD), 1)))
                vectors.append(embedder.embed(one.question))
                words += len(one.answers[0].split()) if one.answers else 0
            conversations += 1
    topics, names, turns, tokens = np.array(rows, np.int64).T
    sources = tuple((corpus.name, corpus.sha256) for corpus in corpora)
    return Asked(topics, names, turns, tokens, np.stack(vectors), sources)


def draw(where: str, agents: int, requests: int, seed: int) -> tuple[Round, Known]:
    """A round, and what is public of the agents in it.

    An agent's skill rises with its price, and is greater in two topics that it is made for.

    Raises:
        StudyError: no agent or no request.
    """
    if agents < 1 or requests < 1:
        raise StudyError(f"{agents} agents and {requests} requests; a round needs one of each at least")
    given, rng = asked(where), np.random.default_rng(seed)
    low, high = _PRICES
    places = rng.random(agents)
    prices = low * (high / low) ** places
    kinds = int(given.topics.max()) + 1
    base = 0.3 + 0.4 * places + 0.1 * rng.standard_normal(agents)
    made_for = np.zeros((kinds, agents))
    for j in range(agents):
        made_for[rng.permutation(kinds)[:2], j] = 0.25
    skills = np.clip(base + made_for, 0.02, 0.98)
    probes = rng.choice(given.topics.size, _PROBES)
    scores = rng.random((_PROBES, agents)) < skills[given.topics[probes]]
    # Conversations come again under other bidders' documents: their prefixes are their own.
    rows = rng.choice(given.topics.size, requests)
    seen = np.where(given.turns[rows] > 0, given.tokens[rows - 1], 0)
    each, rest = divmod(max(round(CAPACITY * requests), 1), agents)
    capacities = np.full(agents, each, np.int64)
    capacities[rng.permutation(agents)[:rest]] += 1
    types = [find_preset("differing").draw(rng) for _ in range(requests)]
    made = Round(
        given.vectors[rows],
        skills[given.topics[rows]],
        given.tokens[rows],
        seen,
        prices,
        capacities,
        tuple(f"{seed}/{k}/{given.conversations[row]}".encode() for k, row in enumerate(rows)),
        np.array([(one.worth, one.delay_cost) for one in types]),
    )
    return made, Known(given.vectors[probes], scores, given.topics[probes])


def alike(table: Floats, count: int) -> Ints:
    """(M,) the hub of each agent, where hubs hold agents that are alike: agglomerative, by variance (Ward 1963).

    Raises:
        StudyError: there are more hubs than agents, or scikit-learn is not installed.
    """
    agents = len(table)
    if not 1 <= count <= agents:
        raise StudyError(f"{count} hubs of {agents} agents; expected 1 to {agents}")
    if count == 1:
        return np.zeros(agents, np.int64)
    try:
        from sklearn.cluster import AgglomerativeClustering  # type: ignore[import-untyped]
    except ImportError as error:
        raise StudyError("scikit-learn is not installed; install iemas[baselines]") from error
    return np.asarray(AgglomerativeClustering(count).fit_predict(table), np.int64)


def mixed(table: Floats, count: int) -> Ints:
    """(M,) the hub of each agent, where each hub has some of every kind: the sorted leaves are dealt out in turn."""
    kinds = alike(table, min(max(count, 2), len(table)))
    found = np.empty(len(table), np.int64)
    found[np.argsort(kinds, kind="stable")] = np.arange(len(table)) % count
    return found
