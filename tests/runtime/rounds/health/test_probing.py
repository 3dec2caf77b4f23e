"""Engines that can say how they are come back when they do, and cost no request before."""

import asyncio
from typing import Any

from runtime import Router, Served, ServingError, Unreachable
from runtime.rounds.health.health import Health
from tests.runtime.rounds.relays import Fallible, asked, read, sound
from tests.runtime.rounds.stories import KEEN, Fixed, route


class Asked(Fallible):
    """Is down until `up_at_s`, and says so; counts how often it was asked."""

    def __init__(self, name: str, up_at_s: float, says: Any = None) -> None:
        super().__init__(name, lambda call: None if self.is_up() else Unreachable("gone"))
        self.up_at_s, self.says, self.asked = up_at_s, says, 0

    def is_up(self) -> bool:
        return asyncio.get_running_loop().time() >= self.up_at_s

    async def healthy(self) -> bool:
        self.asked += 1
        if self.says is not None:
            raise self.says
        return self.is_up()


async def opened(router: Router, name: str) -> int:
    live = await router.relay(asked(name), KEEN)
    await read(live)
    return live.agent  # type: ignore[union-attr]


def test_an_engine_comes_back_as_soon_as_it_is_well_and_meets_no_request_before() -> None:
    engine = Asked("a", 20.0)

    async def story(router: Router) -> Any:
        agents = []
        for k in range(60):
            asked_s = asyncio.get_running_loop().time()
            agents.append((asked_s, await opened(router, f"r{k}")))
            await asyncio.sleep(0.5)
        return agents

    policy = Fixed(0)
    told, _ = route(story, policy, [engine, sound("b")])
    assert {agent for at_s, agent in told if at_s < 20.0} == {1}
    assert {agent for at_s, agent in told if at_s > 20.5} == {0}
    # The first found out; no other was sent there until it was up.
    assert len([call for call in engine.calls if call.attempt == 1]) == 1 + [agent for _, agent in told].count(0)
    assert 35 <= engine.asked <= 41
    assert sum(isinstance(event, Served) for event in policy.events) == 60


def test_a_probe_that_fails_is_a_no() -> None:
    engine = Asked("a", 5.0, ServingError("no answer"))

    async def story(router: Router) -> Any:
        agents = [await opened(router, "r")]
        await asyncio.sleep(30.0)
        return [*agents, await opened(router, "s")]

    agents, _ = route(story, Fixed(0), [engine, sound("b")])
    assert agents == [1, 1] and engine.asked > 20


def test_nobody_is_asked_who_is_well_or_busy_or_to_blame() -> None:
    health = Health(1, [0])
    assert not health.probed(0)
    health.busy(0, 5.0, 0.0)
    assert not health.probed(0) and not health.alive(1.0)[0]
    health.recovered(0)
    assert not health.alive(1.0)[0], "busy is busy, however well"
    for able in ([], [0]):
        health, asked = Health(1, able), []
        health.ask = asked.append
        health.broke(0)
        assert health.alive(0.5)[0] and not health.probed(0) and asked == able
        assert not able or (health.ailing(0, 0.5) and not health.ailing(0, 0.6) and health.probed(0))
    for able in ([], [0]):
        health = Health(1, able)
        health.down(0, 0.0, unreachable=True)
        assert bool(able) == health.probed(0) and not health.alive(0.5)[0]
        assert health.alive(100.0)[0] != bool(able), "who can be asked is asked first"
    for now in (0.5, 1.0, 3.0, 7.0):
        health.ailing(0, now)
        assert health.hopeful([0], now)
    assert not health.hopeful([0], 10.5)
    health.recovered(0)
    assert health.alive(15.5)[0] and health.on_trial(0) and not health.probed(0)


def test_probing_ends_with_the_router() -> None:
    async def story(router: Router) -> Any:
        await opened(router, "r")
        await router.stop()
        before = engine.asked
        await asyncio.sleep(10.0)
        return engine.asked - before

    engine = Asked("a", 100.0)
    after, _ = route(story, Fixed(0), [engine, sound("b")])
    assert after == 0
