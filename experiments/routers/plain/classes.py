"""Routing by what an agent costs or how good it is, whatever it holds."""

from collections.abc import Sequence

import numpy as np

from experiments.routers.plain.picking import Blind, Pick, among, dearest, least, one_by_one
from prediction import RIGHT
from runtime import Agent, Decision, Event, Fleet, Offer, Policy, Served
from runtime.policies.skill import PooledSkill


def cheapest() -> Policy:
    """The agent with the lowest price of a prompt token and an output token together; of equals the least loaded.

    LiteLLM's cost-based-routing, whose tokens are priced alike whether cached or not. It skips deployments over their
    limits of requests and tokens a minute; there are none here.
    """

    def make(agents: Sequence[Agent]) -> Pick:
        price = np.array([agent.prices.fresh + agent.prices.output for agent in agents])
        return lambda offer, load, living: least(load, living[price[living] <= price[living].min()])

    return Blind("cheapest", make)


def best_single() -> Policy:
    """Everything to one agent of the dearest model, as long as it lives."""

    def make(agents: Sequence[Agent]) -> Pick:
        first = np.arange(len(agents)) == int(dearest(agents).argmax())
        return lambda offer, load, living: int(among(living, first)[0])

    return Blind("best-single", make)


def best_class_least_load() -> Policy:
    """Of the agents of the dearest model the one with the fewest requests; another model's where none of them can."""

    def make(agents: Sequence[Agent]) -> Pick:
        dear = dearest(agents)
        return lambda offer, load, living: least(load, among(living, dear))

    return Blind("best-class-least-load", make)


class BestMeasured:
    """Of the agents of the model that was right most often, the one with the fewest requests.

    Counts graded answers as the auction does (`PooledSkill`): until there are any, the dearer is taken to be better. It
    tries nothing out.
    """

    name = "best-measured-least-load"
    gathers = False

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start with nothing measured."""
        self._quality = PooledSkill(agents)

    def ready(self, fleet: Fleet) -> bool:
        """Nobody is made to wait."""
        return True

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """Give every request to a living agent."""
        quality = self._quality.predict(offers[:1])[0]
        return one_by_one(
            lambda offer, load, living: least(load, living[quality[living] >= quality[living].max()]), offers, fleet
        )

    def notice(self, event: Event) -> None:
        """Count who was right."""
        if isinstance(event, Served):
            right = None if event.quality is None else event.quality >= RIGHT
            self._quality.learn(event.offer, event.agent, right)
