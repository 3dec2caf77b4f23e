"""Every outcome is told in OpenAI's schema, and says whether to try again."""

import asyncio
import json

import pytest

from mechanisms import Preferences, find_mechanism
from runtime import (
    Declined,
    EngineBusyError,
    EngineDownError,
    EngineError,
    Fleet,
    LedgerError,
    ModelError,
    PaperAuction,
    Policy,
    RequestError,
    Router,
    Served,
)
from runtime.errors import Broken, CutOff, LedgerBusyError, Left, Stopped
from runtime.gateway import problems
from runtime.gateway.problems import Problem, passed_on, problem_of
from tests.runtime.fleet import engine, request
from tests.runtime.rounds.relays import asked, read, sound
from tests.runtime.rounds.stories import KEEN, Fixed, faulty, route

EVERY = [
    problems.invalid("n is 0", "n"),
    problems.unauthorised(),
    problems.bid_too_low("too low"),
    problems.unknown_model("no model 'x'"),
    problems.unknown_path("/v2"),
    problems.too_large(10),
    problems.queue_full(),
    problems.insufficient_quota("free balance 1, value 2"),
    problems.no_room("nobody is free", 0.25),
    problems.too_late("too late"),
    problems.broken_off("é\n\u2028 broke"),
]


@pytest.mark.parametrize("problem", EVERY, ids=lambda problem: problem.code)
def test_a_problem_is_told_in_the_schema(problem: Problem) -> None:
    answer = problem.response()
    headers = dict(answer.headers)
    error = json.loads(answer.body)["error"]
    assert error == {"message": str(problem), "type": problem.type, "param": problem.param, "code": problem.code}
    assert headers[b"content-type"] == b"application/json" and int(headers[b"content-length"]) == len(answer.body)
    assert headers[b"x-should-retry"] == (b"true" if problem.retry else b"false")
    assert answer.status >= 400 and (problem.retry_after_s is None or problem.retry)


@pytest.mark.parametrize("problem", EVERY, ids=lambda problem: problem.code)
def test_the_same_is_one_event_of_a_stream(problem: Problem) -> None:
    event = problem.event()
    assert event.startswith(b"data: ") and event.endswith(b"\n\n") and event.count(b"\n") == 2
    assert json.loads(event.removeprefix(b"data: "))["error"]["code"] == problem.code
    assert problem.event("error") == b"event: error\n" + event


def test_who_may_try_again() -> None:
    told = {problem.code: (problem.status, problem.retry) for problem in EVERY}
    assert told == {
        "invalid_value": (400, False),
        "invalid_api_key": (401, False),
        "bid_too_low": (402, False),
        "model_not_found": (404, False),
        "unknown_url": (404, False),
        "body_too_large": (413, False),
        "queue_full": (429, True),
        "insufficient_quota": (429, False),
        "no_capacity": (503, True),
        "deadline_passed": (504, False),
        "engine_failed": (502, False),
    }
    headers = dict(problems.no_room("", 0.25).response().headers)
    assert (headers[b"retry-after-ms"], headers[b"retry-after"]) == (b"250", b"1")


@pytest.mark.parametrize(
    ("error", "status", "code", "retry"),
    [
        (RequestError("max_tokens 0"), 400, "invalid_request", False),
        (EngineBusyError("secret is busy", 2.5), 503, "no_capacity", True),
        (EngineDownError("secret is gone"), 503, "no_capacity", True),
        (LedgerBusyError("secret is locked"), 503, "no_capacity", True),
        (LedgerError("charged before"), 409, "conflict", False),
        (EngineError("every engine is down: secret"), 503, "no_capacity", True),
        (TimeoutError(), 504, "deadline_passed", False),
        (ModelError("secret path"), 500, "internal_error", False),
        (KeyError("secret"), 500, "internal_error", False),
        (problems.too_large(3), 413, "body_too_large", False),
    ],
)
def test_errors_of_ours(error: BaseException, status: int, code: str, retry: bool) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code, problem.retry) == (status, code, retry)
    assert b"secret" not in problem.body()


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (Stopped("the router was stopped"), 503, "the gateway is being stopped"),
        (Left("every engine that could serve it has left: secret"), 503, "taken out of the fleet"),
        (CutOff("the answer was not read for too long; it is charged all the same"), 502, "charged all the same"),
        (Broken("secret broke off"), 502, "the engine broke off; nothing is charged"),
    ],
)
def test_what_happened_is_said_and_not_that_nobody_can_be_reached(error: EngineError, status: int, words: str) -> None:
    problem = problem_of(error)
    assert problem.status == status and words in str(problem) and "secret" not in str(problem)
    assert "reached" not in str(problem)


