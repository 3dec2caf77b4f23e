"""Learned routers at work: a policy that follows one, and a quality model by which the auction uses the very same."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from allocation import UNSERVED
from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.embedding import Remembered
from experiments.routers.learned.router import Floats, QueryRouter, Users, Vectors, chances, check_fitted
from prediction import Embedder
from runtime import Agent, Decision, Event, Fleet, Offer
from runtime.policies.paper import possible
from runtime.policies.skill import question

#: Requests whose scores are remembered.
_MEMORY = 4096


class _Scores:
    """(M,) scores of a request by agent: the last user's message embedded once, whoever asks for them how often."""

    def __init__(
        self, router: QueryRouter, embedder: Embedder, called: Mapping[str, str] | None, memory: int = _MEMORY
    ) -> None:
        check_fitted(router)
        self._router, self._embedder, self._called = router, embedder, called or {}
        self._remembered = Remembered[Floats](memory)

    def columns(self, agents: Sequence[Agent]) -> NDArray[np.intp]:
        """(M,) which of the router's models each agent serves.

        Raises:
            StudyError: the router knows nothing of one.
        """
        found = []
        for agent in agents:
            name = self._called.get(agent.info.model, agent.info.model)
            if name not in self._router.models:
                raise StudyError(
                    f"{self._router.name} has not learnt what {name!r} answers, which {agent.name} serves; it knows "
                    f"{', '.join(self._router.models)}: say with `called` which of them it is, or fit on a table of it"
                )
            found.append(self._router.models.index(name))
        return np.array(found, np.intp)

    def of(self, offer: Offer) -> Floats:
        """(K,) scores of the router's models. Who asks is known to any server; what they report is not read."""
        asked, bidder = question(offer), offer.request.bidder
        key = f"{bidder}\0{asked}"
        scores = self._remembered.get(key)
        if scores is None:
            vector = np.asarray(self._embedder.embed(asked), np.float32)[None]
            scores = self._router.scores(vector, (bidder,))[0]
            self._remembered.put(key, scores)
        return scores


class Routed:
    """Each request to the living agent whose model a fitted router scores highest; it charges nothing.

    Of several agents of that model, the least loaded for its capacity. As in the papers, load moves nothing else:
    with `capacity`, which no paper has and the name tells, agents without free capacity are passed over as long as
    another has some.

    Args:
        router: fitted.
        embedder: of the vectors that it was fitted on.
        capacity: see above.
        called: the name in the router's table of a fleet's model, where they differ.

    Raises:
        StudyError: the router is not fitted; at `attach`, the fleet serves a model that it does not know.
    """

    gathers = False

    def __init__(
        self,
        router: QueryRouter,
        embedder: Embedder,
        *,
        capacity: bool = False,
        called: Mapping[str, str] | None = None,
    ) -> None:
        self.name = f"{router.name}+capacity" if capacity else router.name
        self._scores = _Scores(router, embedder, called)
        self._capacity = capacity

    def attach(self, agents: Sequence[Agent]) -> None:
        """Find each agent's model."""
        self._columns = self._scores.columns(agents)
        self._slots = np.array([agent.slots for agent in agents])

    def join(self, agent: Agent) -> None:
        """One agent more, the last."""
        self._columns = np.append(self._columns, self._scores.columns([agent]))
        self._slots = np.append(self._slots, agent.slots)

    def ready(self, fleet: Fleet) -> bool:
        """Nobody is made to wait."""
        return True

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Follow the router, one request after the other."""
        load, fits = fleet.load, possible(offers, fleet)
        agents = np.full(len(offers), UNSERVED)
        for i, offer in enumerate(offers):
            living = np.flatnonzero(fits[i])
            if not living.size:
                continue
            if self._capacity:
                free = living[load[living] < self._slots[living]]
                living = free if free.size else living
            scores = self._scores.of(offer)[self._columns[living]]
            best = living[scores == scores.max()]
            agents[i] = best[np.argmin(load[best] / self._slots[best])]
            load[agents[i]] += 1
        return Decision(agents, np.zeros(len(offers), np.int64))

    def notice(self, event: Event) -> None:
        """Nothing is learnt while it serves."""


class LearnedSkill:
    """A fitted router as the auction's model of who answers right: `Forecaster(lambda agents: LearnedSkill(...))`.

    What the router foretells is moved, for each model, by how much its graded answers were above what was foretold on
    average, as if `weight` answers had come out as foretold before the first; answers that nobody can grade move
    nothing.

    Args:
        router: fitted, and foretelling expected scores: wrap one that only ranks in `Calibrated`.
        embedder: of the vectors that it was fitted on.
        agents: the fleet.
        weight: see above.
        called: the name in the router's table of a fleet's model, where they differ.

    Raises:
        StudyError: the router is not fitted, only ranks, or does not know a model of the fleet.
    """

    def __init__(
        self,
        router: QueryRouter,
        embedder: Embedder,
        agents: Sequence[Agent],
        *,
        weight: float = 50.0,
        called: Mapping[str, str] | None = None,
    ) -> None:
        if not router.foretells:
            raise StudyError(
                f"{router.name} ranks models and foretells no scores; fit Calibrated({router.name}) instead"
            )
        if not weight > 0:
            raise StudyError(f"a prior that weighs {weight} answers; it must be positive")
        self._scores, self._weight = _Scores(router, embedder, called), weight
        self._columns = self._scores.columns(agents)
        self._above, self._graded = np.zeros(len(router.models)), np.zeros(len(router.models))

    def join(self, agents: Sequence[Agent]) -> None:
        """The fleet with agents more at its end."""
        self._columns = self._scores.columns(agents)

    def predict(self, offers: Sequence[Offer]) -> Floats:
        """(N, M) expected scores in [0, 1]; changes nothing that is believed."""
        foretold = np.array([self._scores.of(offer) for offer in offers]).reshape(len(offers), self._above.size)
        moved: Floats = np.clip(foretold + self._above / (self._weight + self._graded), 0.0, 1.0)[:, self._columns]
        return moved

    def doubt(self) -> Floats:
        """(M,) standard deviation of what is believed of a model's mean: at most that of so many fair coins."""
        deviations: Floats = 0.5 / np.sqrt(self._weight + self._graded)[self._columns]
        return np.minimum(deviations, 0.5)

    def learn(self, offer: Offer, agent: int, right: bool | None) -> None:
        """Count how far a graded answer was from what was foretold of it."""
        if right is None:
            return
        model = self._columns[agent]
        self._above[model] += float(right) - self._scores.of(offer)[model]
        self._graded[model] += 1


