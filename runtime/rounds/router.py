"""`Router`: where requests come in and what they end as; engines come and go while it serves.

What a round decides goes into the lines of agents; what it declines is told so; what it leaves `WAITING` competes again
until its patience ends. What breaks on the way breaks for one request, or one round.
"""

import asyncio
from collections.abc import Callable, Sequence

from mechanisms import Preferences
from mechanisms.settlement import OnPrediction, Settlement
from prediction import TokenPrices
from runtime.accounts.books import Books, Entered
from runtime.accounts.ledger import Ledger
from runtime.accounts.settling import require_per_request
from runtime.engines.engine import Engine, EngineInfo, Request
from runtime.errors import EngineError, RequestError, ServingError, Stopped
from runtime.events import Arrived, Declined, Served, Subscriber
from runtime.policies.policy import Agent, Policy
from runtime.rounds.deciding.queue import Queue
from runtime.rounds.deciding.rounds import Rounds, Watch
from runtime.rounds.dispatch.dispatcher import Dispatcher
from runtime.rounds.dispatch.paying import Grade
from runtime.rounds.health.health import Health
from runtime.rounds.health.probing import Probing, askable
from runtime.rounds.kept import Keep
from runtime.rounds.records import RoundRules, RoundStatistics
from runtime.rounds.requests.admission import admit, admit_relayed
from runtime.rounds.requests.relay import Live, Relayed
from runtime.rounds.requests.waiting import Waiting
from runtime.rounds.telling import Telling

#: Seconds between looks at whether a retired engine is done.
_IDLE_S = 0.05


