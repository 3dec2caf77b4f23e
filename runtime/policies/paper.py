"""`PaperAuction`: IEMAS as published. Predict every request on every agent, match, charge; who loses competes again."""

from collections.abc import Callable, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from allocation import MICROS, UNSERVED, Market, to_micros
from mechanisms import DirectMechanism
from prediction import RIGHT, Features, HoeffdingQoS, Measured, QoS, QoSModel
from runtime.events import Event, Offer, Prediction, Served
from runtime.policies.affinity import Affinity
from runtime.policies.basis import Basis
from runtime.policies.policy import WAITING, Agent, Decision, Fleet


class PaperAuction:
    """One auction per round, on values and costs of this round alone (IEMAS, arXiv:2603.17302).

    Args:
        mechanism: decides and charges; the very object that was audited.
        model: makes the predictor for a fleet; default Hoeffding trees.
        name: what reports call the policy.

    A bidder with several requests in a round is one player. A prediction sees no report, so no misreport can move the
    terms it is judged by. An agent's free capacity is its capacity (`slots`) minus its load; dead agents have none.

    The mechanism is truthful in a round by itself. Who is left unserved competes in the next round, so a bidder may
    gain by losing now: `Auction` decides each request once.
    """

    def __init__(
        self,
        mechanism: DirectMechanism,
        model: Callable[[Sequence[Agent]], QoSModel] | None = None,
        name: str = "paper-auction",
    ) -> None:
        self.name = name
        self.mechanism = mechanism
        self._make_model = model or _hoeffding

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start with empty caches and an untrained predictor."""
        self._affinity = Affinity(agents)
        self._model = self._make_model(agents)

    def ready(self, fleet: Fleet) -> bool:
        """Whether an agent has free capacity, or none is busy."""
        return bool(fleet.free.any() or not fleet.load.any())

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Run the auction on the predicted market."""
        features = self._features(offers, fleet)
        predicted = self._model.predict(features)
        values = np.stack(
            [offer.preferences.value(predicted.quality[i], predicted.latency[i]) for i, offer in enumerate(offers)]
        )
        players = {name: k for k, name in enumerate(dict.fromkeys(offer.request.bidder for offer in offers))}
        market = Market(
            values,
            to_micros(predicted.cost, name="cost"),
            fleet.free,
            feasible=possible(offers, fleet),
            bidders=np.array([players[offer.request.bidder] for offer in offers]),
        )
        outcome = self.mechanism.run(market)
        agents = outcome.allocation.agents
        served = agents != UNSERVED
        rows = [features.row(i, int(j)) if j >= 0 else None for i, j in enumerate(agents)]
        expected = [
            Prediction(*(float(part[i, j]) for part in (predicted.latency, predicted.cost, predicted.quality)))
            if j >= 0
            else None
            for i, j in enumerate(agents)
        ]
        return Decision(
            np.where(served, agents, WAITING),
            outcome.payments.charges,
            expected,
            outcome,
            notes=rows,
            displaced=served & (outcome.payments.charges > market.take(market.costs, outcome.allocation)),
            basis=_basis(offers, predicted, market),
        )

    def notice(self, event: Event) -> None:
        """Update the agent's cache picture and its trees."""
        if not isinstance(event, Served):
            return
        row = event.note
        assert isinstance(row, dict)
        took = event.completion
        self._affinity.learn(event.offer, event.agent, took, int(row["cached_tokens"]))
        measured = Measured(took.first_token_s, event.cost / MICROS, event.quality, took.output_tokens)
        self._model.learn(event.agent, row, measured)

    def _features(self, offers: Sequence[Offer], fleet: Fleet) -> Features:
        return Features(
            prompt_tokens=np.array([[len(tokens) for tokens in offer.tokens] for offer in offers]),
            cached_tokens=self._affinity.cached_tokens(offers),
            max_tokens=np.array([offer.request.max_tokens for offer in offers]),
            turn=np.array([offer.turn for offer in offers]),
            inflight=fleet.load,
            slots=fleet.slots,
            backlog_tokens=_backlog(fleet),
        )


def _basis(offers: Sequence[Offer], predicted: QoS, market: Market) -> Basis:
    """What the market was made of: an answer is on time or it is not, and nothing comes on top of costs."""
    deadlines = [offer.preferences.deadline for offer in offers]
    return Basis(
        np.arange(market.shape[1]),
        predicted.quality,
        predicted.latency,
        np.zeros(market.shape[1]),
        market.costs,
        None,
        np.ones(market.shape, bool) if market.feasible is None else market.feasible,
        {i: np.where(predicted.latency[i] > most, 0.0, 1.0) for i, most in enumerate(deadlines) if isfinite(most)},
    )


def possible(offers: Sequence[Offer], fleet: Fleet) -> NDArray[np.bool_]:
    """(N, M) which agents are up, hold the prompt and a token of answer, and have not failed the request before."""
    limits = np.array([agent.info.max_model_len for agent in fleet.agents])
    fits = np.array([[len(tokens) for tokens in offer.tokens] for offer in offers]) < limits
    for i, offer in enumerate(offers):
        fits[i, sorted(offer.refused)] = False
    feasible: NDArray[np.bool_] = fits & fleet.alive
    return feasible


def _backlog(fleet: Fleet) -> NDArray[np.int64]:
    """(M,) prompt tokens given to each agent, believed uncached, that it has not computed yet."""
    tokens = [
        sum(job.note["uncached_tokens"] for job in jobs if job.first_token_s is None and isinstance(job.note, dict))
        for jobs in fleet.jobs
    ]
    return np.array(tokens, dtype=np.int64)


def _hoeffding(agents: Sequence[Agent]) -> QoSModel:
    return HoeffdingQoS([agent.prices for agent in agents], quality_threshold=RIGHT)
