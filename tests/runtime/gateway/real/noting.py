"""The auction, writing down what it expected of each request beside what was measured.

Named in a fleet's `[auction]`, as anybody's policy is; it runs inside `iemas serve`.
"""

import json
import os
from pathlib import Path

from allocation.money import MICROS
from mechanisms import find_mechanism
from runtime import Auction
from runtime.events import Abandoned, Declined, Dispatched, Event, Failed, Served
from runtime.policies.forecast import Noted

#: Names the file.
NOTES = "IEMAS_TEST_NOTES"


class Noting(Auction):
    """Adds a line of JSON for each end of a request to a file."""

    def __init__(self) -> None:
        super().__init__(find_mechanism("vcg"))
        self._notes = Path(os.environ[NOTES])

    def notice(self, event: Event) -> None:
        super().notice(event)
        # A spare of the policy is warmed up on requests that nobody made.
        if event.offer.request.id.startswith("warm-up-"):
            return
        if isinstance(event, Served | Dispatched | Declined | Failed | Abandoned):
            with self._notes.open("a") as file:
                file.write(json.dumps({"kind": type(event).__name__, "id": event.offer.request.id, **_told(event)}))
                file.write("\n")


def _told(event: Event) -> dict[str, object]:
    note = getattr(event, "note", None)
    told: dict[str, object] = {"at_s": event.at_s}
    if isinstance(note, Noted):
        told |= {"pieces": note.prompt, "pieces_cached": note.cached}
    if isinstance(event, Failed):
        told |= {"error": str(event.error)[:200], "retried": event.retried}
    elif isinstance(event, Declined):
        told |= {"reason": event.reason, "lost": event.offer.preferences.delay_cost * event.waited_s}
    elif isinstance(event, Served):
        done, expected = event.completion, event.predicted
        told |= {
            "agent": event.agent,
            "prompt": done.prompt_tokens,
            "cached": done.cached_tokens,
            "output": done.output_tokens,
            "waited_s": event.first_token_s,
            "charge": event.charge / MICROS,
            "cost": event.cost / MICROS,
        }
        if expected is not None:
            value = event.offer.preferences.value(expected.quality, event.first_token_s)
            told |= {"value": int(value) / MICROS, "expected_s": expected.latency_s, "expected_cost": expected.cost}
    return told
