"""Everything that watches a gateway: who sees its events, who is told of requests before, what an operator is shown."""

from collections.abc import Callable

from runtime.events import Subscriber
from runtime.gateway.admin import Admin
from runtime.gateway.backend import Asked
from runtime.gateway.config import Fleet
from runtime.gateway.serving import Serving
from runtime.metrics.tally import Tally


class Watching:
    """Watches one fleet being served.

        watching = Watching(fleet)
        serving = Serving(fleet, engines, policy, subscribers=watching.subscribers, expect=watching.expect)
        watching.look_at(serving)
        gateway = Gateway(fleet, serving, watching.admin)

    Args:
        fleet: as checked.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.tally = Tally([(agent.name, agent.names[0] if agent.names else agent.name) for agent in fleet.agents])
        self.admin = Admin(self.tally)
        self.subscribers: list[Subscriber] = [self.tally]
        self._expecting: list[Callable[[Asked], None]] = [lambda asked: self.tally.state(asked.stated.source)]

    def look_at(self, serving: Serving) -> None:
        """Where agents' health and the rounds' statistics are."""
        house = serving.house
        self.tally.observe(house.alive, lambda: [router.statistics for router in house.routers])

    def expect(self, asked: Asked) -> None:
        """A request was admitted and is about to arrive."""
        for told in self._expecting:
            told(asked)
