"""A setting that could not work is refused where it is made, not at some request."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from math import inf, nan

import pytest

from mechanisms import Preferences, find_mechanism
from prediction import TokenPrices
from runtime import (
    Completion,
    EngineError,
    EngineInfo,
    EngineShape,
    Message,
    PaperAuction,
    Request,
    RoundRules,
    Router,
    Served,
    ServingError,
    SimulatedEngine,
    calibration,
)

PRICES = TokenPrices(fresh=0.01, cached=0.001, output=0.02)
INFO = EngineInfo("m", 16, 100, 4096, 4, "t", simulated=True)
HELLO = Request("r1", "alice", (Message("user", "hello"),), max_tokens=3)


def engine(name: str = "a") -> SimulatedEngine:
    return SimulatedEngine(name, lambda request: "yes", calibration("smollm2-135m-cpu"), EngineShape())


def router(*engines: SimulatedEngine) -> Router:
    return Router(engines, PaperAuction(find_mechanism("vcg")), [PRICES] * len(engines))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RoundRules(slots=0), "slots = 0"),
        (lambda: RoundRules(slots=True), "slots = True"),
        (lambda: RoundRules(max_batch=0), "max_batch = 0"),
        (lambda: RoundRules(max_batch=2.5), "max_batch = 2.5"),  # type: ignore[arg-type]
        (lambda: RoundRules(window_s=-1), "window_s = -1"),
        (lambda: RoundRules(window_s=nan), "window_s = nan"),
        (lambda: RoundRules(patience_s=inf), "patience_s = inf"),
        (lambda: replace(INFO, slots=0), "slots is 0"),
        (lambda: replace(INFO, cache_blocks=0), "cache_blocks is 0"),
        (lambda: replace(INFO, block_size=-16), "block_size is -16"),
        (lambda: replace(INFO, max_model_len=True), "max_model_len is True"),
        (lambda: EngineShape(max_num_seqs=0), "max_num_seqs = 0"),
        (lambda: router(engine(), engine()), "a name of its own"),
        (lambda: router(), "0 engines"),
    ],
)
def test_settings_that_cannot_work(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ServingError, match=message):
        build()


def test_a_router_is_used_on_the_loop_it_runs_on() -> None:
    served = router(engine())
    with pytest.raises(EngineError, match=r"await router\.start"):
        asyncio.run(served.submit(HELLO, Preferences(1, 0)))

    async def elsewhere() -> None:
        await served.start()
        with pytest.raises(EngineError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, served.submit(HELLO, Preferences(1, 0)))
        await served.stop()

    asyncio.run(elsewhere())


def test_a_router_whose_loop_was_closed_under_it_starts_on_another() -> None:
    served = router(engine())

    async def left() -> None:
        await served.start()
        asking = asyncio.create_task(served.submit(HELLO, Preferences(100, 0)))
        await asyncio.sleep(0)
        assert not asking.done()

    async def again() -> object:
        # Simulated engines belong to a loop; one that is new stands for a server, which does not.
        served.engines[0] = engine()
        await served.start()
        await served.start()
        done = await served.submit(replace(HELLO, id="r2"), Preferences(100, 0))
        await served.stop()
        return done

    asyncio.run(left())
    assert isinstance(asyncio.run(again()), Served)


class Templated(SimulatedEngine):
    """Serves another prompt than it tokenises, as a server whose chat template is not its tokenizer's."""

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        done = await super().generate(request, first_token)
        return replace(done, token_ids=tuple(token + 1 for token in done.token_ids))


def test_a_tokenizer_that_is_not_the_servers_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    async def twice(one: SimulatedEngine) -> Router:
        served = router(one)
        await served.start()
        for name in ("r1", "r2"):
            await served.submit(replace(HELLO, id=name), Preferences(100, 0))
        await served.stop()
        return served

    odd = Templated("odd", lambda request: "yes", calibration("smollm2-135m-cpu"), EngineShape())
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(twice(odd)).statistics.mistokenised == {"odd": 2}
        assert asyncio.run(twice(engine("fine"))).statistics.mistokenised == {}
    assert len(caplog.records) == 1 and "chat template" in caplog.text
