"""A router on simulated engines and virtual time, a policy that does as told, and engines that fail."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np

from mechanisms import Preferences
from runtime import (
    Completion,
    Decision,
    EngineError,
    Event,
    Fleet,
    Offer,
    Policy,
    Request,
    RoundRules,
    Router,
    Served,
    SimulatedEngine,
    running,
)
from runtime.engines.simulated.virtual_time import run
from runtime.policies.policy import Agent
from tests.runtime.fleet import PRICES, engine

KEEN = Preferences(worth=10.0, delay_cost=0.1)

Story = Callable[[Router], Coroutine[Any, Any, Any]]


class Fixed:
    """Sends request i to `agents[i % len]` if it may, else to the first who may; remembers what was served, and all."""

    name = "fixed"

    def __init__(self, *agents: int, charge: int = 5) -> None:
        self.agents, self.charge = agents, charge
        self.learnt: list[tuple[str, int]] = []
        self.events: list[Event] = []

    def attach(self, agents: Sequence[Agent]) -> None:
        self.met = agents

    def ready(self, fleet: Fleet) -> bool:
        return True

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        chosen = [self._choose(k, offer, fleet) for k, offer in enumerate(offers)]
        return Decision(np.array(chosen), np.full(len(offers), self.charge))

    def _choose(self, k: int, offer: Offer, fleet: Fleet) -> int:
        wanted = self.agents[k % len(self.agents)]
        open_to = [j for j in range(len(fleet.agents)) if fleet.alive[j] and j not in offer.refused]
        return wanted if wanted in open_to or not open_to else open_to[0]

    def notice(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Served):
            self.learnt.append((event.request.id, event.agent))


class Faulty(SimulatedEngine):
    """Asks `fault` before it serves a request: what that returns is raised, a moment later."""

    fault: Callable[[Request], BaseException | None] = staticmethod(lambda request: None)

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        error = self.fault(request)
        if error is not None:
            await asyncio.sleep(0.01)
            raise error
        return await super().generate(request, first_token)


def faulty(name: str, fault: Callable[[Request], BaseException | None], **shape: int) -> Faulty:
    twin = engine(name, **shape)
    made = Faulty(name, lambda request: "fine", twin.step_time, twin.shape)
    made.fault = fault  # type: ignore[method-assign]
    return made


def breaking(name: str, lives: int, kind: type[EngineError] = EngineError) -> Faulty:
    """Serves so many requests and no more."""
    left = iter(range(lives))
    return faulty(name, lambda request: kind("the process is gone") if next(left, None) is None else None)


def route(
    story: Story, policy: Policy, engines: Sequence[Any] | None = None, options: Any = None, **rounds: Any
) -> tuple[Any, Router]:
    """What the story returned, told to a router that runs, and the router after its stop."""

    async def main() -> tuple[Any, Router]:
        fleet = list(engines or [engine("a"), engine("b")])
        async with running(fleet):
            router = Router(fleet, policy, [PRICES] * len(fleet), rounds=RoundRules(**rounds), **(options or {}))
            await router.start()
            try:
                return await story(router), router
            finally:
                await router.stop()

    return run(main(), virtual=True)
