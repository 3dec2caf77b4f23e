"""The round loop: what is served, charged, learnt; and what happens when things break."""

import asyncio
from collections.abc import Sequence

import pytest

from mechanisms import Preferences, find_mechanism
from runtime import (
    Decision,
    Declined,
    EngineDownError,
    EngineError,
    Event,
    Fleet,
    Offer,
    PaperAuction,
    Request,
    RequestError,
    Router,
    Served,
)
from tests.runtime.fleet import PRICES, engine, request
from tests.runtime.rounds.stories import KEEN, Fixed, breaking, route


def test_what_is_served_is_measured_charged_and_learnt() -> None:
    policy = Fixed(1)

    async def story(router: Router) -> Served | Declined:
        return await router.submit(request("r", "a question about ferries"), KEEN)

    served, router = route(story, policy)
    assert isinstance(served, Served)
    assert (served.agent, served.charge) == (1, 5)
    took = served.completion
    assert served.cost == round(1e6 * PRICES.cost(took.prompt_tokens, 0, took.output_tokens))
    assert served.first_token_s >= took.first_token_s
    totals = router.ledger.totals()
    assert (totals.entries, totals.charges, totals.costs, router.ledger.held()) == (1, 5, served.cost, 0)
    assert policy.learnt == [("r", 1)]


def test_requests_that_meet_compete_in_one_round() -> None:
    seen: list[int] = []

    class Counting(Fixed):
        def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
            seen.append(len(offers))
            return super().decide(offers, fleet)

    async def story(router: Router) -> None:
        await asyncio.gather(*(router.submit(request(f"r{k}", f"{k}"), KEEN) for k in range(20)))

    route(story, Counting(0, 1), max_batch=16)
    assert sum(seen) == 20
    assert seen[0] > 1
    assert max(seen) <= 16


def test_turns_are_counted_from_the_messages() -> None:
    class Seeing(Fixed):
        def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
            assert [offer.turn for offer in offers] == [1]
            return super().decide(offers, fleet)

    async def story(router: Router) -> object:
        return await router.submit(request("r", "one", "answer", "two"), KEEN)

    assert isinstance(route(story, Seeing(0))[0], Served)


def test_a_dead_engine_leaves_the_market_and_its_requests_are_served_elsewhere() -> None:
    async def story(router: Router) -> list[Served | Declined]:
        return [await router.submit(request(f"r{k}", f"{k}"), KEEN) for k in range(3)]

    served, router = route(story, Fixed(0), [breaking("a", 1), engine("b")])
    assert [one.agent for one in served] == [0, 1, 1]
    assert router.ledger.totals().entries == 3
    assert router.ledger.held() == 0


def test_when_every_engine_is_dead_everybody_is_answered_and_nobody_pays() -> None:
    async def story(router: Router) -> list[object]:
        asked = [router.submit(request(f"r{k}", f"{k}"), KEEN) for k in range(4)]
        first = await asyncio.gather(*asked, return_exceptions=True)
        late = await asyncio.gather(router.submit(request("late", "x"), KEEN), return_exceptions=True)
        return [*first, *late]

    down = EngineDownError
    outcomes, router = route(story, Fixed(0), [breaking("a", 0, down), breaking("b", 0, down)])
    assert all(isinstance(one, EngineError) and "failed wherever it was tried" in str(one) for one in outcomes)
    assert router.ledger.totals().entries == router.ledger.held() == 0


@pytest.mark.parametrize("after", [0.0, 0.001, 0.02, 0.03])
def test_a_request_cancelled_at_any_moment_costs_nothing_and_frees_its_slot(after: float) -> None:
    async def story(router: Router) -> object:
        job = asyncio.create_task(router.submit(request("r", "a question"), KEEN))
        await asyncio.sleep(after)
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        return await router.submit(request("s", "another"), KEEN)

    served, router = route(story, Fixed(0), slots=1)
    assert isinstance(served, Served)
    assert router.ledger.totals().entries == 1
    assert not router._dispatcher.busy


def test_stopping_in_the_middle_charges_nobody() -> None:
    async def story(router: Router) -> list[object]:
        jobs = [asyncio.create_task(router.submit(request(f"r{k}", f"{k}"), KEEN)) for k in range(3)]
        await asyncio.sleep(0.012)
        await router.stop()
        return await asyncio.gather(*jobs, return_exceptions=True)

    outcomes, router = route(story, Fixed(0))
    assert all(isinstance(one, EngineError) for one in outcomes)
    assert router.ledger.totals().entries == router.ledger.held() == 0


