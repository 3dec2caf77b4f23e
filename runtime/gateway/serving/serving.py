"""`Serving`: a fleet's file, its engines and its auction as the `Backend` that the HTTP side asks."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from math import inf

from allocation import to_micros
from mechanisms import Preferences
from mechanisms.catalogue import find_allocator
from mechanisms.settlement import Settlement
from runtime.accounts.cover import Cover
from runtime.accounts.ledger import Ledger
from runtime.engines.call import Call, View
from runtime.engines.engine import Engine, Request
from runtime.errors import LedgerError, Refused
from runtime.events import Declined, Subscriber
from runtime.gateway.fleet.config import Fleet
from runtime.gateway.problems import Problem, bid_too_low, problem_of
from runtime.gateway.requests.backend import Answer, Asked
from runtime.gateway.requests.pieces import answered, opening, pieces
from runtime.gateway.serving.passing import Passing, Words
from runtime.gateway.serving.receipts import Receipts
from runtime.gateway.serving.warming import warm_up
from runtime.hubs.assignment import ASSIGNMENTS
from runtime.hubs.house import House
from runtime.policies.policy import Policy
from runtime.rounds.kept import Keep
from runtime.rounds.requests.relay import Live, Relayed

_log = logging.getLogger(__name__)

#: What a mechanism runs over where the file does not say.
ALLOCATOR = "min-cost-flow"
#: Seconds between looks for what processes held that have ended, and at whether the books can be written.
_TEND_S, _CHECK_S = 5.0, 1.0
#: Looks in a row that say no until it is said: another process may hold a file for a moment.
_NOES = 2
#: Seconds between looks for rounds that were kept long enough.
_FORGET_S, _DAY_S = 600.0, 86_400.0
#: Seconds between droppings, in which requests are served.
_BREATH_S = 0.02


class Serving:
    """Serves what the gateway admits.

    Args:
        fleet: as checked.
        engines: of its agents, in order; whoever made them stops them.
        policy: makes the policy of each hub.
        settlement: turns what an auction decided into final charges.
        ledger: the books.
        subscribers: see every event.
        expect: is told of every request just before it arrives, and of the agents that serve its model.
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
        expect: Callable[[Asked, tuple[int, ...]], None] = lambda asked, agents: None,
        on_error: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self.fleet = fleet
        self.ledger = ledger or Ledger()
        #: What must be covered before a round, where the operator says that it must.
        self.cover = Cover(self.ledger) if fleet.auction.covers == "value" else None
        self.receipts = Receipts(menus=fleet.server.menus and _has_menus(fleet))
        self._expect = expect
        #: Agents by the house's numbers; those of the file by its own.
        self._names = [agent.name for agent in fleet.agents]
        self._numbers = list(range(len(fleet.agents)))
        #: Engines that came later, which are ours to stop, and what is on its way out.
        self._joined: dict[int, Engine] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._engines = list(engines)
        self._policy = policy
        #: Times in a row that the books could not be written.
        self._unwritten = 0
        numbers = {agent.name: j for j, agent in enumerate(fleet.agents)}
        self.house = House.of(
            engines,
            [agent.prices.token_prices() for agent in fleet.agents],
            policy,
            hubs=[[numbers[name] for name in names] for names in fleet.hubs.values()],
            assign=ASSIGNMENTS[fleet.rounds.assign],
            ledger=self.ledger,
            subscribers=[self.receipts.notice, *([self.cover.notice] if self.cover else []), *subscribers],
            rounds=fleet.rounds.rules(gathers=getattr(policy(), "gathers", True)),
            settlement=settlement,
            keep=Keep(_rules(fleet), in_books=fleet.server.rounds.keep_days > 0, told=self.receipts.decided),
            on_error=on_error,
        )

    async def start(self) -> None:
        """Start the rounds, once all that the first of them needs is loaded.

        Raises:
            EngineError: an engine does not come up.
        """
        await self.house.start()
        self._look()
        spare = self._policy()
        if all(router.policy is not spare for router in self.house.routers):
            warm_up(spare, self.house.routers[0].agents)

    async def stop(self) -> None:
        """Stop the rounds; what is in flight breaks off and costs nothing. Engines that came later are stopped."""
        try:
            await self.house.stop()
        finally:
            for task in self._leaving:
                task.cancel()
            for engine in self._joined.values():
                await engine.stop()

    async def adopt(self, fleet: Fleet, make: Callable[[Fleet, int], Engine]) -> Callable[[], None]:
        """Bring up the engines that a changed fleet has more; the result takes it over, at once and without waiting.

        Args:
            fleet: as checked; nothing but what `reload.changes` calls live differs.
            make: the engine of an agent, by its number in the file.

        Raises:
            ServingError: an engine does not come up, or the policy takes none while it serves. What came up before it
                is stopped again, and nothing has changed.
        """
        numbers, came = [], []
        try:
            for j, agent in enumerate(fleet.agents):
                number = self._number(agent.name)
                if number is None:
                    engine = make(fleet, j)
                    try:
                        number = await self.house.add(engine, agent.prices.token_prices(), _hub_of(fleet, agent.name))
                    except BaseException:
                        await engine.stop()
                        raise
                    self._names.append(agent.name)
                    self._joined[number] = engine
                    came.append(number)
                numbers.append(number)
        except BaseException:
            for number in came:
                self._part(number)
            raise
        self._look()

        def take_over() -> None:
            left = set(self._numbers) - set(numbers)
            self.fleet, self._numbers = fleet, numbers
            for number in left:
                self._part(number)

        return take_over

    def _number(self, name: str) -> int | None:
        return next((number for number in self._numbers if self._names[number] == name), None)

    def _part(self, number: int) -> None:
        """Let an agent end what it has, and stop it."""
        task = asyncio.create_task(self._retire(number), name=f"retire {self._names[number]}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _retire(self, number: int) -> None:
        await self.house.retire(number)
        engine = self._joined.pop(number, None) or self._engines[number]
        await engine.stop()
        _log.warning("agent %s has left", self._names[number])

    def _look(self) -> None:
        self._models = [info.model for info in self.house.infos]
        self._adapters = [frozenset(info.adapters) for info in self.house.infos]

    async def tend(self) -> None:
        """Look after the books until cancelled: whether they can be written, and what ended processes held.

        That is released: it was held by this gateway's last run, or another on the same books. And rounds that were
        kept long enough are dropped.
        """
        looks, forgotten_s = 0, -inf
        while True:
            await self._check_books()
            if self.fleet.server.rounds.keep_days > 0 and time.time() - forgotten_s > _FORGET_S:
                forgotten_s = time.time()
                await self._forget(forgotten_s - self.fleet.server.rounds.keep_days * _DAY_S)
            if looks % round(_TEND_S / _CHECK_S) == 0:
                await self._recover()
            looks += 1
            await asyncio.sleep(_CHECK_S)

    async def _recover(self) -> None:
        try:
            count = await self._of_books(self.ledger.recover)
            if count:
                _log.warning("released %d charges of processes that have ended", count)
        except LedgerError as error:
            _log.warning("what ended processes held is looked for again later: %s", error)

    async def _check_books(self) -> None:
        try:
            if self.ledger.waits:
                await asyncio.to_thread(self.ledger.check)
            else:
                self.ledger.check()
        except LedgerError as error:
            self._unwritten += 1
            if self._unwritten == _NOES:
                _log.error("the books cannot be written, so that nobody is served: %s", error)
        else:
            if self._unwritten >= _NOES:
                _log.warning("the books can be written again")
            self._unwritten = 0

    async def _forget(self, before_s: float) -> None:
        """Drop the rounds before, some at a time."""
        try:
            while await self._of_books(partial(self.ledger.forget_rounds, before_s)):
                await asyncio.sleep(_BREATH_S)
        except LedgerError as error:
            _log.warning("old rounds are dropped later: %s", error)

    async def _of_books(self, ask: Callable[[], int]) -> int:
        """What the books answer, without standing still for them."""
        return await asyncio.to_thread(ask) if self.ledger.waits else ask()

    def ready(self) -> bool:
        """Whether an agent is in the market, and the books can be written."""
        return self._unwritten < _NOES and any(self.house.alive())

    def receipt(self, name: str, bidder: str) -> Mapping[str, object] | None:
        """What a request came to; see `Backend`."""
        return self.receipts.find(name, bidder)

    async def proof(self, name: str, bidder: str) -> Mapping[str, object] | None:
        """What proves a price; see `Backend`."""
        return await asyncio.to_thread(self.receipts.proof, name, bidder)

    async def submit(self, asked: Asked) -> Answer:
        """Have a request served; see `Backend`."""
        body = asked.body
        agents = tuple(sorted(self._numbers[j] for j in asked.agents))
        adapter = body.model if all(body.model in self._adapters[j] for j in agents) else ""
        relayed = Relayed(
            Request(
                asked.id,
                asked.bidder,
                (),
                asked.max_tokens or 1,
                stream=body.stream,
                choices=_choices(asked, asked.body.generated),
                key=asked.key,
                least_tokens=asked.least_tokens,
            ),
            agents,
            pieces(body, adapter),
            answered(body),
            partial(self._call, asked),
            self.fleet.limits.request_s,
            body.prompts,
        )
        if self.cover is not None:
            await self.cover.enter(asked.id, asked.bidder, _most(asked.stated.preferences))
        try:
            self._expect(asked, agents)
            told = await self.house.relay(
                relayed, asked.stated.preferences, opening(body) if len(self.house.routers) > 1 else b""
            )
        except Refused as error:
            return Words(error.status, {"content-type": "application/json"}, error.body)
        except BaseException:
            if self.cover is not None:
                # It may have met no router, of whose events its end would be one.
                self.cover.leave(asked.id, asked.bidder)
            raise
        if isinstance(told, Declined):
            raise _explained(asked, told)
        return self._passing(asked, told)

    def _passing(self, asked: Asked, live: Live) -> Passing:
        passing = Passing(asked, live, self._names[live.agent], self._name(asked, live.agent))
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
            _choices(asked, body.n),
            asked.max_tokens,
            body.cache_salt or "",
            body.has_tools,
            include_usage=True,
        )
        headers = {name.encode(): text.encode("latin-1") for name, text in asked.headers.items()}
        return Call(asked.id, asked.bytes_for(model), view, asked.bidder, asked.path, attempt, headers)


