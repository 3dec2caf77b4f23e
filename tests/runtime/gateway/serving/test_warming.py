"""Before a gateway says that it serves, a policy that nobody keeps has decided and learnt once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from mechanisms import find_mechanism
from runtime import Auction, Decision, Fleet, Offer
from runtime.engines.vllm.kv_blocks import KvBlocks
from runtime.gateway.serving.serving import Serving
from runtime.gateway.serving.warming import warm_up
from tests.runtime.gateway.serving.visits import CHAT, RICH, visit
from tests.runtime.policies.test_auction import pair
from tests.runtime.rounds.stories import Fixed


def test_a_policy_of_the_kind_that_serves_has_lived_through_a_request_before_it() -> None:
    made: list[Fixed] = []

    def policy() -> Fixed:
        made.append(Fixed(0))
        return made[-1]

    async def story(client: httpx.AsyncClient, serving: Serving) -> None:
        serves = serving.house.routers[0].policy
        lived = [one for one in made if [type(event).__name__ for event in one.events][-1:] == ["Served"]]
        assert len(lived) == 1 and lived[0] is not serves
        assert not serves.events, "nothing is learnt of it"  # type: ignore[attr-defined]
        assert (await client.post(CHAT, json=RICH)).status_code == 200
        assert serving.house.routers[0].statistics.rounds == 1

    visit(story, policies=policy)


def test_the_auction_decides_for_nobody_and_leaves_what_agents_publish_alone() -> None:
    contents = KvBlocks()
    agents = [replace(agent, contents=contents) for agent in pair()]

    class Watched(Auction):
        seen: Sequence[Any] = ()
        served = 0

        def attach(self, agents: Sequence[Any]) -> None:
            self.seen = agents
            super().attach(agents)

        def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
            decision = super().decide(offers, fleet)
            self.served += int((np.asarray(decision.agents) >= 0).sum())
            return decision

    policy = Watched(find_mechanism("vcg"))
    warm_up(policy, agents)
    assert policy.served == 3 and all(agent.contents is None for agent in policy.seen)


def test_a_policy_that_cannot_is_named_and_serves_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Fixed):
        def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
            if offers[0].request.id.startswith("warm-up"):
                raise ValueError("a bug")
            return super().decide(offers, fleet)

    async def story(client: httpx.AsyncClient, serving: Serving) -> int:
        return (await client.post(CHAT, json=RICH)).status_code

    assert visit(story, policies=lambda: Odd(0)) == 200
    assert "policy fixed cannot decide a round for nobody" in caplog.text