class Calibrated:
    """A router that only ranks, made to foretell scores: log-odds linear in its score, for each model (Platt 1999).

    The line is fitted on a fifth of the questions that the router has not learnt from; then the router learns from all.

    Args:
        router: what ranks; it is fitted anew.
    """

    foretells = True

    def __init__(self, router: QueryRouter) -> None:
        self.router = router
        self.name = router.name
        self.models: tuple[str, ...] = ()

    def fit(self, vectors: Vectors, table: AnswerTable, *, users: Users = None, seed: int = 0) -> None:
        """Fit the router twice, and the lines between.

        Raises:
            StudyError: there are fewer than two questions.
        """
        count = len(table.questions)
        if count < 2:
            raise StudyError(f"{table.title} has one question; a calibration needs others than the router learns from")
        # By text, so that the order of the table does not matter.
        order = np.array(sorted(range(count), key=table.questions.__getitem__), np.intp)
        drawn = order[np.random.default_rng(seed).permutation(count)]
        held, rest = drawn[: max(count // 5, 1)], drawn[max(count // 5, 1) :]

        def of(rows: NDArray[np.intp]) -> Users:
            return None if users is None else [users[k] for k in rows]

        self.router.fit(vectors[rest], table.rows(rest), users=of(rest), seed=seed)
        scores = self.router.scores(vectors[held], of(held))
        self._centre, self._spread = float(scores.mean()), float(scores.std()) or 1.0
        lines = [_line(self._scaled(scores[:, k]), table.scores[held, k]) for k in range(len(table.models))]
        self._slopes, self._levels = np.array(lines).T
        self.router.fit(vectors, table, users=users, seed=seed)
        self.models = table.models

    def scores(self, vectors: Vectors, users: Users = None) -> Floats:
        """(N, M) expected scores."""
        check_fitted(self)
        return chances(self._scaled(self.router.scores(vectors, users)) * self._slopes + self._levels)

    def _scaled(self, scores: Floats) -> Floats:
        scaled: Floats = (scores - self._centre) / self._spread
        return scaled


def _line(scores: Floats, realised: Floats) -> tuple[float, float]:
    """Slope and level of the log-odds, by Newton's steps on a log loss that a small ridge keeps finite."""
    inputs = np.stack([scores, np.ones_like(scores)], axis=1)
    line = np.zeros(2)
    for _ in range(25):
        chance = chances(inputs @ line)
        slope = inputs.T @ (chance - realised) + 0.5 * line
        line -= np.linalg.solve((inputs.T * (chance * (1 - chance))) @ inputs + 0.5 * np.eye(2), slope)
    return float(line[0]), float(line[1])
