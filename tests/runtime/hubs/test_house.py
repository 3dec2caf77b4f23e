"""Several routers behind one door: agents go by their numbers in the fleet, and no report moves a request."""

from collections import Counter
from typing import Any

import pytest

from mechanisms import Preferences
from runtime import Arrived, Decided, EngineError, Event, Served, running
from runtime.engines.simulated.virtual_time import run
from runtime.hubs.assignment import ASSIGNMENTS, by_bidder, by_conversation
from runtime.hubs.house import House
from runtime.rounds.requests.relay import Live
from tests.runtime.fleet import PRICES
from tests.runtime.rounds.relays import Fallible, asked, read, sound
from tests.runtime.rounds.stories import KEEN, Fixed

HUBS = [(0, 3), (1, 2)]


def told(story: Any, hubs: Any = HUBS, engines: Any = None) -> tuple[Any, House, list[Event]]:
    events: list[Event] = []

    async def main() -> tuple[Any, House, list[Event]]:
        fleet = engines or [sound(name) for name in "abcd"]
        house = House.of(fleet, [PRICES] * 4, lambda: Fixed(1), hubs=hubs, subscribers=[events.append])
        async with running(fleet):
            await house.start()
            try:
                return await story(house), house, events
            finally:
                await house.stop()

    return run(main(), virtual=True)  # type: ignore[no-any-return]


async def opened(house: House, name: str, preferences: Preferences = KEEN, **more: Any) -> Live:
    live = await house.relay(asked(name, **more), preferences, name.encode())
    assert isinstance(live, Live)
    return live


def test_agents_go_by_their_numbers_in_the_fleet() -> None:
    async def story(house: House) -> Any:
        agents = []
        for k in range(12):
            live = await opened(house, f"r{k}", agents=[0, 1, 2, 3])
            agents.append(live.agent)
            await read(live)
        return agents

    agents, house, events = told(story)
    # `Fixed(1)` takes the second agent of its hub.
    assert set(agents) == {3, 2}
    assert [event.agent for event in events if isinstance(event, Served)] == agents
    assert house.routers[0].ledger is house.routers[1].ledger
    assert house.routers[0].ledger.totals().entries == 12


def test_who_may_serve_decides_which_hubs_may() -> None:
    async def story(house: House) -> Any:
        return [(await opened(house, f"r{k}", agents=[3, 2][k % 2 :][:1])).agent for k in range(6)]

    agents, _, events = told(story)
    assert agents == [3, 2] * 3
    arrived = [event.offer for event in events if isinstance(event, Arrived)]
    assert [offer.refused for offer in arrived] == [frozenset({0, 1, 2}), frozenset({0, 1, 3})] * 3
    assert [[bool(tokens) for tokens in offer.tokens] for offer in arrived[:1]] == [[True, False, False, True]]


def test_an_engine_is_sent_what_is_its_own() -> None:
    engines = [sound(name) for name in "abcd"]

    async def story(house: House) -> Any:
        return (await opened(house, "r", agents=[1])).agent

    agent, _, _ = told(story, engines=engines)
    assert agent == 1 and [len(engine.calls) for engine in engines] == [0, 1, 0, 0]


def test_no_report_moves_a_request() -> None:
    async def story(house: House) -> Any:
        homes = []
        for k, worth in enumerate((1.0, 5.0, 100.0)):
            told = await house.relay(asked(f"r{k}"), Preferences(worth, worth / 10), b"the same opening")
            assert isinstance(told, Live)
            homes.append(told.agent)
            await read(told)
        return homes

    assert len(set(told(story)[0])) == 1


def test_a_hub_of_all_is_the_router_itself() -> None:
    async def story(house: House) -> Any:
        return (await opened(house, "r", agents=[0, 1])).agent, house.alive(), len(house.infos)

    (agent, alive, infos), house, events = told(story, hubs=[])
    assert len(house.routers) == 1 and agent == 1 and alive == [True] * 4 and infos == 4
    assert any(isinstance(event, Decided) for event in events)


def test_every_agent_is_in_exactly_one_hub() -> None:
    for hubs in ([(0, 1)], [(0, 1), (1, 2, 3)], [(0, 1, 2, 3), (4,)]):
        with pytest.raises(EngineError, match="exactly one"):
            House.of([sound(name) for name in "abcd"], [PRICES] * 4, lambda: Fixed(0), hubs=hubs)


def test_an_agent_that_is_down_is_down_in_its_hub_alone() -> None:
    async def story(house: House) -> Any:
        for k in range(3):
            live = await opened(house, f"r{k}", agents=[1, 2])
            await read(live)
        return house.alive()

    engines = [sound("a"), sound("b"), Fallible("c", lambda call: EngineError("odd")), sound("d")]
    assert told(story, engines=engines)[0] == [True, True, False, True]


def test_conversations_and_bidders_stay_and_spread() -> None:
    hubs = [0, 1, 2]
    for rule in ASSIGNMENTS.values():
        homes = Counter(rule(f"bidder {k}", f"hello {k}".encode(), hubs) for k in range(600))
        assert min(homes.values()) > 130
    for k in range(50):
        opening = f"hello {k}".encode()
        assert by_conversation("x", opening, hubs) == by_conversation("y", opening, hubs)
        assert by_bidder(f"{k}", b"x", hubs) == by_bidder(f"{k}", b"y", hubs)
        # A hub that goes moves its own alone.
        home = by_conversation("x", opening, hubs)
        if home != 1:
            assert by_conversation("x", opening, [0, 2]) == home


def test_an_agent_that_comes_has_the_next_number_whatever_its_hub() -> None:
    class Joining(Fixed):
        def join(self, agent: Any) -> None:
            pass

    events: list[Event] = []

    async def main() -> Any:
        fleet = [sound(name) for name in "abcd"]
        house = House.of(fleet, [PRICES] * 4, lambda: Joining(2), hubs=HUBS, subscribers=[events.append])
        async with running(fleet):
            await house.start()
            late = sound("late")
            number = await house.add(late, PRICES, 1)
            live = await opened(house, "r", agents=[4])
            await read(live)
            await house.retire(number)
            await late.stop()
            alive = house.alive()
            await house.stop()
            return number, live.agent, alive

    assert run(main(), virtual=True) == (4, 4, [True] * 4 + [False])
    (served,) = [event for event in events if isinstance(event, Served)]
    assert served.agent == 4 and len(served.offer.tokens) == 5 and served.offer.tokens[4]
