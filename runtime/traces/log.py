"""`RequestLog`: one line of JSON for every request that ended, to the logger `iemas.requests`; never what was asked."""

import json
import logging
from collections.abc import Callable, Sequence

from allocation import MICROS
from runtime.events import Declined, Failed, Served
from runtime.traces.lines import Lines
from runtime.traces.stories import End, Story, clock_offset

#: Whose handlers get the lines.
LOGGER = logging.getLogger("iemas.requests")

#: A status of HTTP and a code for a request that ended.
Words = Callable[[Story, End], tuple[int, str]]


class RequestLog:
    """Tells the logger, in a thread of its own: a handler that waits for a disk harms nobody.

    Args:
        agents: name and model of each agent; may grow.
        words: what the client was told.
        logger: who is told.
    """

    def __init__(self, agents: Sequence[tuple[str, str]], words: Words, logger: logging.Logger = LOGGER) -> None:
        self._agents, self._words, self._logger = agents, words, logger
        self._lines: Lines[tuple[Story, End]] = Lines(self._write, "the log of requests")
        self._offset: float | None = None

    def __call__(self, story: Story, end: End) -> None:
        """Write a request down."""
        if self._offset is None:
            self._offset = clock_offset()
        self._lines.put((story, end))

    def close(self) -> None:
        """Write what waits."""
        self._lines.close()

    def _write(self, told: tuple[Story, End]) -> None:
        self._logger.info("%s", json.dumps(self.row(*told), separators=(",", ":")))

    def row(self, story: Story, end: End) -> dict[str, object]:
        """A request's line; credits, seconds, Unix time."""
        request, facts, decided = story.offer.request, story.facts, story.decided
        status, code = self._words(story, end)
        agent = None if isinstance(end, Declined) else end.agent
        name, model = (None, None) if agent is None or agent >= len(self._agents) else self._agents[agent]
        arrived = story.offer.arrived_s
        row: dict[str, object] = {
            "at": round((self._offset or 0.0) + end.at_s, 6),
            "id": request.id,
            "bidder": request.bidder,
            "asked": None if facts is None else facts.model,
            "agent": name,
            "model": model,
            "round": None if decided is None else decided.round,
            "outcome": type(end).__name__.lower(),
            "status": status,
            "code": code,
            "stream": request.stream,
            "tries": story.tries,
            "charge": 0.0,
            "tokens": None,
            "queued_s": _since(arrived, story.dispatched_s),
            "first_token_s": _since(arrived, story.first_token_s),
            "latency_s": _since(arrived, end.at_s),
        }
        if isinstance(end, Served):
            done = end.completion
            row["tokens"] = {"prompt": done.prompt_tokens, "cached": done.cached_tokens, "output": done.output_tokens}
        if not isinstance(end, Declined | Failed):
            row["charge"] = end.charge / MICROS
        return row


def _since(start_s: float, at_s: float | None) -> float | None:
    return None if at_s is None else round(at_s - start_s, 6)
