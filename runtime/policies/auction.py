"""`Auction`: the policy that IEMAS is. Predict every request on every agent, price it, match, charge."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from allocation import Market, to_micros
from mechanisms import DirectMechanism
from prediction import RIGHT, Features, HoeffdingQoS, Measured, QoSModel
from runtime.engines.engine import Completion
from runtime.policies.affinity import Affinity
from runtime.policies.policy import Agent, Decision, Fleet, Offer


class Auction:
    """One auction per round (IEMAS, arXiv:2603.17302).

    Args:
        mechanism: decides and charges; the very object that was audited.
        model: makes the predictor for a fleet; default Hoeffding trees.
        name: what reports call the policy.

    A bidder with several requests in a round is one player. A prediction sees no report, so no misreport can move the
    terms it is judged by. An agent's free capacity is its capacity (`slots`) minus what is in flight; dead agents have
    none.
    """

    def __init__(
        self,
        mechanism: DirectMechanism,
        model: Callable[[Sequence[Agent]], QoSModel] | None = None,
        name: str = "iemas",
    ) -> None:
        self.name = name
        self.mechanism = mechanism
        self._make_model = model or _hoeffding

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start with empty caches and an untrained predictor."""
        self._rows: dict[str, list[dict[str, float]]] = {}
        self._affinity = Affinity(agents)
        self._model = self._make_model(agents)

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
            feasible=_fits(features, fleet),
            bidders=np.array([players[offer.request.bidder] for offer in offers]),
        )
        outcome = self.mechanism.run(market)
        for i, offer in enumerate(offers):
            self._rows[offer.request.id] = [features.row(i, j) for j in range(len(fleet.agents))]
        return Decision(outcome.allocation.agents, outcome.payments.charges, predicted, outcome)

    def learn(self, offer: Offer, agent: int, completion: Completion, measured: Measured) -> None:
        """Update the agent's cache picture and its trees."""
        row = self._rows.pop(offer.request.id)[agent]
        self._affinity.learn(offer, agent, completion, int(row["cached_tokens"]))
        self._model.learn(agent, row, measured)

    def _features(self, offers: Sequence[Offer], fleet: Fleet) -> Features:
        return Features(
            prompt_tokens=np.array([[len(tokens) for tokens in offer.tokens] for offer in offers]),
            cached_tokens=self._affinity.cached_tokens(offers),
            max_tokens=np.array([offer.request.max_tokens for offer in offers]),
            turn=np.array([offer.turn for offer in offers]),
            inflight=fleet.inflight,
            slots=fleet.slots,
            backlog_tokens=self._backlog(fleet),
        )

    def _backlog(self, fleet: Fleet) -> NDArray[np.int64]:
        """(M,) prompt tokens dispatched to each agent, believed uncached, that it has not computed yet."""
        tokens = [
            sum(self._rows[name][j]["uncached_tokens"] for name in names) for j, names in enumerate(fleet.prefilling)
        ]
        return np.array(tokens, dtype=np.int64)


def _fits(features: Features, fleet: Fleet) -> NDArray[np.bool_]:
    """(N, M) whether the agent's context holds the prompt and at least one token of answer."""
    limits = np.array([agent.info.max_model_len for agent in fleet.agents])
    return features.prompt_tokens < limits


def _hoeffding(agents: Sequence[Agent]) -> QoSModel:
    return HoeffdingQoS([agent.prices for agent in agents], quality_threshold=RIGHT)
