"""`Recorder`: writes a trace as a gateway serves, so that the same traffic can meet other policies later.

Prompts are cut into blocks, each known by a hash of all up to its end under a salt that is drawn for the trace and
written nowhere: that two prompts begin alike can be seen, what they say can not, nor be tried out.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from io import FileIO
from math import isinf
from pathlib import Path
from secrets import token_bytes

import numpy as np

from mechanisms import Preferences
from prediction import TokenPrices
from runtime.engines.engine import EngineInfo
from runtime.errors import ServingError
from runtime.events import Declined, Failed, Served
from runtime.rounds.records import RoundRules
from runtime.traces.lines import Lines
from runtime.traces.log import Words
from runtime.traces.records import BLOCK
from runtime.traces.stories import End, Story, clock_offset

#: What a trace's head needs of those who serve: names, what engines are, price lists; asked once they run.
Serves = Callable[[], Sequence[tuple[str, EngineInfo, TokenPrices]]]


class Recorder:
    """Writes a trace; a teller of `Stories`.

    Args:
        path: a new file.
        policy, rules: by which is decided.
        words: what a client was told.
        serves: asked with the first request that ends.

    Raises:
        ServingError: the file is there already, or cannot be written.
    """

    def __init__(self, path: Path, policy: str, rules: RoundRules, words: Words, serves: Serves) -> None:
        self._policy, self._rules, self._words, self._serves = policy, rules, words, serves
        self._salt = token_bytes(32)
        self._began_s: float | None = None
        #: As many as the last head names.
        self._agents = 0
        self._file = _created(path)
        #: Why a line was cut off: nothing may come behind it.
        self._broken: OSError | None = None
        self._lines: Lines[tuple[Story, End] | dict[str, object]] = Lines(self._write, f"the trace {path}")

    def __call__(self, story: Story, end: End) -> None:
        """Write a request down."""
        if self._began_s is None:
            self._began_s = story.offer.arrived_s
        if max(_agents(story)) >= self._agents:
            # The first request, or an agent has joined.
            serves = self._serves()
            self._agents = len(serves)
            self._lines.put(self._head(self._began_s + clock_offset(), serves))
        self._lines.put((story, end))

    def close(self) -> None:
        """Write what waits, and end the file."""
        self._lines.close()
        self._file.close()

    def _head(self, began: float, serves: Sequence[tuple[str, EngineInfo, TokenPrices]]) -> dict[str, object]:
        rules = self._rules
        return {
            "iemas_trace": 1,
            "began": round(began, 3),
            "block": BLOCK,
            "agents": [
                {
                    "name": name,
                    "model": info.model,
                    "simulated": info.simulated,
                    "block_size": info.block_size,
                    "cache_blocks": info.cache_blocks,
                    "max_model_len": info.max_model_len,
                    "slots": info.slots,
                    "prices": [prices.fresh, prices.cached, prices.output],
                }
                for name, info, prices in serves
            ],
            "policy": self._policy,
            "window_s": rules.window_s,
            "max_batch": rules.max_batch,
            "patience_s": rules.patience_s,
            "depth": rules.depth,
        }

    def _write(self, thing: "tuple[Story, End] | dict[str, object]") -> None:
        row = thing if isinstance(thing, dict) else self._row(*thing)
        if self._broken:
            raise self._broken
        line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
        try:
            written = self._file.write(line)
        except OSError as error:
            self._broken = error
            raise
        if written < len(line):
            self._broken = OSError("the disk is full")
            raise self._broken

    def _row(self, story: Story, end: End) -> dict[str, object]:
        offer, facts, decided = story.offer, story.facts, story.decided
        request, began = offer.request, self._began_s or 0.0
        pieces = np.ascontiguousarray(offer.tokens[0], dtype="<u4")
        money = (0, 0, 0) if isinstance(end, Declined | Failed) else (end.charge, end.cost, end.receipt)

        def since(at_s: float | None) -> float | None:
            return None if at_s is None else round(at_s - began, 6)

        return {
            "id": request.id,
            "bidder": request.bidder,
            "asked": None if facts is None else facts.model,
            "agents": list(_agents(story)),
            "at_s": since(offer.arrived_s),
            "stream": request.stream,
            "turn": offer.turn,
            "max_tokens": request.max_tokens,
            "stated": _stated(offer.preferences),
            "stated_by": {} if facts is None else dict(facts.sources),
            "max_price": None if facts is None else facts.max_price,
            "pieces": len(pieces),
            "blocks": self._blocks(pieces.tobytes()),
            "text": None if facts is None or facts.text is None else facts.text.decode("utf-8", "replace"),
            "outcome": type(end).__name__.lower(),
            "code": self._words(story, end)[1],
            "round": None if decided is None else max(decided.round, 1),
            "agent": None if isinstance(end, Declined) else end.agent,
            "tries": story.tries,
            "decided_s": None if decided is None else since(decided.at_s),
            "dispatched_s": since(story.dispatched_s),
            "first_token_s": since(story.first_token_s),
            "ended_s": since(end.at_s),
            "charge": money[0],
            "cost": money[1],
            "receipt": money[2],
            "predicted": _predicted(story),
            "measured": _measured(end),
        }

    def _blocks(self, raw: bytes) -> list[str]:
        """A hash for every whole block, of all from the beginning to its end."""
        chain, found = hashlib.blake2b(key=self._salt, digest_size=8), []
        width = 4 * BLOCK
        for end in range(width, len(raw) + 1, width):
            chain.update(raw[end - width : end])
            found.append(chain.hexdigest())
        return found


def _agents(story: Story) -> Sequence[int]:
    """Who serves what was asked for."""
    if story.facts is not None:
        return story.facts.agents
    return [j for j in range(len(story.offer.tokens)) if j not in story.offer.refused] or [0]


def _created(path: Path) -> FileIO:
    try:
        # An empty one is of a gateway that did not come to serve anything.
        empty = path.is_file() and path.stat().st_size == 0
        return path.open("wb" if empty else "xb", buffering=0)
    except FileExistsError:
        raise ServingError(f"{path} is there already, and a trace is never added to; name another file") from None
    except OSError as error:
        raise ServingError(f"cannot write the trace {path}: {error.strerror}; name another file") from None


def _stated(preferences: Preferences) -> dict[str, float | None]:
    deadline = preferences.deadline
    return {
        "worth": preferences.worth,
        "delay_cost": preferences.delay_cost,
        "deadline_s": None if isinf(deadline) else deadline,
        "stake": preferences.stake,
    }


def _predicted(story: Story) -> dict[str, object] | None:
    decided = story.decided
    if decided is None or decided.predicted is None:
        return None
    said = decided.predicted
    return {
        "latency_s": said.latency_s,
        "cost": said.cost,
        "quality": said.quality,
        "cached": getattr(decided.note, "cached", None),
    }


def _measured(end: End) -> dict[str, object] | None:
    if not isinstance(end, Served):
        return None
    done = end.completion
    return {
        "prompt": done.prompt_tokens,
        "cached": done.cached_tokens,
        "output": done.output_tokens,
        "first_token_s": done.first_token_s,
        "latency_s": done.latency_s,
    }