def _most(preferences: Preferences) -> int:
    """The most that a request can be reported to be worth, and so be charged, in micro-units."""
    return int(to_micros(preferences.worth + preferences.stake, name="worth"))


def _hub_of(fleet: Fleet, name: str) -> int:
    """The number of the hub that an agent is in."""
    return next((h for h, members in enumerate(fleet.hubs.values()) if name in members), 0)


def _explained(asked: Asked, declined: Declined) -> Problem:
    """Why nobody serves it; where the client's own cap on the price is what lowered its worth, that is said."""
    problem, stated = problem_of(declined), asked.stated
    if declined.code == "too_low" and stated.capped:
        return bid_too_low(
            f"{declined.reason}; max_price lowers what it is worth to {stated.max_price:g} credits at quality 1: "
            "raise it, or ask a cheaper model"
        )
    return problem


def _has_menus(fleet: Fleet) -> bool:
    """Whether bidders choose from prices that others' reports have written, as under VCG over an optimum."""
    names = fleet.auction
    return names.mechanism == "vcg" and bool(getattr(find_allocator(names.allocator or ALLOCATOR), "exact", False))


def _rules(fleet: Fleet) -> dict[str, object]:
    """By which rules, and by which version of them, rounds are decided and settled."""
    try:
        release = version("iemas")
    except PackageNotFoundError:
        release = "unknown"
    # Policies are made with seed 0: nothing is drawn as rounds are decided.
    return {**fleet.auction.model_dump(), "seed": 0, "version": release}


def _choices(asked: Asked, each: int) -> int:
    """How many answers there are to all prompts, so many to each; embeddings are none."""
    return 0 if asked.max_tokens is None else each * asked.body.prompts