def test_one_bad_request_fails_alone() -> None:
    def picky(asked: Request) -> str:
        if asked.id == "r1":
            raise RequestError("request r1 is not to this engine's taste")
        return "fine"

    async def story(router: Router) -> list[object]:
        jobs = (router.submit(request(f"r{k}", f"{k}"), KEEN) for k in range(3))
        return await asyncio.gather(*jobs, return_exceptions=True)

    outcomes, router = route(story, Fixed(0), [engine("a", picky)])
    assert [type(one) for one in outcomes] == [Served, RequestError, Served]
    assert router.ledger.totals().entries == 2
    assert router.ledger.held() == 0


def test_a_prompt_that_fits_nowhere_and_an_id_used_twice_are_refused() -> None:
    async def story(router: Router) -> None:
        with pytest.raises(RequestError, match="no engine takes more than 32"):
            await router.submit(request("long", "word " * 50), KEEN)
        with pytest.raises(RequestError, match="max_tokens 0"):
            await router.submit(request("none", "x", max_tokens=0), KEEN)
        await router.submit(request("r", "x"), KEEN)
        with pytest.raises(Exception, match="request r was charged before"):
            await router.submit(request("r", "x"), KEEN)

    _, router = route(story, Fixed(0), [engine("a", max_model_len=32)])
    assert router.ledger.totals().entries == 1


def test_a_policy_that_breaks_while_deciding_fails_its_round_and_not_the_next() -> None:
    class Moody(Fixed):
        calm = False

        def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
            if not self.calm:
                self.calm = True
                raise ValueError("not today")
            return super().decide(offers, fleet)

    async def story(router: Router) -> object:
        with pytest.raises(ValueError, match="not today"):
            await router.submit(request("r", "x"), KEEN)
        return await router.submit(request("s", "x"), KEEN)

    assert isinstance(route(story, Moody(0))[0], Served)


def test_a_policy_that_breaks_while_learning_is_not_silent() -> None:
    class Amnesiac(Fixed):
        def notice(self, event: Event) -> None:
            if isinstance(event, Served):
                raise ValueError("what was that?")

    async def story(router: Router) -> object:
        return await router.submit(request("r", "x"), KEEN)

    with pytest.raises(ValueError, match="what was that"):
        route(story, Amnesiac(0))


def test_the_auction_declines_what_is_worth_less_than_it_costs() -> None:
    async def story(router: Router) -> list[Served | Declined]:
        poor = await router.submit(request("poor", "x"), Preferences(0.0, 1.0))
        return [poor, await router.submit(request("rich", "x"), KEEN)]

    outcomes, router = route(story, PaperAuction(find_mechanism("vcg")))
    assert isinstance(outcomes[0], Declined)
    assert "costs less than the reported value" in outcomes[0].reason
    assert isinstance(outcomes[1], Served)
    assert router.ledger.totals().entries == 1


def test_the_auction_gives_a_scarce_slot_to_who_values_it_more_at_the_others_price() -> None:
    async def story(router: Router) -> list[Served | Declined]:
        await router.submit(request("first", "warm up"), KEEN)
        bids = [("low", Preferences(8.0, 0.0)), ("high", Preferences(20.0, 0.0)), ("mid", Preferences(12.0, 0.0))]
        return await asyncio.gather(*(router.submit(request(name, "same words"), bid) for name, bid in bids))

    outcomes, _ = route(story, PaperAuction(find_mechanism("vcg")), [engine("a")], slots=1, window_s=0.05)
    low, high, mid = outcomes
    assert high.dispatched_s < mid.dispatched_s < low.dispatched_s
    assert high.charge > mid.charge > low.charge
    assert high.predicted is not None
    assert high.charge == round(12.0 * 1e6 * high.predicted.quality)


def test_requests_wait_for_room_until_their_patience_ends() -> None:
    async def story(router: Router) -> list[Served | Declined]:
        jobs = (router.submit(request(f"r{k}", f"{k} x", max_tokens=16), KEEN) for k in range(6))
        return await asyncio.gather(*jobs)

    slow = engine("a", lambda asked: "word " * 15)
    outcomes, router = route(story, PaperAuction(find_mechanism("vcg")), [slow], slots=1, patience_s=0.5)
    kinds = [type(one) for one in outcomes]
    assert kinds.count(Served) >= 2
    assert kinds.count(Declined) >= 1
    assert all("no agent had free capacity within 0.5 s" in one.reason for one in outcomes if isinstance(one, Declined))
    assert router.ledger.totals().entries == kinds.count(Served)


def test_an_engine_without_a_price_list_is_refused() -> None:
    with pytest.raises(EngineError, match="2 engines and 1 price lists"):
        Router([engine("a"), engine("b")], Fixed(0), [PRICES])
