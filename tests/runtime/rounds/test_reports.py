"""What one bidder, policy or subscriber does wrong, and that nobody else hears of it."""

import asyncio
import gc
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from allocation import UNSERVED
from mechanisms import Preferences, find_mechanism
from runtime import (
    Decision,
    Declined,
    EngineError,
    Event,
    Fleet,
    LedgerError,
    Offer,
    PaperAuction,
    RequestError,
    Router,
    Served,
    ServingError,
)
from runtime.rounds.requests.waiting import Waiting
from tests.runtime.fleet import engine, request
from tests.runtime.rounds.stories import KEEN, Fixed, faulty, route


def unchecked(**fields: Any) -> Preferences:
    """Preferences built around their own check."""
    made = object.__new__(Preferences)
    for name, value in {"worth": 10.0, "delay_cost": 0.1, "deadline": inf, **fields}.items():
        object.__setattr__(made, name, value)
    return made


class Lying(Preferences):
    """Breaks when its value is asked."""

    def value(self, quality: Any, latency_s: Any) -> Any:
        raise ZeroDivisionError("surprise")


REPORTS: dict[str, Any] = {
    "delay of 1e9 a second": Preferences(10.0, 1e9),
    "delay of 1e4 a second": Preferences(10.0, 1e4),
    "worth 1e30": Preferences(1e30, 0.1),
    "nan": unchecked(worth=nan),
    "infinite": unchecked(worth=inf),
    "infinite delay": unchecked(delay_cost=inf),
    "negative": unchecked(worth=-1.0),
    "nan delay": unchecked(delay_cost=nan),
    "nan deadline": unchecked(deadline=nan),
    "no number": unchecked(worth="much"),
    "a deadline that is none": unchecked(deadline=None),
    "an object": object(),
    "none": None,
    "breaking": Lying(10.0, 0.1),
}


@pytest.mark.parametrize("kind", REPORTS)
@pytest.mark.parametrize("policy", [lambda: Fixed(0), lambda: PaperAuction(find_mechanism("vcg"))])
def test_an_odd_report_is_refused_at_the_door_and_fails_nobody_else(kind: str, policy: Callable[[], Any]) -> None:
    async def story(router: Router) -> list[Any]:
        asked = [router.submit(request(f"r{k}", f"{k}"), REPORTS[kind] if k == 1 else KEEN) for k in range(3)]
        return await asyncio.gather(*asked, return_exceptions=True)

    outcomes, _ = route(story, policy())
    assert [type(one) for one in outcomes] == [Served, RequestError, Served]


@pytest.mark.parametrize("tokens", [10**30, 4097, 0, -1, 2.5, nan, True, "4", None])
def test_an_odd_length_is_refused_at_the_door_and_fails_nobody_else(tokens: Any) -> None:
    async def story(router: Router) -> list[Any]:
        asked = [request(f"r{k}", f"{k}", max_tokens=tokens if k == 1 else 4) for k in range(3)]
        return await asyncio.gather(*(router.submit(one, KEEN) for one in asked), return_exceptions=True)

    outcomes, _ = route(story, PaperAuction(find_mechanism("vcg")))
    assert [type(one) for one in outcomes] == [Served, RequestError, Served]


def test_great_reports_that_money_can_say_are_served() -> None:
    async def story(router: Router) -> Any:
        return await router.submit(request("r", "x"), Preferences(1e6, 100.0))

    assert isinstance(route(story, PaperAuction(find_mechanism("vcg")))[0], Served)


def test_a_stopped_router_says_so() -> None:
    async def story(router: Router) -> None:
        await router.stop()
        await router.stop()
        with pytest.raises(EngineError, match="the router was stopped"):
            await router.submit(request("r", "x"), KEEN)
        assert not router._queue and not router._telling.open

    route(story, Fixed(0))


def test_stopped_while_a_prompt_is_tokenised_it_says_so_too() -> None:
    class Slow(type(engine())):  # type: ignore[misc]
        async def tokenize(self, messages: Any) -> Any:
            await asyncio.sleep(1.0)
            return await super().tokenize(messages)

    async def story(router: Router) -> None:
        job = asyncio.create_task(router.submit(request("r", "x"), KEEN))
        await asyncio.sleep(0.5)
        await router.stop()
        with pytest.raises(EngineError, match="the router was stopped"):
            await job
        assert not router._queue and not router._telling.open

    twin = engine()
    route(story, Fixed(0), [Slow("a", lambda asked: "fine", twin.step_time)])


