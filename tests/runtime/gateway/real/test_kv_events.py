"""A real server with a small cache, whose events the gateway reads: predicted hits beside measured ones."""

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.runtime.gateway.real.gateway import Gateway, serving
from tests.runtime.gateway.real.pressure import SERVES, clear, press, small_cache
from tests.runtime.gateway.real.report import figures
from tests.runtime.gateway.real.talks import SYSTEM, Told, ask_async, asking

pytestmark = pytest.mark.vllm

_BACK_S = 180.0


@dataclass
class Seen:
    """Figures under pressure, and (predicted, measured) shares of one prompt: warm, cleared, warm, restarted, warm."""

    figures: dict[str, float] = field(default_factory=dict)
    shares: list[tuple[float, float]] = field(default_factory=list)


async def scenario(gateway: Gateway, seen: Seen) -> None:
    told = await press(gateway, 24, besides=True, conversations=6)
    assert all(one.whole for one in told), told
    seen.figures = figures(gateway.notes)
    await once(gateway)
    seen.shares.append(await once(gateway))
    await clear(gateway)
    await asyncio.sleep(0.5)
    seen.shares.append(await once(gateway))
    seen.shares.append(await once(gateway))
    (group,) = gateway.servers().values()
    os.killpg(group, signal.SIGKILL)
    seen.shares.append(await once(gateway))
    seen.shares.append(await once(gateway))


async def once(gateway: Gateway) -> tuple[float, float]:
    """One prompt's predicted and measured share of tokens in the cache, once somebody serves it."""
    ask = asking(SERVES, [{"role": "user", "content": SYSTEM.format(n=7) * 3}], 8)
    until = time.monotonic() + _BACK_S
    answer: Told = await ask_async(gateway.url, ask, streamed=False)
    while not answer.whole and time.monotonic() < until:
        await asyncio.sleep(0.5)
        answer = await ask_async(gateway.url, ask, streamed=False)
    (note,) = [note for note in gateway.notes if note["kind"] == "Served" and note["id"] == answer.id]
    return _share(note, "pieces_cached", "pieces"), _share(note, "cached", "prompt")


def _share(note: dict[str, Any], part: str, whole: str) -> float:
    return float(note[part]) / float(note[whole])


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    seen = Seen()
    with serving(small_cache(tmp_path_factory.mktemp("events"), events=True)) as gateway:
        try:
            asyncio.run(scenario(gateway, seen))
        finally:
            print("\n" + "\n".join(f"{name} {value:.4g}" for name, value in seen.figures.items()), seen.shares)
            print("\n".join(line for line in gateway.log().splitlines() if " s: " not in line))
    return seen


def test_no_evicted_block_is_believed_to_be_there(seen: Seen) -> None:
    assert seen.figures["over"] == 0
    assert seen.figures["hit_rate_predicted"] > 0.1 and seen.figures["hit_error"] < 0.15


def test_a_restarted_server_holds_nothing(seen: Seen) -> None:
    warm, cleared, again, restarted, once_more = seen.shares
    assert restarted == (0.0, 0.0)
    # vLLM says that its cache was cleared with its next step, which is that of the next request.
    assert cleared[1] == 0.0
    for predicted, measured in (warm, again, once_more):
        assert measured > 0.8 and abs(predicted - measured) < 0.15
