"""When a request is told no though nothing happens, and the order of a line."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mechanisms import Preferences, find_mechanism
from runtime import (
    WAITING,
    Completion,
    Decision,
    Declined,
    EngineError,
    Event,
    Fleet,
    Offer,
    PaperAuction,
    Request,
    Router,
    Served,
    SimulatedEngine,
)
from runtime.rounds.deciding.queue import Queue
from tests.runtime.fleet import STEP, engine, request
from tests.runtime.rounds.stories import KEEN, Fixed, faulty, route


class Slow(SimulatedEngine):
    """Serves one request in so many seconds, its first token halfway."""

    seconds = 1.0

    async def generate(self, request: Request, first_token: Any = None) -> Completion:
        await asyncio.sleep(self.seconds / 2)
        if first_token is not None:
            first_token()
        await asyncio.sleep(self.seconds / 2)
        return Completion("fine", 4, 0, 2, self.seconds / 2, self.seconds)


def slow(name: str = "a") -> Slow:
    return Slow(name, lambda asked: "fine", STEP)


class Never(Fixed):
    """Is not ready for a round, or leaves everybody waiting."""

    def __init__(self, *, ready: bool) -> None:
        super().__init__(0)
        self.is_ready = ready

    def ready(self, fleet: Fleet) -> bool:
        return self.is_ready

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        return Decision(np.full(len(offers), WAITING), np.zeros(len(offers), np.int64))


async def told(router: Router, name: str, preferences: Preferences = KEEN) -> tuple[Any, float]:
    """The answer, and when it came."""
    (outcome,) = await asyncio.gather(router.submit(request(name, name), preferences), return_exceptions=True)
    return outcome, asyncio.get_running_loop().time()


def test_patience_ends_on_a_timer_though_nothing_else_happens() -> None:
    async def story(router: Router) -> tuple[Any, float]:
        return await told(router, "r")

    (outcome, at_s), _ = route(story, Never(ready=False), patience_s=7.0)
    assert isinstance(outcome, Declined) and "within 7 s" in outcome.reason
    assert (at_s, outcome.waited_s) == (7.0, 7.0)


@pytest.mark.parametrize("deadline", [0.5, 3.0])
def test_a_deadline_passes_in_the_queue_on_a_timer(deadline: float) -> None:
    async def story(router: Router) -> tuple[Any, float]:
        return await told(router, "r", Preferences(10.0, 0.1, deadline))

    (outcome, at_s), _ = route(story, Never(ready=False), patience_s=7.0)
    assert isinstance(outcome, Declined) and f"its deadline of {deadline:g} s passed" in outcome.reason
    assert at_s == deadline


def test_a_deadline_passes_in_line_on_a_timer_and_costs_nothing() -> None:
    policy = Fixed(0)

    async def story(router: Router) -> list[tuple[Any, float]]:
        first = asyncio.create_task(told(router, "first"))
        await asyncio.sleep(0.1)
        return await asyncio.gather(
            first, told(router, "late", Preferences(10.0, 0.1, 0.3)), told(router, "next", Preferences(10.0, 0.1, 9.0))
        )

    (first, late, after), router = route(story, policy, [slow()], slots=1, patience_s=0.2)
    assert isinstance(first[0], Served) and isinstance(after[0], Served)
    assert isinstance(late[0], Declined) and "deadline of 0.3 s passed in line" in late[0].reason
    assert late[1] == pytest.approx(0.4)
    assert not any(type(event).__name__ == "Dispatched" and event.offer is late[0].offer for event in policy.events)
    assert (router.ledger.totals().entries, router.ledger.held()) == (2, 0)


def test_a_request_that_failed_after_its_deadline_is_declined_and_not_tried_elsewhere() -> None:
    class Failing(Slow):
        async def generate(self, request: Request, first_token: Any = None) -> Completion:
            await asyncio.sleep(1.0)
            raise EngineError("at last")

    async def story(router: Router) -> tuple[Any, float]:
        return await told(router, "r", Preferences(10.0, 0.1, 0.5))

    (outcome, at_s), router = route(story, Fixed(0), [Failing("a", lambda asked: "", STEP), slow("b")])
    assert isinstance(outcome, Declined) and "deadline" in outcome.reason
    assert at_s == pytest.approx(1.0)
    assert router.ledger.totals().entries == router.ledger.held() == 0


def test_a_request_that_failed_has_the_rest_of_its_patience() -> None:
    """Seconds at an engine are none of it; without a timer of its own it would wait for ever."""

    class Once(Never):
        decided = False

        def ready(self, fleet: Fleet) -> bool:
            return not self.decided

        def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
            self.decided = True
            return Fixed(0).decide(offers, fleet)

    class Failing(Slow):
        async def generate(self, request: Request, first_token: Any = None) -> Completion:
            await asyncio.sleep(5.0)
            raise EngineError("at last")

    async def story(router: Router) -> tuple[Any, float]:
        return await told(router, "r")

    engines = [Failing("a", lambda asked: "", STEP), engine("b")]
    (outcome, at_s), _ = route(story, Once(ready=True), engines, patience_s=2.0)
    assert isinstance(outcome, Declined) and "within 2 s" in outcome.reason
    assert at_s == pytest.approx(7.0)


def test_a_deadline_beats_a_round_that_is_held_at_the_same_moment() -> None:
    policy = Fixed(0)

    async def story(router: Router) -> list[Any]:
        first = asyncio.create_task(told(router, "first"))
        await asyncio.sleep(0)
        # The engine is done at 1 s, when this one's deadline passes as well.
        late = await told(router, "late", Preferences(10.0, 0.1, 1.0))
        return [await first, late]

    (_, (late, at_s)), router = route(story, policy, [slow()], slots=1)
    assert isinstance(late, Declined) and at_s == pytest.approx(1.0)
    assert router.ledger.totals().entries == 1


def test_a_deadline_holds_though_its_timer_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that was held up runs what it has in any order."""
    monkeypatch.setattr(Queue, "_set_timer", lambda self, waiting, at_s: None)
    policy = Fixed(0)
    gathering = Never(ready=True)
    gathering.decide = policy.decide  # type: ignore[method-assign]
    gathering.ready = lambda fleet: fleet.now_s >= 2.0  # type: ignore[method-assign]

    async def in_line(router: Router) -> list[Any]:
        hurried = Preferences(10.0, 0.1, 0.3)
        return await asyncio.gather(told(router, "first"), told(router, "late", hurried), told(router, "next"))

    async def in_queue(router: Router) -> list[Any]:
        asked = [asyncio.create_task(told(router, "late", Preferences(10.0, 0.1, 0.3)))]
        await asyncio.sleep(2.0)
        return await asyncio.gather(*asked, told(router, "next"))

    outcomes, router = route(in_line, policy, [slow()], slots=1)
    assert [type(outcome) for outcome, _ in outcomes] == [Served, Declined, Served]
    assert (router.ledger.totals().entries, router.ledger.held()) == (2, 0)
    outcomes, router = route(in_queue, gathering, [slow()], slots=1)
    assert [type(outcome) for outcome, _ in outcomes] == [Declined, Served]
    assert "in line" not in outcomes[0][0].reason, "it competed"
    assert (router.ledger.totals().entries, router.ledger.held()) == (1, 0)


