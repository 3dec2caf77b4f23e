"""What watching costs the event loop: the events of served requests, told to all that may watch at once."""

import asyncio
import gc
import logging
import time
from pathlib import Path

import pytest

from runtime.events import Arrived, Event
from runtime.gateway.app import Gateway
from runtime.gateway.operators.watching import Watching
from runtime.traces.stories import Facts
from tests.runtime.gateway.fleets import fleet
from tests.runtime.gateway.simulated import CHAT, ask, chat, told

#: The data path's budget is some 400 us a request, of which watching may take no more than an eighth.
MOST_US = 50.0
_TIMES = 400


class Keeping(Watching):
    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.events: list[Event] = []
        self.subscribers.append(self.events.append)


def _events() -> list[Event]:
    async def story(app: Gateway, watching: Keeping) -> list[Event]:
        asked = [ask(app, CHAT, chat(f"{k} " + "sea " * 500, stream=True, iemas={"worth": 50000})) for k in range(40)]
        await asyncio.gather(*asked)
        return watching.events

    found: list[Event] = told(fleet(), story, make=Keeping)
    return found


@pytest.mark.parametrize("watched", ["sums", "all"])
def test_watching(watched: str, tmp_path: Path) -> None:
    """Microseconds of the loop's time per event and per request; with `all`, a log and a trace too."""
    events = _events()
    logging.getLogger("iemas.requests").propagate = False
    all_of_it = watched == "all"
    watching = Watching(fleet(), log_requests=all_of_it, record=tmp_path / "trace.jsonl" if all_of_it else None)

    async def tell() -> float:
        best = float("inf")
        for _ in range(_TIMES // 40):
            gc.collect()
            began = time.perf_counter()
            for event in events:
                if isinstance(event, Arrived) and watching._stories is not None:
                    watching._stories.expect(Facts(event.offer.request.id, "auto", {"worth": "body"}, (0, 1)))
                for subscriber in watching.subscribers:
                    subscriber(event)
            best = min(best, time.perf_counter() - began)
            await asyncio.sleep(0.5)
        watching.admin.stop()
        return best

    seconds = asyncio.run(tell())
    watching.close()
    requests = sum(isinstance(event, Arrived) for event in events)
    each, whole = 1e6 * seconds / len(events), 1e6 * seconds / requests
    print(f"\nwatching ({watched}): {each:.2f} us an event, {whole:.1f} us a request ({len(events)} events)")
    assert whole <= MOST_US
