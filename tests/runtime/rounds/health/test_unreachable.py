"""A request that never reached an engine may go there yet; an engine that went pays for that once."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from runtime import EngineError, Router, Served, Unreachable
from runtime.engines.call import Answer, Call
from tests.runtime.rounds.relays import Fallible, asked, read, sound
from tests.runtime.rounds.stories import KEEN, Fixed, route


class Restarting(Fallible):
    """Cannot be reached in the times given, and says how it is; `sent` tells whether it dies of what it is sent."""

    def __init__(self, name: str, *gone: tuple[float, float], sent: bool = False) -> None:
        super().__init__(name, lambda call: None if self.is_up() else Unreachable("gone", sent=sent))
        self.gone = gone
        self.says_well = False

    def is_up(self) -> bool:
        now = asyncio.get_running_loop().time()
        return not any(since <= now < until for since, until in self.gone)

    async def healthy(self) -> bool:
        return self.says_well or self.is_up()


class Slow(Fallible):
    """Thinks before it begins to answer."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(name, lambda call: None)
        self.seconds = seconds

    async def open(self, call: Call, deadline: float = inf) -> Answer:
        await asyncio.sleep(self.seconds)
        return await super().open(call, deadline)


async def opened(router: Router, name: str) -> int:
    live = await router.relay(asked(name, agents=range(len(router.engines))), KEEN)
    await read(live)
    return live.agent  # type: ignore[union-attr]


@pytest.mark.parametrize("agents", [1, 2, 3])
def test_a_request_that_reached_nobody_is_served_by_whoever_comes_back(agents: int) -> None:
    async def story(router: Router) -> Any:
        return await opened(router, "r")

    policy = Fixed(0)
    served, router = route(story, policy, [Restarting(name, (0.0, 3.0)) for name in "abc"[:agents]], attempts=2)
    assert served in range(agents)
    assert sum(isinstance(event, Served) for event in policy.events) == 1
    assert router.ledger.held() == 0 and router.ledger.totals().entries == 1


def test_it_goes_where_it_could_not_be_sent_before_as_often_as_need_be() -> None:
    """Both say that they are well, and cannot be reached: more often than it has attempts."""
    engines = [Restarting(name, (0.0, 6.0)) for name in "ab"]
    for engine in engines:
        engine.says_well = True

    async def story(router: Router) -> Any:
        return await opened(router, "r")

    served, _ = route(story, Fixed(0), engines, attempts=2)
    assert served in (0, 1)
    assert sum(len(engine.calls) for engine in engines) > 4


@pytest.mark.parametrize("asked_how", [True, False])
def test_it_is_given_up_once_nobody_need_be_waited_for(asked_how: bool) -> None:
    gone: Callable[[], Fallible] = lambda: Fallible("a", lambda call: Unreachable("gone", sent=False))  # noqa: E731

    async def story(router: Router) -> Any:
        with pytest.raises(EngineError, match="every engine is down"):
            await opened(router, "r")
        return asyncio.get_running_loop().time()

    ended_s, router = route(story, Fixed(0), [Restarting("a", (0.0, inf)) if asked_how else gone()], attempts=2)
    assert ended_s < 15
    assert router.ledger.held() == 0


def test_an_engine_that_went_is_not_left_out_again_for_whom_others_serve_later() -> None:
    """Four requests are lost with it; they are being served elsewhere when it is back, and end there."""
    engine = Restarting("a", (0.0, 1.0), sent=True)

    async def story(router: Router) -> Any:
        lost = [asyncio.create_task(opened(router, f"lost{k}")) for k in range(4)]
        await asyncio.sleep(2.0)
        before = router.alive()
        ended = await asyncio.gather(*lost)
        return before, ended, router.alive(), await opened(router, "after")

    (before, ended, alive, after), _ = route(story, Fixed(0), [engine, Slow("b", 3.0)], slots=4)
    assert before == alive == [True, True]
    assert ended == [1, 1, 1, 1] and after == 0


def test_an_engine_that_fails_what_others_serve_is_left_out_all_the_same() -> None:
    async def story(router: Router) -> Any:
        for k in range(2):
            await opened(router, f"r{k}")
        return router.alive()

    alive, _ = route(story, Fixed(0), [Fallible("a", lambda call: EngineError("odd")), sound("b")])
    assert alive == [False, True]
