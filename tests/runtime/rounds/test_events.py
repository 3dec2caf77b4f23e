"""Whatever happens, a request's events are a path of the diagram in `runtime.events`, and the books say the same."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation import UNSERVED
from mechanisms import Preferences, find_mechanism
from runtime import (
    WAITING,
    Arrived,
    Completion,
    Decided,
    Decision,
    Declined,
    Dispatched,
    EngineBusyError,
    EngineDownError,
    EngineError,
    Event,
    Failed,
    FirstToken,
    Fleet,
    Offer,
    PaperAuction,
    Policy,
    Request,
    RequestError,
    Router,
    Served,
    SimulatedEngine,
)
from tests.runtime.fleet import STEP, request
from tests.runtime.rounds.stories import Fixed, route

#: What may come after what; a failure that is retried goes on as an arrival.
NEXT: dict[type, set[type]] = {
    Arrived: {Decided, Declined, Failed},
    Decided: {Dispatched, Declined, Failed},
    Dispatched: {FirstToken, Failed},
    FirstToken: {Served, Failed},
}
ENDS = (Served, Declined, Failed)


@dataclass(frozen=True)
class Plan:
    """One request: when it comes, what its engines do to it, when its bidder gives up."""

    at_s: float
    fault: str
    patient_s: float | None
    preferences: Preferences


class Wild(Fixed):
    """Decides by lot, with lines, declines and second thoughts."""

    def __init__(self, seed: int) -> None:
        super().__init__(0)
        self.rng = np.random.default_rng(seed)

    def ready(self, fleet: Fleet) -> bool:
        return bool(not fleet.load.any() or self.rng.random() < 0.7)

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        chosen = self.rng.integers(0, len(fleet.agents), len(offers))
        lots = self.rng.random(len(offers))
        agents = np.where(lots < 0.1, UNSERVED, np.where(lots < 0.3, WAITING, chosen))
        return Decision(agents, np.full(len(offers), 3), positions=self.rng.permutation(len(offers)))


class Unreliable(SimulatedEngine):
    """Fails requests as their plan says, and counts who is there."""

    def __init__(self, name: str, plans: dict[str, Plan], seed: int) -> None:
        super().__init__(name, lambda request: "yes indeed", STEP)
        self.plans, self.rng = plans, np.random.default_rng(seed)
        self.there, self.before_first = 0, 0
        self.most, self.most_before_first = 0, 0

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        self.there += 1
        self.before_first += 1
        self.most, self.most_before_first = max(self.most, self.there), max(self.most_before_first, self.before_first)
        begun = False

        def begin() -> None:
            nonlocal begun
            if not begun:
                begun = True
                self.before_first -= 1
                if first_token is not None:
                    first_token()

        try:
            return await self._answer(request, begin)
        finally:
            self.there -= 1
            self.before_first -= not begun

    async def _answer(self, request: Request, begin: Callable[[], None]) -> Completion:
        fault = self.plans[request.id].fault
        if fault != "none" and self.rng.random() < 0.6:
            await asyncio.sleep(float(self.rng.choice([0.0, 0.01, 0.1])))
            if self.rng.random() < 0.5:
                begin()
            raise {
                "engine": EngineError("failed"),
                "down": EngineDownError("gone"),
                "busy": EngineBusyError("later", float(self.rng.choice([0.0, 0.5]))),
                "request": RequestError("no"),
                "bug": KeyError("bug"),
                "cancelled": asyncio.CancelledError(),
            }[fault]
        return await super().generate(request, begin)


PLANS = st.builds(
    Plan,
    at_s=st.sampled_from([0.0, 0.0, 0.005, 0.05, 0.3, 1.0, 2.0]),
    fault=st.sampled_from(["none", "none", "none", "engine", "down", "busy", "request", "bug", "cancelled"]),
    patient_s=st.sampled_from([None, None, None, 0.0, 0.01, 0.03, 0.5]),
    preferences=st.sampled_from(
        [Preferences(10.0, 0.1), Preferences(5.0, 0.0, 0.05), Preferences(0.0, 1.0), Preferences(9.0, 0.1, 1.0)]
    ),
)


@settings(max_examples=120, deadline=None)
@given(
    plans=st.lists(PLANS, min_size=1, max_size=14),
    seed=st.integers(0, 2**16),
    slots=st.integers(1, 3),
    depth=st.sampled_from([None, 1, 2]),
    paper=st.booleans(),
    stop_s=st.sampled_from([None, None, 0.02, 0.4]),
)
def test_events_are_paths_and_the_books_agree(
    plans: list[Plan], seed: int, slots: int, depth: int | None, paper: bool, stop_s: float | None
) -> None:
    by_id = {f"r{k}": plan for k, plan in enumerate(plans)}
    engines = [Unreliable(name, by_id, seed + k) for k, name in enumerate("abc")]
    events: list[Event] = []
    policy: Policy = PaperAuction(find_mechanism("vcg")) if paper else Wild(seed)
    told: dict[str, Any] = {}

    async def ask(router: Router, name: str) -> None:
        plan = by_id[name]
        await asyncio.sleep(plan.at_s)
        job = asyncio.create_task(router.submit(request(name, f"a question {name}"), plan.preferences))
        if plan.patient_s is not None:
            await asyncio.sleep(plan.patient_s)
            job.cancel()
        (told[name],) = await asyncio.gather(job, return_exceptions=True)

    async def story(router: Router) -> None:
        before = asyncio.all_tasks()
        asking = asyncio.gather(*(ask(router, name) for name in by_id))
        if stop_s is not None:
            await asyncio.sleep(stop_s)
            await router.stop()
        await asking
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.5)
        assert not router._queue and not router._telling.open and not router._dispatcher.busy
        assert not [task for task in asyncio.all_tasks() - before if task.get_name().startswith("serve")]

    rules: dict[str, Any] = {"slots": slots, "depth": depth, "patience_s": 5.0, "max_batch": 4}
    _, router = route(story, policy, engines, {"subscribers": [events.append]}, **rules)

    paths: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        paths[event.offer.request.id].append(event)
    for name, path in paths.items():
        check_path(path, told[name])
    for name, outcome in told.items():
        # Who was never admitted came after the stop, or gave up before.
        assert name in paths or isinstance(outcome, EngineError | asyncio.CancelledError)
    served = [event for event in events if isinstance(event, Served)]
    totals = router.ledger.totals()
    assert router.ledger.held() == 0
    assert totals.entries == len(served)
    assert totals.charges == sum(event.charge for event in served)
    assert totals.receipts == sum(event.receipt for event in served)
    for one in engines:
        assert one.most <= slots
        assert depth is None or one.most_before_first <= depth


def check_path(path: list[Event], told: Any) -> None:
    """One arrival, steps of the diagram, times that never fall, one end, and the bidder was told of it."""
    assert isinstance(path[0], Arrived)
    assert all(one.at_s <= other.at_s for one, other in pairwise(path))
    for one, other in pairwise(path):
        retried = isinstance(one, Failed) and one.retried
        assert type(other) in NEXT[Arrived if retried else type(one)], (one, other)
    assert isinstance(path[-1], ENDS) and not getattr(path[-1], "retried", False)
    assert sum(isinstance(one, ENDS) and not getattr(one, "retried", False) for one in path) == 1
    end = path[-1]
    if isinstance(told, Served | Declined):
        assert told is end
    elif not isinstance(told, asyncio.CancelledError):
        assert isinstance(end, Failed) and end.error is told


def test_an_engine_that_never_says_that_its_first_token_came_is_served_by_the_diagram_too() -> None:
    class Mute(SimulatedEngine):
        async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
            return await super().generate(request)

    policy = Fixed(0)

    async def story(router: Router) -> Any:
        return await router.submit(request("r", "x"), Preferences(10.0, 0.1))

    route(story, policy, [Mute("a", lambda asked: "fine", STEP)])
    assert [type(event) for event in policy.events] == [Arrived, Decided, Dispatched, FirstToken, Served]


def test_an_answer_that_comes_as_its_bidder_leaves_is_not_charged() -> None:
    policy = Fixed(0)
    jobs: list[asyncio.Task[Any]] = []

    class Parting(SimulatedEngine):
        async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
            done = await super().generate(request, first_token)
            jobs[0].cancel()
            return done

    async def story(router: Router) -> None:
        jobs.append(asyncio.create_task(router.submit(request("r", "x"), Preferences(10.0, 0.1))))
        (told,) = await asyncio.gather(*jobs, return_exceptions=True)
        assert isinstance(told, asyncio.CancelledError)
        await asyncio.sleep(0.1)

    _, router = route(story, policy, [Parting("a", lambda asked: "fine", STEP)])
    assert [type(event) for event in policy.events] == [Arrived, Decided, Dispatched, FirstToken, Failed]
    assert router.ledger.totals().entries == router.ledger.held() == 0


def test_a_first_token_that_comes_after_the_failure_is_none() -> None:
    class Late(SimulatedEngine):
        async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
            assert first_token is not None
            asyncio.get_running_loop().call_later(0.1, first_token)
            raise RequestError("no")

    policy = Fixed(0)

    async def story(router: Router) -> None:
        with pytest.raises(RequestError):
            await router.submit(request("r", "x"), Preferences(10.0, 0.1))
        await asyncio.sleep(1.0)

    route(story, policy, [Late("a", lambda asked: "fine", STEP)])
    assert [type(event) for event in policy.events] == [Arrived, Decided, Dispatched, Failed]


@pytest.mark.parametrize("times", [1, 3])
def test_a_first_token_is_told_once_however_often_the_engine_says_it(times: int) -> None:
    class Stutter(SimulatedEngine):
        async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
            done = await super().generate(request, first_token)
            for _ in range(times):
                assert first_token is not None
                first_token()
                asyncio.get_running_loop().call_later(0.1, first_token)
            return done

    policy = Fixed(0)

    async def story(router: Router) -> Any:
        served = await router.submit(request("r", "x"), Preferences(10.0, 0.1))
        await asyncio.sleep(1.0)
        return served

    route(story, policy, [Stutter("a", lambda asked: "fine", STEP)])
    assert [type(event) for event in policy.events] == [Arrived, Decided, Dispatched, FirstToken, Served]
