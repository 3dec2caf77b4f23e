"""Answers that go through: begun once, read by whoever asked, paid for once."""

import asyncio
from math import inf
from typing import Any

import pytest

from mechanisms import Preferences
from runtime import Busy, EngineError, Router, Served, Unreachable
from runtime.engines.call import Call
from runtime.errors import Broken, FailedEverywhereError, Refused, RequestError
from runtime.events import Abandoned, Declined, Failed, FirstToken
from runtime.rounds.requests.relay import Live
from tests.runtime.rounds.deciding.test_deadlines import Never
from tests.runtime.rounds.relays import REFUSED, Fallible, Wrapped, asked, read, sound
from tests.runtime.rounds.stories import KEEN, Fixed, route


def ended(policy: Fixed) -> list[str]:
    ends = (Served, Failed, Abandoned, Declined)
    return [type(event).__name__ for event in policy.events if isinstance(event, ends)]


async def opened(router: Router, *args: Any, **more: Any) -> Live:
    live = await router.relay(asked(*args, **more), KEEN)
    assert isinstance(live, Live)
    return live


def test_a_stream_is_read_event_by_event_and_settled_once() -> None:
    policy = Fixed(0)

    async def story(router: Router) -> Any:
        live = await opened(router, "r")
        begun_s = asyncio.get_running_loop().time()
        assert not ended(policy) and router.ledger.held() == 1
        events = await read(live)
        return live, events, begun_s, asyncio.get_running_loop().time()

    (live, events, begun_s, ended_s), router = route(story, policy, [sound(), sound("b")])
    assert events[-1] == b"data: [DONE]\n\n" and b"one" in b"".join(events)
    assert ended_s > begun_s and (live.agent, live.charge, live.round) == (0, 5, 1)
    assert ended(policy) == ["Served"]
    served = next(event for event in policy.events if isinstance(event, Served))
    assert served.completion.output_tokens == 7 and served.completion.streamed and served.round == 1
    assert served.completion.first_token_s < served.completion.latency_s
    assert (router.ledger.totals().entries, router.ledger.held()) == (1, 0)
    assert live.receipt() == (served.completion, served.charge, served.cost)


def test_nobody_sees_the_first_token_of_an_answer_that_comes_whole() -> None:
    policy = Fixed(0)

    async def story(router: Router) -> Any:
        return await read(await opened(router, "r", stream=False))

    events, router = route(story, policy, [sound(), sound("b")])
    assert len(events) == 1 and events[0].startswith(b"{")
    assert not any(isinstance(event, FirstToken) for event in policy.events)
    served = next(event for event in policy.events if isinstance(event, Served))
    assert not served.completion.streamed and served.cost > 0
    assert (router.ledger.totals().entries, router.ledger.held()) == (1, 0)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", [EngineError("odd"), Unreachable("gone"), Busy("full", 0.5), 0])
def test_before_the_first_event_another_agent_is_tried(fault: Any, stream: bool) -> None:
    policy = Fixed(0)
    engines = [Fallible("a", lambda call: fault), sound("b")]

    async def story(router: Router) -> Any:
        live = await opened(router, "r", stream=stream)
        return live.agent, await read(live)

    (agent, events), router = route(story, policy, engines)
    assert agent == 1 and events and ended(policy) == ["Failed", "Served"]
    assert [call.attempt for call in engines[1].calls] == [2]
    assert (router.ledger.totals().entries, router.ledger.held()) == (1, 0)


def test_after_the_first_event_nobody_else_is_tried_and_nothing_is_charged() -> None:
    policy = Fixed(0)

    async def story(router: Router) -> Any:
        live = await opened(router, "r")
        with pytest.raises(Broken):
            await read(live)
        return len(engines[1].calls), live.agent

    engines = [Fallible("a", lambda call: 2), sound("b")]
    told, router = route(story, policy, engines)
    assert told == (0, 0) and len(engines[0].calls) == 1
    assert ended(policy) == ["Failed"] and router.ledger.totals().entries == 0


@pytest.mark.parametrize("able", [True, False])
def test_bidders_whose_answers_break_off_drive_no_engine_out_that_is_well(able: bool) -> None:
    """However many they are: they may be one, who knows what breaks an answer."""
    policy = Fixed(0)
    made = Asked if able else Fallible
    engine = made("a", lambda call: 2 if call.bidder.startswith("mallory") else None)

    async def story(router: Router) -> Any:
        alive = []
        for k in range(12):
            with pytest.raises(Broken):
                await read(await opened(router, f"r{k}", bidder=f"mallory{k % 3}"))
            await asyncio.sleep(0.01)
            alive.append(router.alive()[0])
        return alive, (await opened(router, "good")).agent

    (alive, agent), _ = route(story, policy, [engine, sound("b")])
    assert all(alive) and agent == 0
    assert not able or engine.asked == 12


