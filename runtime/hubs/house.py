"""`House`: one door to several routers, whose agents go by their numbers in the whole fleet.

    house = House.of(engines, prices, hubs=[(0, 1), (2, 3)], policy=make_policy)
    await house.start()
    live = await house.relay(relayed, preferences, opening)

With one hub it is that router, and nothing more.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

from mechanisms import Preferences
from prediction import TokenPrices
from runtime.accounts.ledger import Ledger
from runtime.engines.engine import Engine, EngineInfo
from runtime.errors import EngineError
from runtime.events import Arrived, Declined, Event, Subscriber
from runtime.hubs.assignment import Assignment, by_conversation
from runtime.policies.policy import Policy
from runtime.rounds.requests.relay import Live, Relayed
from runtime.rounds.router import Router


class House:
    """Routers side by side.

    Args:
        routers: one for each hub.
        members: each hub's agents, by their numbers in the fleet, in the router's order.
        assign: chooses among the hubs that could serve a request.
    """

    def __init__(
        self, routers: Sequence[Router], members: Sequence[Sequence[int]], assign: Assignment = by_conversation
    ) -> None:
        self.routers = list(routers)
        #: Shared with who renumbers events: a hub may grow.
        self.members = [list(some) for some in members]
        self._assign = assign
        self._place = {j: (h, k) for h, some in enumerate(self.members) for k, j in enumerate(some)}

    @classmethod
    def of(
        cls,
        engines: Sequence[Engine],
        prices: Sequence[TokenPrices],
        policy: Callable[[], Policy],
        *,
        hubs: Sequence[Sequence[int]] = (),
        assign: Assignment = by_conversation,
        ledger: Ledger | None = None,
        subscribers: Sequence[Subscriber] = (),
        **options: Any,
    ) -> Self:
        """A house over a fleet.

        Args:
            engines, prices: the whole fleet's.
            policy: makes each hub's.
            hubs: the agents of each, every agent in one; one hub of all by default.
            assign: chooses among hubs.
            ledger: of all.
            subscribers: see all events, in which agents have their fleet's numbers.
            options: as `Router` takes them, `rounds` and `settlement` among them.

        Raises:
            EngineError: an agent is in no hub, or in two.
        """
        members = [list(some) for some in hubs] or [list(range(len(engines)))]
        if sorted(j for some in members for j in some) != list(range(len(engines))):
            raise EngineError(f"hubs {members} of {len(engines)} agents; put each agent into exactly one")
        books = ledger or Ledger()
        house = cls((), members, assign)
        house.routers = [
            Router(
                [engines[j] for j in some],
                policy(),
                [prices[j] for j in some],
                ledger=books,
                subscribers=[house._renumbering(h, one) for one in subscribers] if len(members) > 1 else subscribers,
                **options,
            )
            for h, some in enumerate(members)
        ]
        return house

    @property
    def infos(self) -> list[EngineInfo]:
        """What each agent of the fleet is."""
        return [self.routers[h].infos[k] for _, (h, k) in sorted(self._place.items())]

    async def start(self) -> None:
        """Start every router.

        Raises:
            EngineError: an engine does not come up.
        """
        for router in self.routers:
            await router.start()

    async def stop(self) -> None:
        """Stop every router; what the first of them raises is raised once all have stopped."""
        failures = []
        for router in self.routers:
            try:
                await router.stop()
            except Exception as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def alive(self) -> list[bool]:
        """Which agents are in the market."""
        return [self.routers[h].alive()[k] for _, (h, k) in sorted(self._place.items())]

    async def add(self, engine: Engine, prices: TokenPrices, hub: int = 0) -> int:
        """One engine more, in a hub; returns its number in the fleet. As `Router.add`.

        Raises:
            EngineError, ServingError: nothing has changed.
        """
        local = await self.routers[hub].add(engine, prices)
        number = len(self._place)
        self.members[hub].append(number)
        self._place[number] = (hub, local)
        return number

    async def retire(self, agent: int) -> None:
        """An engine takes no more requests; returns once it is done with those that it has."""
        hub, local = self._place[agent]
        await self.routers[hub].retire(local)

    async def relay(self, relayed: Relayed, preferences: Preferences, opening: bytes = b"") -> Live | Declined:
        """As `Router.relay`, in the hub that the assignment chooses."""
        if len(self.routers) == 1:
            return await self.routers[0].relay(relayed, preferences)
        hubs = sorted({self._place[j][0] for j in relayed.agents})
        hub = self._assign(relayed.request.bidder, opening, hubs)
        members, whole = tuple(self.members[hub]), relayed.call
        local = tuple(k for k, j in enumerate(members) if j in relayed.agents)
        told = await self.routers[hub].relay(
            replace(relayed, agents=local, call=lambda agent, attempt: whole(members[agent], attempt)), preferences
        )
        if isinstance(told, Live):
            told.agent = members[told.agent]
        return told

    def _renumbering(self, hub: int, subscriber: Subscriber) -> Subscriber:
        """Tells events as the whole fleet has them: agents of other hubs refuse, and have no tokens."""

        def tell(event: Event) -> None:
            members, agents = self.members[hub], len(self._place)
            place = {j: k for k, j in enumerate(members)}
            offer = event.offer
            tokens = tuple(offer.tokens[place[j]] if j in place else () for j in range(agents))
            others = frozenset(range(agents)) - place.keys()
            offer = replace(offer, tokens=tokens, refused=others | {members[k] for k in offer.refused})
            agent = None if isinstance(event, Arrived | Declined) else event.agent
            if agent is None:
                subscriber(replace(event, offer=offer))
            else:
                subscriber(replace(event, offer=offer, agent=members[agent]))  # type: ignore[arg-type]

        return tell
