"""Engines that come and go while a router serves."""

import asyncio
from typing import Any

import pytest

from mechanisms import Preferences, find_mechanism
from runtime import Auction, EngineError, Router, Served, ServingError
from runtime.events import Failed
from tests.runtime.fleet import PRICES
from tests.runtime.rounds.relays import Fallible, asked, read, sound
from tests.runtime.rounds.stories import KEEN, Fixed, route


class Joining(Fixed):
    """A fixed policy that takes more agents."""

    def join(self, agent: Any) -> None:
        self.met = (*self.met, agent)


async def opened(router: Router, name: str, agents: Any = (0, 1), **more: Any) -> Any:
    return await router.relay(asked(name, agents=agents, **more), KEEN)


def test_an_engine_that_comes_serves_from_the_next_round_on() -> None:
    policy = Joining(2)
    late = sound("late")

    async def story(router: Router) -> Any:
        first = await opened(router, "r")
        number = await router.add(late, PRICES)
        second = await opened(router, "s", (0, 1, 2))
        await read(first)
        await read(second)
        # What was asked for before it came is none of its.
        third = await opened(router, "t")
        await read(third)
        await router.retire(2)
        await late.stop()
        return number, first.agent, second.agent, third.agent, router.alive()

    told, router = route(story, policy, [sound(), sound("b")])
    assert told == (2, 0, 2, 0, [True, True, False])
    assert [agent.name for agent in policy.met] == ["a", "b", "late"]
    assert router.ledger.totals().entries == 3 and router.ledger.held() == 0


def test_requests_that_waited_or_failed_before_it_came_go_on_elsewhere() -> None:
    policy = Joining(2)
    faults = iter([EngineError("odd")])

    async def story(router: Router) -> Any:
        running = await opened(router, "long", [1])
        failing = asyncio.create_task(opened(router, "r"))
        waiting = [asyncio.create_task(opened(router, f"w{k}", [1])) for k in range(2)]
        await asyncio.sleep(0)
        number = await router.add(sound("late"), PRICES)
        await read(running)
        lives = []
        for task in (failing, *waiting):
            live = await task
            await read(live)
            lives.append(live.agent)
        await router.retire(number)
        return lives

    engines = [Fallible("a", lambda call: next(faults, None)), sound("b")]
    lives, router = route(story, policy, engines, slots=1)
    assert lives == [1, 1, 1] and router.ledger.totals().entries == 4


def test_an_engine_that_goes_ends_what_it_has_and_gets_nothing_more() -> None:
    policy = Joining(0)

    async def story(router: Router) -> Any:
        running = await opened(router, "r")
        line = [asyncio.create_task(opened(router, f"l{k}")) for k in range(3)]
        await asyncio.sleep(0.001)
        going = asyncio.create_task(router.retire(0))
        await asyncio.sleep(0.001)
        assert not going.done()
        events = await read(running)
        await going
        agents = []
        for task in line:
            live = await task
            agents.append(live.agent)
            await read(live)
        return events, agents

    (events, agents), router = route(story, policy, [sound(), sound("b")], slots=1)
    assert events[-1] == b"data: [DONE]\n\n" and agents == [1, 1, 1]
    assert router.ledger.totals().entries == 4
    assert all(event.retried for event in policy.events if isinstance(event, Failed))


def test_who_asks_for_an_engine_that_went_is_told_at_once() -> None:
    async def story(router: Router) -> Any:
        await router.retire(1)
        began = asyncio.get_running_loop().time()
        with pytest.raises(EngineError):
            await opened(router, "r", [1])
        return asyncio.get_running_loop().time() - began

    took, _ = route(story, Joining(0), [sound(), sound("b")])
    assert took < 1.0


def test_what_cannot_come_changes_nothing() -> None:
    async def story(router: Router) -> Any:
        with pytest.raises(EngineError, match="called b already"):
            await router.add(sound("b"), PRICES)
        live = await opened(router, "r")
        await read(live)
        return router.alive()

    assert route(story, Joining(0), [sound(), sound("b")])[0] == [True, True]

    async def refused(router: Router) -> Any:
        with pytest.raises(ServingError, match="fixed takes no agent more"):
            await router.add(sound("late"), PRICES)
        return router.alive()

    assert route(refused, Fixed(0), [sound(), sound("b")])[0] == [True, True]


def test_the_auction_keeps_what_it_learnt_and_learns_the_new_one() -> None:
    policy = Auction(find_mechanism("vcg"))
    served: list[Served] = []

    async def story(router: Router) -> Any:
        for k in range(6):
            await read(await opened(router, f"r{k}"))
        before = policy.forecaster.queue.base_seconds().tolist(), policy.forecaster.lengths.predict([100])[0].tolist()
        await router.add(sound("late"), PRICES)
        after = policy.forecaster.queue.base_seconds().tolist(), policy.forecaster.lengths.predict([100])[0].tolist()
        for k in range(12):
            some = [asked(f"s{k}.{i}", agents=(0, 1, 2)) for i in range(4)]
            tasks = [asyncio.create_task(router.relay(one, Preferences(10.0, 50.0))) for one in some]
            for task in tasks:
                await read(await task)
        return before, after

    (before, after), _ = route(story, policy, [sound(), sound("b")], {"subscribers": [served.append]})
    assert after[0][:2] == before[0] and after[1][:2] == before[1]
    # One model: its speed and the length of its answers are known.
    assert after[0][2] == before[0][0] and after[1][2] == before[1][0]
    events = [event for event in served if isinstance(event, Served)]
    assert {event.agent for event in events} == {0, 1, 2} and len(events) == 54


def test_a_model_nobody_serves_yet_is_supposed_from_its_price() -> None:
    from prediction import OutputLengths, QueueModel
    from prediction.latency.prefill_queue import Pending

    queue = QueueModel(["small"], [1.0])
    for k in range(20):
        queue.sent(0, f"r{k}", Pending(1000, 0, sent_s=10.0 * k), 0)
        queue.first_token(0, f"r{k}", 10.0 * k + 2.0)
    queue.join("large", 3.0)
    queue.join("small", 1.0)
    seconds = queue.base_seconds() + 1000 * queue.seconds_per_token()
    assert seconds[1] > 1.5 * seconds[0] and seconds[2] == seconds[0]
    lengths = OutputLengths(1)
    lengths.join()
    assert lengths.predict([50]).tolist() == [[50.0, 50.0]]
    lengths.learn(0, 10)
    lengths.join()
    assert lengths.predict([50])[0, 2] == 10.0