def test_an_engine_whose_answer_breaks_off_and_that_is_not_well_is_left_out_until_it_is() -> None:
    """One answer is enough, and whoever stands in its line goes elsewhere."""
    policy = Fixed(0)
    engine = Asked("a", lambda call: 2 if call.id == "r" else None)
    engine.well = False

    async def story(router: Router) -> Any:
        live = await opened(router, "r")
        waiting = asyncio.create_task(opened(router, "s"))
        with pytest.raises(Broken):
            await read(live)
        other = (await waiting).agent
        alive = router.alive()[0]
        engine.well = True
        await asyncio.sleep(1.0)
        return other, alive, (await opened(router, "t")).agent

    told, _ = route(story, policy, [engine, sound("b")], slots=1)
    assert told == (1, False, 0)


@pytest.mark.parametrize(("said", "told"), [("tool_calls", "tool_calls"), ("stop_77", "other"), (None, "stop")])
def test_nobody_makes_up_reasons_for_an_end(said: str | None, told: str) -> None:
    class Ends(Wrapped):
        end = said

    class Engine(Fallible):
        async def open(self, call: Call, deadline: float = inf) -> Any:
            return Ends(await super().open(call, deadline), 99)

    policy = Fixed(0)

    async def story(router: Router) -> None:
        await read(await opened(router, "r"))

    route(story, policy, [Engine("a", lambda call: None), sound("b")])
    [served] = [event for event in policy.events if isinstance(event, Served)]
    assert served.completion.finish_reason == told


class Asked(Fallible):
    """Says how it is."""

    well = True
    asked = 0

    async def healthy(self) -> bool:
        self.asked += 1
        return self.well


def test_hanging_up_pays_what_the_auction_said_once_the_answer_began() -> None:
    policy = Fixed(0)

    async def story(router: Router) -> Any:
        live = await opened(router, "r")
        await anext(live)
        await live.aclose()
        await live.aclose()
        await asyncio.sleep(0.001)
        return live

    live, router = route(story, policy, [sound(), sound("b")])
    assert ended(policy) == ["Abandoned"]
    (left,) = [event for event in policy.events if isinstance(event, Abandoned)]
    assert (left.charge, router.ledger.held(), router.ledger.totals().entries) == (5, 0, 1)
    assert 0 < left.cost < live.charge * 10**6


