"""The round loop: gather requests, let the policy decide, hand over to the dispatcher.

A round is held when the policy is ready for one: at once while nothing is being served, else after a short window, so
that requests meet and compete. What it decides goes into the lines of agents; what it declines is told so; what it
leaves `WAITING` competes again until its patience ends. What breaks on the way breaks for one request, or one round.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Literal

import numpy as np

from allocation import UNSERVED
from mechanisms import Outcome, Preferences
from mechanisms.settlement import OnPrediction, Settlement
from prediction import TokenPrices
from runtime.accounts.books import Books
from runtime.accounts.ledger import Ledger
from runtime.accounts.settling import require_per_request
from runtime.engines.engine import Engine, EngineInfo, Request
from runtime.errors import EngineError, RequestError
from runtime.events import Abandoned, Arrived, Declined, Event, Failed, Served, Subscriber
from runtime.policies.policy import WAITING, Agent, Decision, Fleet, Policy
from runtime.rounds.admission import admit, admit_relayed
from runtime.rounds.decisions import check_decision
from runtime.rounds.dispatch import Dispatcher, Grade
from runtime.rounds.health import Health
from runtime.rounds.probing import Probing, askable
from runtime.rounds.queue import Queue
from runtime.rounds.records import RoundRules, RoundStatistics
from runtime.rounds.relay import HungUp, Live, Relayed
from runtime.rounds.telling import Telling
from runtime.rounds.waiting import Placed, Waiting

#: Sees what an auction decided before anything is dispatched; what it raises fails the round's requests.
Watch = Callable[[Outcome], None]


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
        ledger: Ledger | None = None,
        grade: Grade | None = None,
        settlement: Settlement | None = None,
        watch: Watch | None = None,
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
        self.ledger = ledger or Ledger()
        self.infos: list[EngineInfo] = []
        self._settlement = settlement or OnPrediction()
        require_per_request(self._settlement)
        self._grade = grade or (lambda request, text: None)
        self._watch = watch or (lambda outcome: None)
        self._telling = Telling((policy.notice, *subscribers), on_error)
        self._statistics = RoundStatistics()
        self._books = Books(self.ledger, self._telling.fail)
        self._queue = Queue(self._expire)
        self._open: set[str] = set()
        self._wake = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def statistics(self) -> RoundStatistics:
        """What the rounds add up to, so far."""
        return self._statistics

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
        self._open.clear()
        self._loop = asyncio.get_running_loop()
        self.infos = [await engine.start() for engine in self.engines]
        limit = self.rounds.slots
        self._agents = tuple(
            Agent(
                engine.name,
                info,
                prices,
                info.slots if limit is None else min(limit, info.slots),
                self.rounds.depth,
                getattr(engine, "contents", None),
            )
            for engine, info, prices in zip(self.engines, self.infos, self.prices, strict=True)
        )
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
            self._publish,
            self._give_back,
            self._wake.set,
        )
        self._statistics.mistokenised = self._dispatcher.mistokenised
        self._books.resume()
        self.policy.attach(self._agents)
        self._loop_task = asyncio.create_task(self._run_rounds(), name="rounds")
        probing = Probing(self.engines, self._health, self._wake.set)
        self._probing = asyncio.create_task(probing.run(), name="probes") if askable(self.engines) else None

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
        error = EngineError("the router was stopped")
        self._fail_all(error)
        await self._dispatcher.stop(error)
        # Whoever's failure was retried in the meantime.
        self._fail_all(error)
        await self._books.flush()
        if self._telling.failure is not None:
            raise self._telling.failure

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
            offer = await admit(request, preferences, self.engines, self.infos, list(map(bool, alive)), loop.time())
            self._require_running()
        except BaseException:
            self._open.discard(request.id)
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
            self._open.discard(relayed.request.id)
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
                    await told.close(HungUp())
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
        if request in self._open:
            raise RequestError(f"a request {request} is being served; a request id may be used once")
        self._open.add(request)
        return loop

    def _enter(self, waiting: Waiting) -> None:
        self._publish(Arrived(waiting.queued_s, waiting.offer))
        self._queue.join([waiting])
        self._wake.set()

    def _require_running(self) -> None:
        if self._loop_task is None:
            raise EngineError("the router was stopped; await router.start() first")

    def _abandon(self, waiting: Waiting) -> None:
        """Its bidder does not listen any more; nothing, if that is because it was told."""
        if waiting in self._queue:
            self._queue.leave(waiting)
            self._fail(waiting, EngineError(f"request {waiting.offer.request.id} was cancelled"))
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
                self._decline(waiting, waiting.lateness(), "late")
            else:
                self._decline(waiting, patience, "no_room")
        elif late and waiting.placed is not None and waiting.placed.task is None:
            self._dispatcher.withdraw(waiting, declined=f"{waiting.lateness()} in line")

    def _give_back(self, some: Sequence[Waiting]) -> None:
        self._queue.join(some, first=True)
        self._wake.set()

    async def _run_rounds(self) -> None:
        while True:
            await self._wait()
            self._wake.clear()
            if not self._queue:
                continue
            window = self.rounds.window_s if self._dispatcher.busy else 0.0
            if len(self._queue) < self.rounds.max_batch:
                await asyncio.sleep(window)
            while self._queue and self._run_round():
                pass

    async def _wait(self) -> None:
        """Until something happened, or an engine is due to be tried again."""
        now = asyncio.get_running_loop().time()
        trial = self._health.next_trial_s(now) if self._queue else None
        try:
            async with asyncio.timeout(None if trial is None else max(trial - now, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _fleet(self) -> Fleet:
        now = asyncio.get_running_loop().time()
        return Fleet(
            self._agents,
            self._health.alive(now),
            self._dispatcher.jobs(),
            now,
            self._dispatcher.stepped_s.copy(),
        )

    def _run_round(self) -> bool:
        """Hold one round; False if there was none, or if it left all that it saw waiting."""
        batch: list[Waiting] = []
        try:
            fleet = self._fleet()
            if not fleet.alive.any():
                if not self._health.hopeful(range(len(self._agents))):
                    self._fail_all(self._all_down(frozenset()))
                return False
            if not self.policy.ready(fleet):
                return False
            batch = self._gather(fleet)
            if not batch:
                return False
            started = time.perf_counter()
            decision = self.policy.decide([waiting.offer for waiting in batch], fleet)
            check_decision(decision, len(batch), len(self._agents))
            self._statistics.count(decision, time.perf_counter() - started)
            if decision.outcome is not None:
                self._watch(decision.outcome)
            self._carry_out(batch, decision, fleet)
        except Exception as error:
            if not batch and self._queue:
                batch = [self._queue.pop()]
            for waiting in batch:
                untold = waiting.offer.request.id in self._open
                if untold and waiting.placed is None and waiting not in self._queue:
                    self._fail(waiting, error)
            return True
        return any(decision.agents != WAITING)

    def _gather(self, fleet: Fleet) -> list[Waiting]:
        """The round's requests, out of the queue.

        They are the first that have not been cancelled, are not late, and have not been failed by all who are up: those
        wait for the others.
        """
        batch: list[Waiting] = []
        up = frozenset(map(int, np.flatnonzero(fleet.alive)))
        for waiting in self._queue:
            if len(batch) == self.rounds.max_batch:
                break
            if waiting.answer.done():
                self._abandon(waiting)
            elif waiting.late(fleet.now_s):
                self._expire(waiting)
            elif up - waiting.offer.refused:
                self._queue.leave(waiting)
                batch.append(waiting)
            elif not self._health.hopeful(set(range(len(self._agents))) - waiting.offer.refused):
                self._queue.leave(waiting)
                self._fail(waiting, self._all_down(waiting.offer.refused))
        return batch

    def _all_down(self, but: frozenset[int]) -> EngineError:
        names = ", ".join(agent.name for j, agent in enumerate(self._agents) if j not in but)
        return EngineError(f"every engine is down: {names}")

    def _carry_out(self, batch: Sequence[Waiting], decision: Decision, fleet: Fleet) -> None:
        positions = np.arange(len(batch)) if decision.positions is None else np.asarray(decision.positions)
        with self._books.together() if len(batch) > 1 else nullcontext():
            for i in map(int, np.argsort(positions, kind="stable")):
                waiting, agent = batch[i], int(decision.agents[i])
                if agent == UNSERVED:
                    self._turn_away(waiting)
                elif agent >= 0:
                    self._place(waiting, agent, decision, i, fleet)
        for agent in range(len(self._agents)):
            self._dispatcher.pump(agent)
        again = [batch[int(i)] for i in np.flatnonzero(decision.agents == WAITING)]
        if self._dispatcher.busy or not fleet.alive.all():
            # They go on waiting in their order, before whoever comes later.
            self._queue.join(again, first=True)
        else:
            # Nothing in flight could change the answer.
            for waiting in again:
                self._turn_away(waiting)

    def _turn_away(self, waiting: Waiting) -> None:
        """The policy wants no agent for it: that is an answer, unless it had one and was failed."""
        if waiting.errors:
            self._fail(waiting, waiting.failure())
        else:
            self._decline(waiting, "no agent costs less than the reported value", "too_low")

    def _place(self, waiting: Waiting, agent: int, decision: Decision, i: int, fleet: Fleet) -> None:
        predicted = decision.predicted[i] if decision.predicted else None
        note = decision.notes[i] if decision.notes else None
        try:
            if agent in waiting.offer.refused:
                raise waiting.failure(f"the policy gave it to {self._agents[agent].name} all the same")
            number = self._statistics.rounds
            charge = int(decision.charges[i])
            self._dispatcher.place(Placed(waiting, agent, charge, predicted, note, fleet.now_s, round=number))
        except Exception as error:
            self._fail(waiting, error, agent, note)

    def _decline(self, waiting: Waiting, reason: str, code: Literal["too_low", "late", "no_room"]) -> None:
        declined = Declined(asyncio.get_running_loop().time(), waiting.offer, reason, code)
        self._publish(declined)
        waiting.resolve(declined)

    def _fail(self, waiting: Waiting, error: Exception, agent: int | None = None, note: object = None) -> None:
        now = asyncio.get_running_loop().time()
        self._publish(Failed(now, waiting.offer, agent, error, retried=False, note=note))
        waiting.fail(error)

    def _fail_all(self, error: EngineError) -> None:
        while self._queue:
            self._fail(self._queue.pop(), error)

    def _publish(self, event: Event) -> None:
        if isinstance(event, Served | Declined | Abandoned) or (isinstance(event, Failed) and not event.retried):
            self._open.discard(event.offer.request.id)
        self._telling.publish(event)
