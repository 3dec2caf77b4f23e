"""Engines that fail, are busy, die and come back: what is whose fault, and who is served all the same."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from runtime import (
    Completion,
    EngineBusyError,
    EngineDownError,
    EngineError,
    EngineInfo,
    EngineShape,
    Failed,
    Message,
    ModelError,
    Request,
    RequestError,
    Router,
    Served,
    SimulatedEngine,
)
from runtime.rounds.health.health import Health
from tests.runtime.fleet import STEP, engine, request
from tests.runtime.rounds.stories import KEEN, Fixed, breaking, faulty, route


async def gathered(router: Router, names: Sequence[str]) -> list[Any]:
    asked = [router.submit(request(name, f"question {name}"), KEEN) for name in names]
    return await asyncio.gather(*asked, return_exceptions=True)


def poisoned(error: Callable[[], BaseException]) -> Callable[[Request], BaseException | None]:
    return lambda asked: error() if asked.id.startswith("poison") else None


KINDS: dict[str, Callable[[], BaseException]] = {
    "500": lambda: EngineError("failed with status 500"),
    "nonsense": lambda: EngineError("answered with nonsense (a chunk out of shape)"),
    "404": lambda: EngineError("does not know what was asked"),
    "refused": lambda: RequestError("cannot serve this request"),
    "a bug": lambda: ValueError("an engine's own bug"),
    "its own cancellation": asyncio.CancelledError,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_that_everybody_fails_fails_alone(kind: str) -> None:
    async def story(router: Router) -> list[Any]:
        first = await gathered(router, ["r0", "poison", "r1"])
        return [*first, *await gathered(router, ["r2", "r3"])]

    engines = [faulty(name, poisoned(KINDS[kind])) for name in "abc"]
    outcomes, router = route(story, Fixed(0, 1, 2), engines)
    assert [isinstance(one, Served) for one in outcomes] == [True, False, True, True, True]
    assert not isinstance(outcomes[1], asyncio.CancelledError)
    assert router.ledger.totals().entries == 4 and router.ledger.held() == 0


@pytest.mark.parametrize("kind", [*KINDS, "a death"])
@pytest.mark.parametrize("together", [True, False])
def test_poison_fails_alone_and_leaves_no_engine_out(kind: str, together: bool) -> None:
    names = [f"poison{k}" if k % 8 in (1, 4, 6) else f"r{k}" for k in range(64)]
    assert sum(name.startswith("poison") for name in names) == 24

    async def story(router: Router) -> list[Any]:
        if together:
            return await gathered(router, names)
        return [outcome for name in names for outcome in await gathered(router, [name])]

    # An engine that dies of it is back before anybody looks.
    error = KINDS.get(kind, lambda: EngineDownError("gone"))
    engines = [faulty(name, poisoned(error), max_num_seqs=4) for name in "abc"]
    outcomes, router = route(story, Fixed(0, 1, 2), engines)
    for name, outcome in zip(names, outcomes, strict=True):
        assert isinstance(outcome, Served) != name.startswith("poison"), (name, outcome)
        assert "every engine" not in str(outcome)
    assert kind == "a death" or router._health.alive(0.0).all()
    assert (router.ledger.totals().entries, router.ledger.held()) == (40, 0)


class Contagious(SimulatedEngine):
    """Crashes at poison, with all that it has; it is back before anybody looks."""

    kind: type[EngineError] = EngineError
    alarm: "asyncio.Future[None] | None" = None

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        alarm = self.alarm = self.alarm or asyncio.get_running_loop().create_future()
        if request.id.startswith("poison"):
            await asyncio.sleep(0.01)
            if not alarm.done():
                alarm.set_result(None)
            self.alarm = None
            raise self.kind("it crashed")
        work = asyncio.create_task(super().generate(request, first_token))
        await asyncio.wait([work, alarm], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        work.cancel()
        raise self.kind("a neighbour crashed it")


@pytest.mark.parametrize("kind", [EngineError, EngineDownError])
@pytest.mark.parametrize("slots", [1, 4, 16])
@pytest.mark.parametrize("every_s", [0.0, 0.01, 0.1])
def test_poison_that_breaks_its_neighbours_too_costs_none_of_them(
    kind: type[EngineError], slots: int, every_s: float
) -> None:
    names = [f"poison{k}" if k % 8 in (1, 4, 6) else f"r{k}" for k in range(64)]

    async def story(router: Router) -> list[Any]:
        jobs = []
        for name in names:
            jobs.append(asyncio.create_task(router.submit(request(name, f"question {name}"), KEEN)))
            await asyncio.sleep(every_s)
        return await asyncio.gather(*jobs, return_exceptions=True)

    engines = [Contagious(name, lambda asked: "fine", STEP, EngineShape(max_num_seqs=slots)) for name in "abc"]
    for one in engines:
        one.kind = kind
    outcomes, router = route(story, Fixed(0, 1, 2), engines)
    for name, outcome in zip(names, outcomes, strict=True):
        assert isinstance(outcome, Served) != name.startswith("poison"), (name, outcome)
        assert "every engine" not in str(outcome)
    assert (router.ledger.totals().entries, router.ledger.held()) == (40, 0)


@pytest.mark.parametrize("kind", ["500", "nonsense", "404"])
def test_a_failure_of_one_engine_is_mended_by_another(kind: str) -> None:
    def first_time(left: list[int]) -> Callable[[Request], BaseException | None]:
        return lambda asked: KINDS[kind]() if left and left.pop() else None

    async def story(router: Router) -> list[Any]:
        return await gathered(router, ["r0"]) + await gathered(router, ["r1"])

    outcomes, _ = route(story, Fixed(0), [faulty("a", first_time([1])), engine("b")])
    assert [one.agent for one in outcomes] == [1, 0]


def test_an_engine_that_fails_what_others_serve_is_left_out_and_tried_again() -> None:
    broken = [True]
    policy = Fixed(0)

    async def story(router: Router) -> list[int]:
        agents = []
        for k in range(20):
            agents += [one.agent for one in await gathered(router, [f"r{k}"])]
            await asyncio.sleep(0.5)
            broken[0] = k < 8
        return agents

    agents, _ = route(story, policy, [faulty("a", lambda asked: EngineError("x") if broken[0] else None), engine("b")])
    failed = [event for event in policy.events if isinstance(event, Failed)]
    assert agents[:9] == [1] * 9 and agents[-1] == 0
    # Two failures, then a pause of one second and a trial, then of two and another; the next it passes.
    assert len(failed) == 4


class Crashing(SimulatedEngine):
    """Can be killed, and come back; `start` brings it back too."""

    dead = False

    async def start(self) -> EngineInfo:
        self.dead = False
        return await super().start()

    async def tokenize(self, messages: Sequence[Message]) -> tuple[int, ...]:
        if self.dead:
            raise EngineDownError(f"engine {self.name} is gone")
        return await super().tokenize(messages)

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        if self.dead:
            raise EngineDownError(f"engine {self.name} is gone")
        return await super().generate(request, first_token)

    async def die(self) -> None:
        self.dead = True
        await super().stop()

    async def rise(self) -> None:
        await self.start()


def crashing(name: str) -> Crashing:
    return Crashing(name, lambda request: "fine", STEP)


def test_an_engine_that_dies_with_work_and_comes_back_is_used_again() -> None:
    a, b = crashing("a"), engine("b")
    policy = Fixed(0)

    async def story(router: Router) -> list[list[Any]]:
        working = asyncio.create_task(gathered(router, [f"r{k}" for k in range(6)]))
        await asyncio.sleep(0.015)
        await a.die()
        first = await working
        second = await gathered(router, ["s"])
        await asyncio.sleep(1.5)
        third = await gathered(router, ["t"])
        await a.rise()
        await asyncio.sleep(2.5)
        return [first, second, third, await gathered(router, ["u", "v"])]

    told, router = route(story, policy, [a, b])
    assert all(isinstance(one, Served) for some in told for one in some)
    assert [[one.agent for one in some] for some in told] == [[1] * 6, [1], [1], [0, 0]]
    assert (router.ledger.totals().entries, router.ledger.held()) == (10, 0)


def test_a_single_engine_that_is_back_within_its_first_pause_costs_nobody_who_came_since() -> None:
    a = crashing("a")

    async def story(router: Router) -> list[Any]:
        await gathered(router, ["r"])
        await a.die()
        lost = await gathered(router, ["lost"])
        await a.rise()
        return [*lost, *await gathered(router, ["s", "t"])]

    (lost, *since), _ = route(story, Fixed(0), [a])
    assert isinstance(lost, EngineError)
    assert all(isinstance(one, Served) for one in since)


def test_when_all_have_failed_their_trial_nobody_waits_for_them() -> None:
    async def story(router: Router) -> float:
        # Three trials of each, with pauses of 1, 2 and 4 seconds, are the hope there is.
        for k in range(12):
            await gathered(router, [f"r{k}"])
            await asyncio.sleep(1.0)
        began = asyncio.get_running_loop().time()
        (late,) = await gathered(router, ["late"])
        assert isinstance(late, EngineError) and "every engine is down: a, b" in str(late)
        return asyncio.get_running_loop().time() - began

    down = EngineDownError
    assert route(story, Fixed(0), [breaking("a", 0, down), breaking("b", 0, down)])[0] < 0.01


def test_after_everything_died_a_stop_and_a_start_make_it_serve_again() -> None:
    engines = [crashing("a"), crashing("b")]

    async def story(router: Router) -> list[Any]:
        for one in engines:
            await one.die()
        dead = await gathered(router, ["r", "s"])
        await router.stop()
        await router.start()
        return [*dead, *await gathered(router, ["r", "t"])]

    outcomes, router = route(story, Fixed(0, 1), engines)
    assert [type(one) for one in outcomes] == [EngineError, EngineError, Served, Served]
    assert router.ledger.totals().entries == 2


def test_a_dead_replica_does_not_stop_tokenising() -> None:
    engines = [crashing("a"), crashing("b"), crashing("c")]

    async def story(router: Router) -> list[Any]:
        engines[0].dead = engines[1].dead = True
        return await gathered(router, ["r", "s"])

    outcomes, _ = route(story, Fixed(0), engines)
    assert [one.agent for one in outcomes] == [2, 2]


class Foreign(Crashing):
    """Has a vocabulary of its own."""

    async def start(self) -> EngineInfo:
        info = await super().start()
        return EngineInfo(info.model, 16, 100, info.max_model_len, info.slots, self.name, simulated=True)


class Silent(Foreign):
    """Takes connections and says nothing."""

    async def tokenize(self, messages: Sequence[Message]) -> tuple[int, ...]:
        await asyncio.sleep(1e6)
        raise AssertionError


class Untemplated(Foreign):
    """Has lost its chat template since it started."""

    async def tokenize(self, messages: Sequence[Message]) -> tuple[int, ...]:
        raise ModelError("no chat template")


@pytest.mark.parametrize("kind", [Foreign, Silent, Untemplated])
def test_a_vocabulary_that_nobody_can_tell_leaves_its_agents_out_of_that_request_alone(kind: type[Crashing]) -> None:
    odd = kind("odd", lambda request: "fine", STEP)

    async def story(router: Router) -> list[Any]:
        odd.dead = True
        return await gathered(router, ["r"])

    (outcome,), _ = route(story, Fixed(0), [odd, engine("b")])
    assert outcome.agent == 1 and outcome.offer.refused == {0}


@pytest.mark.parametrize("after", [0.0, 2.0])
def test_a_busy_engine_is_let_alone_for_as_long_as_it_asks_and_blamed_for_nothing(after: float) -> None:
    full = [True]

    def busy(asked: Request) -> BaseException | None:
        return EngineBusyError("takes no more", after) if full[0] else None

    async def story(router: Router) -> list[Any]:
        first = await gathered(router, ["r0", "r1", "r2"])
        full[0] = False
        await asyncio.sleep(after + 0.2)
        return [*first, *await gathered(router, ["s"])]

    outcomes, _ = route(story, Fixed(0), [faulty("a", busy), engine("b")])
    assert all(isinstance(one, Served) for one in outcomes)
    assert [one.agent for one in outcomes] == [1, 1, 1, 0]
    assert not outcomes[0].offer.refused


def test_a_single_busy_engine_is_asked_again() -> None:
    answers = iter([EngineBusyError("takes no more", 3.0), None, None])

    async def story(router: Router) -> Any:
        return await gathered(router, ["r"])

    (served,), _ = route(story, Fixed(0), [faulty("a", lambda asked: next(answers))])
    assert isinstance(served, Served)
    assert 3.0 <= served.dispatched_s - served.arrived_s < 3.5


def test_requests_that_an_engine_had_when_it_went_down_make_its_pause_no_longer() -> None:
    health = Health(1)
    for _ in range(5):
        health.down(0, 10.0)
    assert health.next_trial_s(10.0) == 11.0
    health.down(0, 11.0)
    assert health.next_trial_s(11.0) == 13.0
    health.down(0, 13.0, doubt=True)
    assert health.next_trial_s(13.0) == 14.0
    health.down(0, 14.0)
    assert health.next_trial_s(14.0) == 18.0
    assert health.hopeful([0], 100.0) and health.on_trial(0)
    health.down(0, 18.0)
    assert not health.hopeful([0], 100.0)
    health.began(0)
    assert health.hopeful([0], 100.0) and not health.on_trial(0)
    health.served(0, [], 26.0)
    assert health.alive(26.0).all()
    health.down(0, 27.0)
    assert health.next_trial_s(27.0) == 28.0