def test_hanging_up_costs_nothing_before_the_answer_began() -> None:
    policy = Fixed(0)

    async def story(router: Router) -> None:
        # The first takes the only place, the second waits in line.
        first = await opened(router, "r", agents=[0])
        second = asyncio.create_task(opened(router, "s", agents=[0]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        await read(first)

    _, router = route(story, policy, [sound(), sound("b")], slots=1)
    assert sorted(ended(policy)) == ["Failed", "Served"] and router.ledger.totals().entries == 1
    assert router.ledger.held() == 0


@pytest.mark.parametrize(("stream", "end"), [(True, "Failed"), (False, "Abandoned")])
def test_an_answer_that_comes_whole_is_being_computed_from_its_dispatch_on(stream: bool, end: str) -> None:
    policy = Fixed(0)

    async def story(router: Router) -> None:
        task = asyncio.create_task(opened(router, "r", stream=stream))
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    _, router = route(story, policy, [sound(), sound("b")])
    assert ended(policy) == [end] and router.ledger.held() == 0


def test_nobody_but_those_who_may_serve_is_asked_and_nobody_else_is_blamed() -> None:
    policy = Fixed(0)
    engines = [sound(), Fallible("b", lambda call: EngineError("odd")), sound("c")]

    async def story(router: Router) -> Any:
        agents = []
        for k in range(4):
            live = await opened(router, f"r{k}", agents=[1, 2])
            agents.append(live.agent)
            await read(live)
        return agents, router.alive()

    (agents, alive), _ = route(story, policy, engines)
    assert agents == [2] * 4 and not engines[0].calls
    assert alive == [True, False, True]


def test_a_request_that_fails_wherever_it_is_tried_fails_alone() -> None:
    policy = Fixed(0)

    def poisonous(call: Call) -> Any:
        return EngineError("odd") if call.id.startswith("bad") else None

    async def story(router: Router) -> Any:
        for k in range(6):
            with pytest.raises(FailedEverywhereError):
                await opened(router, f"bad{k}")
        return [await read(await opened(router, f"good{k}")) for k in range(3)], router.alive()

    (answers, alive), router = route(story, policy, [Fallible("a", poisonous), Fallible("b", poisonous)])
    assert all(answers) and alive == [True, True] and router.ledger.totals().entries == 3


def test_what_an_engine_refuses_is_nobodys_fault() -> None:
    policy = Fixed(0)

    async def story(router: Router) -> Any:
        for k in range(4):
            with pytest.raises(Refused) as refused:
                await opened(router, f"r{k}")
        return refused.value, router.alive()

    (refused, alive), router = route(story, policy, [Fallible("a", lambda call: REFUSED), sound("b")])
    assert (refused.status, refused.body) == (422, REFUSED.body) and alive == [True, True]
    assert router.ledger.totals().entries == 0


def test_where_all_who_could_serve_it_are_down_a_request_is_told_so() -> None:
    policy = Fixed(0)

    async def story(router: Router) -> Any:
        for k in range(8):
            began = asyncio.get_running_loop().time()
            with pytest.raises(EngineError, match="b"):
                await opened(router, f"r{k}", agents=[1])
        assert asyncio.get_running_loop().time() - began < 1.0
        return await read(await opened(router, "other", agents=[0]))

    events, _ = route(story, policy, [sound(), Fallible("b", lambda call: Unreachable("gone"))])
    assert events


def test_who_stops_breaks_off_what_is_being_read() -> None:
    policy = Fixed(0)

    async def story(router: Router) -> Any:
        live = await opened(router, "r")
        reading = asyncio.create_task(read(live))
        await asyncio.sleep(0.001)
        await router.stop()
        with pytest.raises(Broken):
            await reading

    _, router = route(story, policy, [sound(), sound("b")])
    assert ended(policy) == ["Failed"] and (router.ledger.totals().entries, router.ledger.held()) == (0, 0)


def test_declined_requests_are_told_why() -> None:
    async def story(router: Router) -> Any:
        return await router.relay(asked("r"), Preferences(1.0, 0.1, 0.5))

    declined, _ = route(story, Never(ready=False), [sound(), sound("b")])
    assert isinstance(declined, Declined) and declined.code == "late"


def test_what_no_context_holds_is_refused() -> None:
    async def story(router: Router) -> None:
        with pytest.raises(RequestError, match="max_tokens"):
            await router.relay(asked("r", max_tokens=10**9), KEEN)
        await read(await opened(router, "r"))

    route(story, Fixed(0), [sound(), sound("b")])


def test_a_slow_reader_keeps_no_engines_place() -> None:
    policy = Fixed(0)

    async def story(router: Router) -> Any:
        # Nobody reads the first; the second needs its place.
        slow = await opened(router, "slow", agents=[0])
        await read(await opened(router, "quick", agents=[0]))
        assert router.ledger.held() == 0
        return await read(slow)

    events, router = route(story, policy, [sound(), sound("b")], slots=1)
    assert events[-1] == b"data: [DONE]\n\n" and router.ledger.totals().entries == 2


def test_an_answer_far_ahead_of_its_reader_waits_and_can_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.rounds.requests.relay._AHEAD_BYTES", 300)
    policy = Fixed(0)

    async def story(router: Router) -> Any:
        whole = await read(await opened(router, "r"))
        ahead = await opened(router, "s")
        await asyncio.sleep(5.0)
        assert ended(policy) == ["Served"]
        rest = await read(ahead)
        left = await opened(router, "t")
        await asyncio.sleep(5.0)
        await left.aclose()
        await asyncio.sleep(0.1)
        return whole, rest

    (whole, rest), router = route(story, policy, [sound(), sound("b")])
    assert len(whole) == len(rest) and rest[-1] == whole[-1]
    assert ended(policy) == ["Served", "Served", "Abandoned"] and router.ledger.held() == 0


def test_who_does_not_read_for_too_long_is_cut_off_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.rounds.requests.relay._AHEAD_BYTES", 300)
    policy = Fixed(0)

    async def story(router: Router) -> Any:
        live = await opened(router, "r", agents=[0])
        await read(await opened(router, "next", agents=[0]))
        events = [await anext(live)]
        with pytest.raises(Broken, match="not read for too long"):
            events += [event async for event in live]
        return events

    _, router = route(story, policy, [sound(), sound("b")], slots=1)
    # The slow one paid, gave its place to the next, and did not take what it had for the whole.
    assert ended(policy)[0] == "Abandoned"
    assert router.ledger.held() == 0