@pytest.mark.parametrize("later", [0.0, 0.005, 0.02])
def test_an_id_used_twice_at_once_fails_the_second_alone(later: float) -> None:
    policy = Fixed(0)

    async def story(router: Router) -> list[Any]:
        first = asyncio.create_task(router.submit(request("r", "first"), KEEN))
        await asyncio.sleep(later)
        second = asyncio.create_task(router.submit(request("r", "second"), KEEN))
        other = asyncio.create_task(router.submit(request("s", "other"), KEEN))
        return await asyncio.gather(first, second, other, return_exceptions=True)

    # The first attempt of `r` fails: while it goes elsewhere, the second must not take its place in the books.
    failing = iter([EngineError("once")])
    outcomes, router = route(story, policy, [faulty("a", lambda asked: next(failing, None)), engine("b")])
    assert [type(one) for one in outcomes] == [Served, RequestError, Served]
    assert outcomes[0].request.messages[0].content == "first"
    assert (router.ledger.totals().entries, router.ledger.held()) == (2, 0)
    assert sum(type(event).__name__ == "Arrived" for event in policy.events) == 2


def test_an_id_that_was_charged_is_refused_and_one_that_was_not_may_come_again() -> None:
    policy = Fixed(0)

    class Choosy(Fixed):
        def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
            decided = super().decide(offers, fleet)
            poor = np.array([offer.preferences.worth == 0 for offer in offers])
            return replace(decided, agents=np.where(poor, UNSERVED, decided.agents))

    async def story(router: Router) -> None:
        assert isinstance(await router.submit(request("r", "x"), Preferences(0.0, 0.0)), Declined)
        assert isinstance(await router.submit(request("r", "x"), KEEN), Served)
        with pytest.raises(LedgerError, match="charged before"):
            await router.submit(request("r", "x"), KEEN)
        assert isinstance(await router.submit(request("s", "x"), KEEN), Served)

    policy = Choosy(0)
    _, router = route(story, policy)
    assert router.ledger.totals().entries == 2
    assert type(policy.events[-6]).__name__ == "Failed"


@pytest.mark.parametrize("kind", ["Arrived", "Decided", "Dispatched", "FirstToken", "Served", "Declined", "Failed"])
@pytest.mark.parametrize("who", ["policy", "subscriber"])
def test_whoever_fails_to_take_note_is_told_of_at_once_and_harms_no_request(
    kind: str, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    def forgetful(event: Event) -> None:
        if type(event).__name__ == kind:
            raise ValueError(f"what was that? {kind}")

    class Amnesiac(Fixed):
        def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
            decided = super().decide(offers, fleet)
            poor = np.array([offer.preferences.worth == 0 for offer in offers])
            return replace(decided, agents=np.where(poor, UNSERVED, decided.agents))

        def notice(self, event: Event) -> None:
            super().notice(event)
            if who == "policy":
                forgetful(event)

    told: list[BaseException] = []

    def on_error(error: BaseException) -> None:
        told.append(error)
        raise RuntimeError("and this breaks as well")

    seen: list[Event] = []

    async def story(router: Router) -> list[Any]:
        outcomes = []
        for k, preferences in enumerate((KEEN, Preferences(0.0, 0.0), KEEN)):
            job = router.submit(request("bad" if k == 2 else f"r{k}", f"{k}"), preferences)
            outcomes += await asyncio.gather(job, return_exceptions=True)
        assert told, "on_error waits for nothing"
        return outcomes

    outcomes: list[Any] = []

    async def telling(router: Router) -> None:
        outcomes.extend(await story(router))

    others = [forgetful] if who == "subscriber" else []
    fleet = [faulty("a", lambda asked: RequestError("bad") if asked.id == "bad" else None)]
    with caplog.at_level(logging.ERROR), pytest.raises(ValueError, match=f"what was that. {kind}"):
        route(telling, Amnesiac(0), fleet, {"subscribers": [*others, seen.append], "on_error": on_error})
    assert [type(one) for one in outcomes] == [Served, Declined, RequestError]
    assert f"failed to take note of {kind}" in caplog.text
    assert len(seen) > 10


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda decided: replace(decided, agents=decided.agents + 7), "chose agents"),
        (lambda decided: replace(decided, agents=decided.agents[:0]), "agents have shape"),
        (lambda decided: replace(decided, charges=np.zeros(9, np.int64)), "charges have shape"),
        (lambda decided: replace(decided, positions=np.zeros(9, np.int64)), "positions have shape"),
        (lambda decided: replace(decided, notes=[1] * 9), "9 notes"),
        (lambda decided: replace(decided, agents=[None]), "agents"),
        (lambda decided: replace(decided, agents=decided.agents * 1.0), r"chose agents \[0\.0\] of 2; expected whole"),
        (
            lambda decided: replace(decided, charges=np.full(1, 0.5)),
            r"charges are \[0\.5\] \(float64\)",
        ),
        (lambda decided: replace(decided, charges=np.full(1, -5)), r"charges are \[-5\]; expected 0 or more"),
        (lambda decided: None, "the policy decided None; expected a Decision"),
        (lambda decided: [0], r"the policy decided \[0\]; expected a Decision"),
    ],
)
def test_an_impossible_decision_fails_its_round_and_not_the_next(wrong: Any, message: str) -> None:
    class Wild(Fixed):
        calm = False

        def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
            decided = super().decide(offers, fleet)
            calm, self.calm = self.calm, True
            return decided if calm else wrong(decided)

    async def story(router: Router) -> Any:
        with pytest.raises(ServingError, match=message):
            await router.submit(request("r", "x"), KEEN)
        return await router.submit(request("s", "x"), KEEN)

    policy = Wild(0)
    assert isinstance(route(story, policy)[0], Served)
    assert [type(event).__name__ for event in policy.events[:2]] == ["Arrived", "Failed"]