class Reversed(Fixed):
    """Lets the last of a round be first in line."""

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        return replace(super().decide(offers, fleet), positions=np.arange(len(offers))[::-1])


def served_order(events: Sequence[Event]) -> list[str]:
    return [event.offer.request.id for event in events if type(event).__name__ == "Dispatched"]


@pytest.mark.parametrize("rules", [{"slots": 1, "depth": 1}, {"slots": 1}, {"slots": 3, "depth": 1}])
def test_a_line_is_served_in_the_order_of_positions(rules: dict[str, int]) -> None:
    policy = Reversed(0)

    async def story(router: Router) -> list[Any]:
        return await asyncio.gather(*(told(router, f"r{k}") for k in range(5)))

    outcomes, _ = route(story, policy, [slow()], **rules)
    assert served_order(policy.events) == ["r4", "r3", "r2", "r1", "r0"]
    done = [at_s for _, at_s in outcomes]
    assert done == sorted(done, reverse=True) and len(set(done)) == 5


def test_with_a_depth_the_next_starts_when_the_one_before_has_its_first_token() -> None:
    policy = Fixed(0)

    async def story(router: Router) -> list[Any]:
        return await asyncio.gather(*(told(router, f"r{k}") for k in range(3)))

    outcomes, _ = route(story, policy, [slow()], slots=3, depth=1)
    assert [outcome.dispatched_s for outcome, _ in outcomes] == pytest.approx([0.0, 0.5, 1.0])