def test_a_router_that_is_stopped_and_agents_that_leave_say_so() -> None:
    async def stopped(router: Router) -> list[BaseException]:
        live = await router.relay(asked("r"), KEEN)
        waiting = asyncio.create_task(router.relay(asked("s", agents=[0]), KEEN))
        await asyncio.sleep(0.015)
        await router.stop()
        with pytest.raises(CutOff) as cut:
            await read(live)
        found = await asyncio.gather(waiting, return_exceptions=True)
        with pytest.raises(Stopped) as late:
            await router.relay(asked("t"), KEEN)
        return [cut.value, *found, late.value]  # type: ignore[list-item]

    (cut, waited, late), _ = route(stopped, Fixed(0), [sound("a"), sound("b")], slots=1)
    assert "nothing is charged" in str(problem_of(cut))
    assert {str(problem_of(one)) for one in (waited, late)} == {str(problem_of(Stopped("")))}

    async def left(router: Router) -> BaseException:
        live = await router.relay(asked("r", agents=[0]), KEEN)
        waiting = asyncio.create_task(router.relay(asked("s", agents=[0]), KEEN))
        await asyncio.sleep(0.015)
        leaving = asyncio.create_task(router.retire(0))
        await read(live)
        await leaving
        with pytest.raises(Left) as caught:
            await waiting
        return caught.value

    told, _ = route(left, Fixed(0), [sound("a"), sound("b")], slots=1)
    assert "taken out of the fleet" in str(problem_of(told))


def test_a_busy_engines_time_is_told() -> None:
    assert problem_of(EngineBusyError("secret is busy", 2.5)).retry_after_s == 2.5


class Unready(Fixed):
    """Never ready for a round."""

    def ready(self, fleet: Fleet) -> bool:
        return False


def _declined(policy: Policy, preferences: Preferences, **rounds: float) -> Declined:
    """Why a router declines a request."""

    async def story(router: Router) -> Served | Declined:
        return await router.submit(request("a", "hi"), preferences)

    outcome, _ = route(story, policy, [engine()], **rounds)
    assert isinstance(outcome, Declined)
    return outcome


def test_reasons_of_the_rounds_are_recognised() -> None:
    """These are the words of `runtime.rounds`; whoever changes them there changes the status here."""
    worthless = problem_of(_declined(PaperAuction(find_mechanism("vcg")), Preferences(worth=0.0, delay_cost=1.0)))
    assert (worthless.status, worthless.code) == (402, "bid_too_low")
    nobody = problem_of(_declined(Unready(0), KEEN, patience_s=0.5))
    assert (nobody.status, nobody.code, nobody.retry) == (503, "no_capacity", True)
    late = problem_of(_declined(Unready(0), Preferences(10.0, 0.1, deadline=0.3)))
    assert (late.status, late.code) == (504, "deadline_passed")


def test_what_fails_everywhere_is_not_tried_again() -> None:
    async def story(router: Router) -> BaseException:
        with pytest.raises(EngineError) as failure:
            await router.submit(request("a", "hi"), KEEN)
        await asyncio.sleep(0)
        return failure.value

    broken = [faulty(name, lambda asked: EngineError("odd chunk")) for name in "abc"]
    error, _ = route(story, Fixed(0), broken)
    problem = problem_of(error)
    assert "odd chunk" not in str(problem), "an engine's words may hold anything"
    assert (problem.status, problem.code, problem.retry) == (502, "engine_failed", False)


def test_an_engines_refusal_goes_on_as_it_came() -> None:
    body = b'{"object":"error","message":"context","big":123456789012345678901234567890}'
    answer = passed_on(
        422, {"Content-Type": "application/json", "Transfer-Encoding": "chunked", "X-Request-Id": "7"}, body
    )
    headers = dict(answer.headers)
    assert (answer.status, answer.body) == (422, body)
    assert headers == {
        b"content-type": b"application/json",
        b"x-request-id": b"7",
        b"content-length": str(len(body)).encode(),
        b"x-should-retry": b"false",
    }