def test_a_policy_that_cannot_say_whether_it_is_ready_fails_one_request_and_not_the_loop() -> None:
    class Unsure(Fixed):
        calm = False

        def ready(self, fleet: Fleet) -> bool:
            if not self.calm:
                self.calm = True
                raise ValueError("who knows")
            return True

    async def story(router: Router) -> Any:
        with pytest.raises(ValueError, match="who knows"):
            await router.submit(request("r", "x"), KEEN)
        return await router.submit(request("s", "x"), KEEN)

    assert isinstance(route(story, Unsure(0))[0], Served)


def test_declined_requests_leave_nothing_behind() -> None:
    policy = PaperAuction(find_mechanism("vcg"))

    async def story(router: Router) -> dict[str, int]:
        sizes = {}
        for count in (1, 500):
            asked = (router.submit(request(f"{count}/{k}", "same"), Preferences(0.0, 1.0)) for k in range(count))
            outcomes = await asyncio.gather(*asked)
            assert all(isinstance(one, Declined) for one in outcomes)
            del outcomes
            await asyncio.sleep(1.0)
            gc.collect()
            offers = [one.offer if isinstance(one, Waiting) else one for one in gc.get_objects() if _is_offer(one)]
            kept = [one for one in offers if one.request.id.partition("/")[0] in ("1", "500")]
            assert not kept
            sizes[str(count)] = sum(map(reachable, (policy, router._dispatcher, router._books, router._queue)))
            assert not router._telling.open and not router._queue and router._books.pending == 0
        return sizes

    sizes, router = route(story, policy)
    assert sizes["500"] == sizes["1"]
    assert router.ledger.totals().entries == router.ledger.held() == 0


def _is_offer(thing: object) -> bool:
    return isinstance(thing, Offer | Waiting)


def reachable(thing: object) -> int:
    """Items in containers that hang on an object's attributes, a few levels down."""
    seen: set[int] = set()

    def count(one: object, depth: int) -> int:
        if id(one) in seen or depth == 0:
            return 0
        seen.add(id(one))
        inner = (
            list(one.values()) if isinstance(one, dict) else list(one) if isinstance(one, list | tuple | set) else []
        )
        inner += list(vars(one).values()) if hasattr(one, "__dict__") and not isinstance(one, type) else []
        return len(inner) + sum(count(each, depth - 1) for each in inner)

    return count(thing, 5)
