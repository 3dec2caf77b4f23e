"""Everything that watches a gateway: who sees its events, who is told of requests before, what an operator is shown."""

from collections.abc import Sequence
from pathlib import Path

from prediction import TokenPrices
from runtime.engines.engine import EngineInfo
from runtime.errors import Refused
from runtime.events import Abandoned, Declined, Served, Subscriber
from runtime.gateway.fleet.config import Fleet
from runtime.gateway.operators.admin import Admin
from runtime.gateway.problems import problem_of
from runtime.gateway.requests.backend import Asked
from runtime.gateway.serving.serving import Serving
from runtime.hubs.house import House
from runtime.metrics.tally import Tally
from runtime.traces.log import RequestLog
from runtime.traces.recorder import Recorder, Serves
from runtime.traces.stories import End, Facts, Stories, Story, Teller


class Watching:
    """Watches one fleet being served.

        watching = Watching(fleet)
        serving = Serving(fleet, engines, policy, subscribers=watching.subscribers, expect=watching.expect)
        watching.look_at(serving)
        gateway = Gateway(fleet, serving, watching.admin)
        ...
        watching.close()

    Args:
        fleet: as checked.
        log_requests: write a line for every request to the logger `iemas.requests`.
        record: write a trace to this new file.
        record_text: what was asked goes into the trace too.

    Raises:
        ServingError: the trace cannot be written.
    """

    def __init__(
        self, fleet: Fleet, *, log_requests: bool = False, record: Path | None = None, record_text: bool = False
    ) -> None:
        agents = [(agent.name, agent.names[0] if agent.names else agent.name) for agent in fleet.agents]
        self.tally = Tally(agents)
        self.admin = Admin(self.tally)
        self._log = RequestLog(self.tally.names, told) if log_requests else None
        self._serves: Serves = tuple
        self._recorder: Recorder | None = None
        if record is not None:
            rules = fleet.rounds.rules()
            self._recorder = Recorder(record, fleet.auction.policy, rules, told, lambda: self._serves())
        self._record_text = record is not None and record_text
        tellers: Sequence[Teller] = [one for one in (self._log, self._recorder) if one is not None]
        self._stories = Stories(tellers) if tellers else None
        self.subscribers: list[Subscriber] = [
            self.tally,
            self.admin.feed,
            *([] if self._stories is None else [self._stories]),
        ]

    def look_at(self, serving: Serving) -> None:
        """Where agents' health and the rounds' statistics are, and what the agents are."""
        house = serving.house
        self._serves = lambda: _roster(house)

        def named() -> list[tuple[str, str]]:
            models = {agent.name: agent.names[0] for agent in serving.fleet.agents if agent.names}
            return [(name, models.get(name, info.model)) for name, info, _ in _roster(house)]

        self.tally.observe(house.alive, lambda: [router.statistics for router in house.routers], named)

    def expect(self, asked: Asked, agents: tuple[int, ...]) -> None:
        """A request was admitted and is about to arrive; these agents serve its model."""
        self.tally.state(asked.stated.source)
        if self._stories is not None:
            stated, body = asked.stated, asked.body
            text = bytes(body.text) if self._record_text else None
            self._stories.expect(Facts(asked.id, body.model, stated.sources, agents, stated.max_price, text))

    def close(self) -> None:
        """Write what waits to be written."""
        for one in (self._log, self._recorder):
            if one is not None:
                one.close()


def _roster(house: House) -> list[tuple[str, EngineInfo, TokenPrices]]:
    """Every agent that there ever was, by the house's numbers."""
    found = {
        number: (router.engines[k].name, router.infos[k], router.prices[k])
        for router, members in zip(house.routers, house.members, strict=True)
        for k, number in enumerate(members)
    }
    return [found[number] for number in sorted(found)]


def told(story: Story, end: End) -> tuple[int, str]:
    """What a client was told: the status of HTTP, 499 for those who hung up, and a word for programs."""
    if isinstance(end, Served):
        return 200, "ok"
    if isinstance(end, Abandoned):
        return 499, "hung_up"
    error = end if isinstance(end, Declined) else end.error
    if isinstance(error, Refused):
        return error.status, "refused"
    if str(error).endswith("was cancelled"):
        return 499, "cancelled"
    problem = problem_of(error)
    # Once a stream has begun, what breaks is its last event.
    began = story.first_token_s is not None and story.offer.request.stream
    return (200 if began else problem.status), problem.code
