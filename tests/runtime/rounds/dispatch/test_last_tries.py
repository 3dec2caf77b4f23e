"""Requests that fail wherever they are tried: what their last tries, alone at an engine, cost everybody else."""

import asyncio
from collections.abc import Callable
from typing import Any

from runtime import Completion, EngineError, Request, Router, Served, SimulatedEngine
from runtime.events import Dispatched, FirstToken
from runtime.rounds.dispatch.exclusive import MOST_S, Exclusive
from tests.runtime.fleet import STEP, request
from tests.runtime.rounds.relays import Fallible, asked, read, sound
from tests.runtime.rounds.stories import KEEN, Fixed, route


class Timed(SimulatedEngine):
    """Serves in a second, its first token after a tenth; fails `bad` requests: at once, the second time after long."""

    fails_s = 3.0
    beside_bad = 0
    tried: set[str]

    def __init__(self, name: str, fails_s: float = 3.0) -> None:
        super().__init__(name, lambda asked: "fine", STEP)
        self.fails_s = fails_s
        self.having: set[str] = set()
        self.tried = set()

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        self.having.add(request.id)
        try:
            if request.id.startswith("bad"):
                last = request.id in self.tried
                self.tried.add(request.id)
                await asyncio.sleep(self.fails_s if last else 0.01)
                self.beside_bad += last and len(self.having) - 1
                raise EngineError("odd")
            await asyncio.sleep(0.1)
            if first_token is not None:
                first_token()
            await asyncio.sleep(1.0)
            return Completion("fine", 4, 0, 2, 0.1, 1.1)
        finally:
            self.having.discard(request.id)


def waits(bad: int, fails_s: float = 3.0) -> tuple[list[float], int]:
    """Of innocent requests, two a second, on two agents of four places each: seconds from arrival to dispatch.

    And how many were served beside a last try.
    """
    engines = [Timed(name, fails_s) for name in "ab"]
    engines[0].tried = engines[1].tried = set()

    async def story(router: Router) -> list[Any]:
        async def ask(name: str) -> Any:
            return await router.submit(request(name, f"question {name}"), KEEN)

        failing = [asyncio.create_task(ask(f"bad{k}")) for k in range(bad)]
        await asyncio.sleep(0.2)
        innocent = []
        for k in range(120):
            innocent.append(asyncio.create_task(ask(f"good{k}")))
            await asyncio.sleep(0.5)
        outcomes = await asyncio.gather(*innocent)
        for task in failing:
            task.cancel()
        await asyncio.gather(*failing, return_exceptions=True)
        return outcomes

    outcomes, router = route(story, Fixed(0, 1), engines, attempts=2, slots=4)
    assert all(isinstance(one, Served) for one in outcomes)
    assert router.ledger.held() == 0
    return [one.dispatched_s - one.arrived_s for one in outcomes], sum(engine.beside_bad for engine in engines)


def test_a_last_try_goes_where_somebody_may_be_alone_just_now() -> None:
    """One has hung at `b`, which is kept for nobody for twelve seconds; `c` is free."""
    engines = [Timed(name) for name in "abc"]
    for engine in engines:
        engine.tried = engines[0].tried

    async def story(router: Router) -> list[float]:
        took = []
        for k in range(2):
            began = asyncio.get_running_loop().time()
            await asyncio.gather(router.submit(request(f"bad{k}", f"question {k}"), KEEN), return_exceptions=True)
            took.append(asyncio.get_running_loop().time() - began)
        return took

    policy = Fixed(0, 1, 2)
    took, _ = route(story, policy, engines, attempts=2, slots=4)
    tried = [event.agent for event in policy.events if isinstance(event, Dispatched)]
    assert max(took) < 4.0 and tried[1] != tried[3]


def test_failing_requests_take_a_fifth_of_an_agents_time_at_most() -> None:
    """Forty of them, three seconds each, would keep both agents for a minute on end."""
    quiet, _ = waits(0)
    assert max(quiet) < 0.05
    for bad in (1, 40):
        loud, beside = waits(bad)
        # Who stood there before needs a second to end.
        assert max(loud) < 3.0 + 1.1 and beside == 0
        assert sum(wait > 0.05 for wait in loud) <= len(loud) / 2


def test_one_that_hangs_keeps_an_agent_for_seconds_and_no_longer() -> None:
    loud, _ = waits(2, fails_s=600.0)
    assert max(loud) < MOST_S + 0.1
    # In ten seconds more wait than there are places for at once.
    assert sum(loud) / len(loud) < 3.0


def test_a_stream_that_began_is_alone_no_more() -> None:
    """It is no poison, nobody would try it again, and what it takes to its end is nobody else's to wait for."""
    policy = Fixed(0)
    engines = [Fallible("a", lambda call: EngineError("odd") if call.id == "flaky" else None), sound("b")]

    async def story(router: Router) -> None:
        flaky = asyncio.create_task(router.relay(asked("flaky"), KEEN))
        await asyncio.sleep(0.012)
        await read(await router.relay(asked("r0", agents=[1]), KEEN))
        await read(await flaky)

    route(story, policy, engines, attempts=2)
    sent = {one.offer.request.id: one.at_s for one in policy.events if isinstance(one, Dispatched) and one.agent == 1}
    first = {one.offer.request.id: one.at_s for one in policy.events if isinstance(one, FirstToken)}
    done = {one.offer.request.id: one.at_s for one in policy.events if isinstance(one, Served)}
    assert sent["flaky"] < sent["r0"] == first["flaky"] < done["flaky"]


def test_an_agent_is_kept_for_one_at_a_time_and_rests_after_a_failure() -> None:
    one, other, agent = object(), object(), Exclusive()
    assert agent.begin(one, 5.0) and agent.begin(one, 6.0) and not agent.begin(other, 6.0)
    agent.end(other, 6.5, well=False)
    assert agent.held and agent.next_s == 5.0 + MOST_S
    agent.end(one, 7.0, well=False)
    assert not agent.held and not agent.begin(other, 14.9) and agent.next_s == 15.0
    assert agent.begin(other, 15.0)
    agent.end(other, 18.0, well=True)
    assert agent.begin(one, 18.0)
    agent.expire(18.0 + MOST_S - 0.01)
    assert agent.held
    agent.expire(18.0 + MOST_S)
    assert not agent.held and not agent.begin(one, 18.0 + 4.9 * MOST_S) and agent.begin(one, 18.0 + 5 * MOST_S)
