"""`Serving`: a fleet's file, its engines and its auction as the `Backend` that the HTTP side asks."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from mechanisms.settlement import Settlement
from runtime.accounts.ledger import Ledger
from runtime.engines.call import Call, View
from runtime.engines.engine import Engine, Request
from runtime.errors import Refused
from runtime.events import Declined, Subscriber
from runtime.gateway.backend import Answer, Asked
from runtime.gateway.config import Fleet
from runtime.gateway.passing import Passing, Words
from runtime.gateway.pieces import answered, opening, pieces
from runtime.gateway.problems import problem_of
from runtime.gateway.receipts import Receipts
from runtime.hubs.assignment import ASSIGNMENTS
from runtime.hubs.house import House
from runtime.policies.policy import Policy
from runtime.rounds.relay import Live, Relayed


class Serving:
    """Serves what the gateway admits.

    Args:
        fleet: as checked.
        engines: of its agents, in order; whoever made them stops them.
        policy: makes the policy of each hub.
        settlement: turns what an auction decided into final charges.
        ledger: the books.
        subscribers: see every event.
        expect: is told of every request just before it arrives.
        on_error: gets what a subscriber raises, and what could not be entered in the books.
    """

    def __init__(
        self,
        fleet: Fleet,
        engines: Sequence[Engine],
        policy: Callable[[], Policy],
        *,
        settlement: Settlement | None = None,
        ledger: Ledger | None = None,
        subscribers: Sequence[Subscriber] = (),
        expect: Callable[[Asked], None] = lambda asked: None,
        on_error: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self.fleet = fleet
        self.receipts = Receipts()
        self._expect = expect
        numbers = {agent.name: j for j, agent in enumerate(fleet.agents)}
        self.house = House.of(
            engines,
            [agent.prices.token_prices() for agent in fleet.agents],
            policy,
            hubs=[[numbers[name] for name in names] for names in fleet.hubs.values()],
            assign=ASSIGNMENTS[fleet.rounds.assign],
            ledger=ledger,
            subscribers=[self.receipts.notice, *subscribers],
            rounds=fleet.rounds.rules(),
            settlement=settlement,
            on_error=on_error,
        )

    async def start(self) -> None:
        """Start the rounds.

        Raises:
            EngineError: an engine does not come up.
        """
        await self.house.start()
        self._models = [info.model for info in self.house.infos]
        self._adapters = [frozenset(info.adapters) for info in self.house.infos]

    async def stop(self) -> None:
        """Stop the rounds; what is in flight breaks off and costs nothing."""
        await self.house.stop()

    def ready(self) -> bool:
        """Whether an agent is in the market."""
        return any(self.house.alive())

    def receipt(self, name: str, bidder: str) -> Mapping[str, object] | None:
        """What a request came to; see `Backend`."""
        return self.receipts.find(name, bidder)

    async def submit(self, asked: Asked) -> Answer:
        """Have a request served; see `Backend`."""
        body = asked.body
        adapter = body.model if all(body.model in self._adapters[j] for j in asked.agents) else ""
        relayed = Relayed(
            Request(asked.id, asked.bidder, (), asked.max_tokens or 1, stream=body.stream),
            asked.agents,
            pieces(body, adapter),
            answered(body),
            partial(self._call, asked),
        )
        self._expect(asked)
        try:
            told = await self.house.relay(relayed, asked.stated.preferences, opening(body))
        except Refused as error:
            return Words(error.status, {"content-type": "application/json"}, error.body)
        if isinstance(told, Declined):
            raise problem_of(told)
        return self._passing(asked, told)

    def _passing(self, asked: Asked, live: Live) -> Passing:
        passing = Passing(asked, live, self.fleet.agents[live.agent].name, self._name(asked, live.agent))
        self.receipts.expect(asked, passing)
        return passing

    def _name(self, asked: Asked, agent: int) -> str:
        """What the agent calls the model that was asked for."""
        wanted = asked.body.model
        return wanted if wanted in self._adapters[agent] else self._models[agent]

    def _call(self, asked: Asked, agent: int, attempt: int) -> Call:
        body, model = asked.body, self._name(asked, agent)
        view = View(
            model,
            body.stream,
            0 if asked.max_tokens is None else body.n * body.prompts,
            asked.max_tokens,
            body.cache_salt or "",
            body.has_tools,
            include_usage=True,
        )
        headers = {name.encode(): text.encode("latin-1") for name, text in asked.headers.items()}
        return Call(asked.id, asked.bytes_for(model), view, asked.bidder, asked.path, attempt, headers)