@pytest.mark.parametrize("cancelled", [1, 2])
def test_cancelling_one_in_line_moves_the_next_up(cancelled: int) -> None:
    policy = Fixed(0)

    async def story(router: Router) -> list[Any]:
        jobs = [asyncio.create_task(router.submit(request(f"r{k}", f"{k}"), KEEN)) for k in range(4)]
        await asyncio.sleep(0.1)
        jobs[cancelled].cancel()
        return await asyncio.gather(*jobs, return_exceptions=True)

    outcomes, router = route(story, policy, [slow()], slots=1, depth=1)
    left = [k for k in range(4) if k != cancelled]
    assert served_order(policy.events) == [f"r{k}" for k in left]
    assert [outcomes[k].dispatched_s for k in left] == pytest.approx([0.0, 1.0, 2.0])
    assert isinstance(outcomes[cancelled], asyncio.CancelledError)
    assert (router.ledger.totals().entries, router.ledger.held()) == (3, 0)


def test_a_line_whose_engine_goes_out_competes_again_in_its_order() -> None:
    from runtime import EngineDownError

    policy = Fixed(0)
    down = iter([None, EngineDownError("gone")])

    async def story(router: Router) -> list[Any]:
        return await asyncio.gather(*(told(router, f"r{k}") for k in range(6)))

    engines = [faulty("a", lambda asked: next(down, None)), slow("b")]
    outcomes, router = route(story, policy, engines, slots=1)
    order = served_order([event for event in policy.events if getattr(event, "agent", 0) == 1])
    assert order == [f"r{k}" for k in range(1, 6)]
    assert all(isinstance(outcome, Served) for outcome, _ in outcomes)
    assert router.ledger.totals().entries == 6


@pytest.mark.parametrize("how", ["stop", "interrupt"])
@pytest.mark.parametrize("after", [0.0, 0.1, 0.6, 1.0])
def test_stopping_leaves_no_task(how: str, after: float) -> None:
    left: list[Any] = []

    async def story(router: Router) -> None:
        before = asyncio.all_tasks()
        jobs = [asyncio.create_task(told(router, f"r{k}")) for k in range(6)]
        await asyncio.sleep(after)
        if how == "interrupt":
            # What asyncio.run does at Ctrl-C: the main task is cancelled, `finally` stops the router.
            for job in jobs:
                job.cancel()
        await router.stop()
        await asyncio.gather(*jobs, return_exceptions=True)
        left.extend(task for task in asyncio.all_tasks() if task not in before)
        assert not router._queue and not router._telling.open and not router._dispatcher.busy

    _, router = route(story, Fixed(0, 1), [slow("a"), slow("b")], slots=1, depth=1)
    assert not left
    assert router.ledger.held() == 0


def test_a_thousand_wait_and_leave_in_time_that_grows_with_their_number() -> None:
    """Not with its square: each leaves the queue by its own key."""
    policy = PaperAuction(find_mechanism("vcg"))

    async def story(router: Router) -> list[Any]:
        jobs = [asyncio.create_task(router.submit(request(f"r{k}", "x"), KEEN)) for k in range(1000)]
        await asyncio.sleep(0.05)
        for job in jobs:
            job.cancel()
        return await asyncio.gather(*jobs, return_exceptions=True)

    outcomes, router = route(story, policy, [slow()], slots=1)
    assert all(isinstance(one, asyncio.CancelledError) for one in outcomes)
    assert not router._queue and not router._telling.open
    assert router.ledger.held() == router.ledger.totals().entries == 0