class Router:
    """Serves requests with engines, as a policy decides.

    Args:
        engines: the agents; whoever made them starts and stops them (`running`).
        policy: decides rounds.
        prices: each engine's price list.
        rounds: when rounds close.
        ledger: the books; default in memory.
        grade: judges answers where gold answers exist; the policy learns from it.
        settlement: turns what an auction decided into final charges and receipts; default: bidders pay as auctioned,
            agents receive their measured cost. Policies without an auction are settled so in any case.
        watch: sees every outcome of an auction, and may refuse it by raising.
        keep: what becomes of rounds: kept in the ledger, told; None, nothing.
        subscribers: see every event, after the policy. An error of theirs, or of the policy's as it learns, is logged
            at once, given to `on_error` and raised by `stop`; it harms no request.
        on_error: gets such an error, and what could not be entered in the books.

    Raises:
        EngineError: not one price list per engine, two engines of one name, or a settlement that needs to see whole
            rounds.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        policy: Policy,
        prices: Sequence[TokenPrices],
        *,
        rounds: RoundRules | None = None,
        ledger: Entered | None = None,
        grade: Grade | None = None,
        settlement: Settlement | None = None,
        watch: Watch | None = None,
        keep: Keep | None = None,
        subscribers: Sequence[Subscriber] = (),
        on_error: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        if not engines or len(engines) != len(prices):
            raise EngineError(f"{len(engines)} engines and {len(prices)} price lists; give one list to each engine")
        names = [engine.name for engine in engines]
        if len(set(names)) < len(names):
            raise EngineError(f"engines are called {names}; give each a name of its own, which ledgers and reports use")
        self.engines = list(engines)
        self.policy = policy
        self.prices = list(prices)
        self.rounds = rounds or RoundRules()
        self.ledger: Entered = ledger or Ledger()
        self.infos: list[EngineInfo] = []
        self._settlement = settlement or OnPrediction()
        require_per_request(self._settlement)
        self._grade = grade or (lambda request, text: None)
        self._watch = watch or (lambda outcome: None)
        self._keep = keep
        self._telling = Telling((policy.notice, *subscribers), on_error)
        self._statistics = RoundStatistics()
        self._books = Books(self.ledger, self._telling.fail)
        self._queue = Queue(self._expire)
        self._wake = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def statistics(self) -> RoundStatistics:
        """What the rounds add up to, so far."""
        return self._statistics

    @property
    def agents(self) -> tuple[Agent, ...]:
        """The engines as the market sees them, once started."""
        return tuple(self._agents)

    def alive(self) -> list[bool]:
        """Which agents are in the market; none before `start`."""
        if self._loop_task is None or self._loop is None:
            return [False] * len(self.engines)
        return list(map(bool, self._health.alive(self._loop.time())))

    async def start(self) -> None:
        """Learn what the engines are and start the round loop; after a `stop`, with a policy that starts afresh.

        Raises:
            EngineError: an engine is not up and does not come up.
        """
        if self._loop_task is not None and not self._loop_task.done():
            return
        # A loop that was closed under the router answers nobody any more.
        self._queue.clear()
        self._loop = asyncio.get_running_loop()
        self.infos = [await engine.start() for engine in self.engines]
        self._agents = [
            self._agent(engine, info, prices)
            for engine, info, prices in zip(self.engines, self.infos, self.prices, strict=True)
        ]
        self._statistics = RoundStatistics()
        self._telling.clear()
        self._wake = asyncio.Event()
        self._health = Health(len(self.engines), askable(self.engines))
        self._dispatcher = Dispatcher(
            self.engines,
            self._agents,
            self.rounds,
            self._books,
            self._settlement,
            self._grade,
            self._health,
            self._telling.publish,
            self._give_back,
            self._look_again,
        )
        self._statistics.mistokenised = self._dispatcher.mistokenised
        self._books.resume()
        self.policy.attach(tuple(self._agents))
        self._rounds = Rounds(
            self._agents,
            self.policy,
            self.rounds,
            self._queue,
            self._books,
            self._health,
            self._dispatcher,
            self._statistics,
            self._telling,
            self._watch,
            self._keep,
            self._wake,
            self._abandon,
            self._expire,
        )
        self._loop_task = asyncio.create_task(self._rounds.run(), name="rounds")
        self._prober = Probing(self.engines, self._health, self._wake.set, self._dispatcher.vacate)
        self._probing: asyncio.Task[None] | None = None
        self._probe()

    async def stop(self) -> None:
        """Stop the rounds, cancel what is in flight without charging for it, and write what the books still lack.

        Raises:
            Exception: the first error that the policy or a subscriber raised as it took note of an event, if any, or
                what could not be entered in the books within seconds.
        """
        if self._loop_task is None:
            return
        task, self._loop_task = self._loop_task, None
        tasks = [each for each in (task, self._probing) if each is not None]
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        error = Stopped("the router was stopped")
        self._rounds.fail_all(error)
        await self._dispatcher.stop(error)
        # Whoever's failure was retried in the meantime.
        self._rounds.fail_all(error)
        await self._books.flush()
        if self._telling.failure is not None:
            raise self._telling.failure

    def _agent(self, engine: Engine, info: EngineInfo, prices: TokenPrices) -> Agent:
        limit = self.rounds.slots
        slots = info.slots if limit is None else min(limit, info.slots)
        return Agent(engine.name, info, prices, slots, self.rounds.depth, getattr(engine, "contents", None))

    async def add(self, engine: Engine, prices: TokenPrices) -> int:
        """One engine more, from the next round on; returns its number. Requests that wait now go elsewhere.

        Raises:
            EngineError: the router does not run, an agent has this name, or the engine does not come up.
            ServingError: the policy takes no agent more while it serves; nothing has changed.
        """
        self._require_running()
        if any(engine.name == agent.name and not self._health.retired(j) for j, agent in enumerate(self._agents)):
            raise EngineError(f"an agent is called {engine.name} already; give each a name of its own")
        if not hasattr(self.policy, "join"):
            raise ServingError(f"policy {self.policy.name} takes no agent more while it serves; restart for that")
        info = await engine.start()
        self._require_running()
        agent = self._agent(engine, info, prices)
        self.policy.join(agent)
        self.engines.append(engine)
        self.infos.append(info)
        self.prices.append(prices)
        self._agents.append(agent)
        self._health.join(askable=bool(askable([engine])))
        self._dispatcher.join()
        self._probe()
        self._wake.set()
        return len(self._agents) - 1

    def _probe(self) -> None:
        """Ask engines how they are, once there are any that can be asked."""
        if self._probing is None and askable(self.engines):
            self._probing = asyncio.create_task(self._prober.run(), name="probes")

    async def retire(self, agent: int) -> None:
        """An engine takes no more requests, for good; returns once it is done with those that it has."""
        self._health.retire(agent)
        self._dispatcher.vacate(agent)
        self._wake.set()
        while not self._dispatcher.idle(agent):
            await asyncio.sleep(_IDLE_S)

    async def submit(self, request: Request, preferences: Preferences) -> Served | Declined:
        """Have one request served at the reported preferences; cancelling this cancels the request and its charge.

        Raises:
            RequestError: no engine could ever serve it, its report is beyond what money can say, or a request of its
                id is being served.
            LedgerError: a request of its id was charged before, or the books could not be written for seconds.
            EngineError: no engine served it, the router was stopped or never started, or another loop asks.
        """
        loop = self._on_our_loop(request.id)
        try:
            alive = self._health.alive(loop.time())
            offer = await admit(request, preferences, self.engines, self.infos, alive.tolist(), loop.time())
            self._require_running()
        except BaseException:
            self._telling.open.discard(request.id)
            raise
        waiting = Waiting(offer, loop.create_future(), self.rounds.patience_s, loop.time())
        self._enter(waiting)
        try:
            return await waiting.answer
        finally:
            waiting.close()
            self._abandon(waiting)

    async def relay(self, relayed: Relayed, preferences: Preferences) -> Live | Declined:
        """Have one request served whose bytes are passed on; returns when its answer begins, for one reader.

        Cancelling this before the answer begins costs nothing. Whoever has it reads it to its end or closes it, and
        pays what the auction said in either case, but for an engine that breaks off.

        Raises:
            Refused: the engine does not take it, in its own words.
            RequestError, EngineError: as `submit`.
        """
        loop = self._on_our_loop(relayed.request.id)
        try:
            offer = admit_relayed(relayed, preferences, self.infos, loop.time())
        except BaseException:
            self._telling.open.discard(relayed.request.id)
            raise
        begun: asyncio.Future[Live | Declined] = loop.create_future()
        waiting = Waiting(
            offer, loop.create_future(), self.rounds.patience_s, loop.time(), relayed=relayed, begun=begun
        )
        self._enter(waiting)
        try:
            return await begun
        except BaseException:
            if begun.done() and not begun.cancelled() and begun.exception() is None:
                told = begun.result()
                if isinstance(told, Live):
                    await told.aclose()
            else:
                waiting.answer.cancel()
                self._abandon(waiting)
            raise
        finally:
            waiting.close()

    def _on_our_loop(self, request: str) -> asyncio.AbstractEventLoop:
        """The loop that runs, once it is sure that a request of this id may come in on it."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            raise EngineError(
                "the router runs on no loop yet; await router.start() first"
                if self._loop is None
                else "the router runs on another event loop; submit there (asyncio.run_coroutine_threadsafe)"
            )
        self._require_running()
        if request in self._telling.open:
            raise RequestError(f"a request {request} is being served; a request id may be used once")
        self._telling.open.add(request)
        return loop

    def _enter(self, waiting: Waiting) -> None:
        self._telling.publish(Arrived(waiting.queued_s, waiting.offer))
        self._queue.join([waiting])
        self._wake.set()

    def _require_running(self) -> None:
        if self._loop_task is None:
            raise Stopped("the router was stopped; await router.start() first")

    def _abandon(self, waiting: Waiting) -> None:
        """Its bidder does not listen any more; nothing, if that is because it was told."""
        if waiting in self._queue:
            self._queue.leave(waiting)
            self._telling.give_up(waiting, EngineError(f"request {waiting.offer.request.id} was cancelled"))
        else:
            self._dispatcher.withdraw(waiting)

    def _expire(self, waiting: Waiting) -> None:
        """Its patience or its deadline ended: decline it, unless it is being served.

        A place in a line is a decision, which patience does not undo; a deadline does.
        """
        late = waiting.late(asyncio.get_running_loop().time())
        if waiting in self._queue:
            self._queue.leave(waiting)
            patience = f"no agent had free capacity within {self.rounds.patience_s:g} s"
            if late:
                self._telling.decline(waiting, waiting.lateness(), "late")
            else:
                self._telling.decline(waiting, patience, "no_room")
        elif late and waiting.placed is not None and waiting.placed.task is None:
            self._dispatcher.withdraw(waiting, declined=f"{waiting.lateness()} in line")

    def _look_again(self) -> None:
        """Something changed that a round might wait for; where nobody waits, whoever comes wakes the rounds."""
        if self._queue:
            self._wake.set()

    def _give_back(self, some: Sequence[Waiting]) -> None:
        self._queue.join(some, first=True)
        self._wake.set()
