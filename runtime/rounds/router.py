"""The round loop: gather requests, let the policy decide, dispatch, measure, settle, learn.

A round begins with the first waiting request. While the fleet is idle it is decided at once; while something is in
flight it stays open for a short window, so that requests meet and compete. What a round leaves unserved competes again
when an agent has free capacity, until its patience ends.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from allocation import MICROS, UNSERVED, to_micros
from mechanisms import Outcome, Preferences
from mechanisms.settlement import OnPrediction, Settlement
from prediction import Measured, TokenPrices
from runtime.accounts.ledger import Ledger
from runtime.accounts.settling import require_per_request, settled
from runtime.engines.engine import Completion, Engine, EngineInfo, Request
from runtime.errors import EngineError, RequestError
from runtime.policies.policy import Agent, Decision, Fleet, Offer, Policy
from runtime.rounds.records import Declined, Prediction, RoundRules, RoundStatistics, Served

_log = logging.getLogger(__name__)

#: Grades an answer in [0, 1], or None where there is nothing to grade it by.
Grade = Callable[[Request, str], float | None]

#: Sees what an auction decided before anything is dispatched; what it raises fails the round's requests.
Watch = Callable[[Outcome], None]


@dataclass(slots=True, eq=False)
class _Waiting:
    offer: Offer
    arrived: float
    outcome: "asyncio.Future[Served | Declined]"
    task: "asyncio.Task[Completion] | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class _Dispatched:
    waiting: _Waiting
    agent: int
    charge: int
    predicted: Prediction | None
    #: Predicted cost in micro-units, as the auction saw it; None without an auction.
    expected: int | None
    at: float


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
        self.statistics = RoundStatistics()
        self.infos: list[EngineInfo] = []
        self._settlement = settlement or OnPrediction()
        require_per_request(self._settlement)
        self._grade = grade or (lambda request, text: None)
        self._watch = watch or (lambda outcome: None)
        self._queue: deque[_Waiting] = deque()
        self._inflight = np.zeros(len(engines), np.int64)
        self._alive = np.ones(len(engines), bool)
        self._prefilling: list[set[str]] = [set() for _ in engines]
        self._wake = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[Completion]] = set()
        self._failures: list[BaseException] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Learn what the engines are and start the round loop.

        Raises:
            EngineError: an engine is not up and does not come up.
        """
        self._loop = asyncio.get_running_loop()
        self.infos = [await engine.start() for engine in self.engines]
        limit = self.rounds.slots
        self._agents = tuple(
            Agent(engine.name, info, prices, info.slots if limit is None else min(limit, info.slots))
            for engine, info, prices in zip(self.engines, self.infos, self.prices, strict=True)
        )
        self.policy.attach(self._agents)
        self._loop_task = asyncio.create_task(self._run_rounds(), name="rounds")

    async def stop(self) -> None:
        """Stop the rounds, and cancel what is in flight without charging for it.

        Raises:
            Exception: the first error that a policy raised while it learned, if any.
        """
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        self._fail_all(EngineError("the router was stopped"))
        if self._failures:
            raise self._failures[0]

    async def submit(self, request: Request, preferences: Preferences) -> Served | Declined:
        """Have one request served at the reported preferences; cancelling this cancels the request and its charge.

        Raises:
            RequestError: no engine could ever serve it.
            EngineError: every engine is dead, the router was stopped or never started, or another loop asks.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise EngineError(
                "the router runs on no loop yet; await router.start() first"
                if self._loop is None
                else "the router runs on another event loop; submit there (asyncio.run_coroutine_threadsafe)"
            )
        if not self._alive.any():
            raise EngineError("every engine is dead; start the router anew")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(await self._offer(request, preferences), loop.time(), loop.create_future())
        self._queue.append(waiting)
        self._wake.set()
        try:
            return await waiting.outcome
        finally:
            self._abandon(waiting)

    async def _offer(self, request: Request, preferences: Preferences) -> Offer:
        if not request.messages or request.max_tokens < 1:
            raise RequestError(
                f"request {request.id} has {len(request.messages)} messages, max_tokens {request.max_tokens}"
            )
        by_vocabulary: dict[str, tuple[int, ...]] = {}
        for engine, info in zip(self.engines, self.infos, strict=True):
            if info.tokenizer not in by_vocabulary:
                by_vocabulary[info.tokenizer] = await engine.tokenize(request.messages)
        tokens = tuple(by_vocabulary[info.tokenizer] for info in self.infos)
        if not any(len(ids) < info.max_model_len for ids, info in zip(tokens, self.infos, strict=True)):
            raise RequestError(
                f"request {request.id} has {min(map(len, tokens))} prompt tokens; no engine takes more than "
                f"{max(info.max_model_len for info in self.infos)}"
            )
        turn = sum(message.role == "assistant" for message in request.messages)
        return Offer(request, preferences, tokens, turn)

    def _abandon(self, waiting: _Waiting) -> None:
        if waiting in self._queue:
            self._queue.remove(waiting)
        if waiting.task is not None and not waiting.task.done():
            waiting.task.cancel()

    async def _run_rounds(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            window = self.rounds.window_s if self._inflight.any() else 0.0
            if len(self._queue) < self.rounds.max_batch:
                await asyncio.sleep(window)
            if self._queue:
                self._run_round()

    def _run_round(self) -> None:
        prefilling = tuple(map(frozenset, self._prefilling))
        fleet = Fleet(self._agents, self._inflight.copy(), self._alive.copy(), prefilling)
        if not fleet.free.any() and self._inflight.any():
            return
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), self.rounds.max_batch))]
        started = time.perf_counter()
        try:
            decision = self.policy.decide([waiting.offer for waiting in batch], fleet)
            self._count(decision, fleet, time.perf_counter() - started)
            if decision.outcome is not None:
                self._watch(decision.outcome)
        except Exception as error:
            for waiting in batch:
                _fail(waiting, error)
            return
        for i in np.flatnonzero(decision.agents != UNSERVED):
            self._dispatch(batch[i], decision, int(i))
        self._keep_or_decline([batch[i] for i in np.flatnonzero(decision.agents == UNSERVED)])

    def _count(self, decision: Decision, fleet: Fleet, seconds: float) -> None:
        self.statistics.rounds += 1
        self.statistics.decide_s.append(seconds)
        if decision.outcome is not None:
            self.statistics.predicted_welfare += decision.outcome.welfare
            self.statistics.predicted_surplus += decision.outcome.surplus
            self.statistics.deficits += decision.outcome.surplus < 0
            self.statistics.losses += min(decision.outcome.bidder_utilities().values(), default=0) < 0
            loads = decision.outcome.reported.loads(decision.outcome.allocation)
            self.statistics.contested += bool((loads[fleet.alive] >= fleet.free[fleet.alive]).any())

    def _keep_or_decline(self, unserved: Sequence[_Waiting]) -> None:
        """Decline who waited too long, or waits while nothing is in flight that could change the answer."""
        if self._queue:
            self._wake.set()
        now = asyncio.get_running_loop().time()
        for waiting in unserved:
            if not self._inflight.any():
                reason = "no agent costs less than the reported value"
            elif now - waiting.arrived > self.rounds.patience_s:
                reason = f"no agent had free capacity within {self.rounds.patience_s:g} s"
            else:
                self._queue.append(waiting)
                continue
            _resolve(waiting, Declined(waiting.offer.request, reason))

    def _dispatch(self, waiting: _Waiting, decision: Decision, i: int) -> None:
        agent, charge = int(decision.agents[i]), int(decision.charges[i])
        request = waiting.offer.request
        try:
            self.ledger.hold(request.id, bidder=request.bidder, agent=self._agents[agent].name, charge=charge)
        except Exception as error:
            _fail(waiting, error)
            return
        self._inflight[agent] += 1
        now = asyncio.get_running_loop().time()
        expected = None if decision.outcome is None else int(decision.outcome.reported.costs[i, agent])
        dispatched = _Dispatched(waiting, agent, charge, _prediction(decision, i, agent), expected, now)
        self._prefilling[agent].add(request.id)
        computed = partial(self._prefilling[agent].discard, request.id)
        waiting.task = asyncio.create_task(self.engines[agent].generate(request, computed))
        self._serving.add(waiting.task)
        # A task that is cancelled before its first step runs none of its own code, its callbacks all the same.
        waiting.task.add_done_callback(partial(self._finish, dispatched))

    def _finish(self, dispatched: _Dispatched, task: "asyncio.Task[Completion]") -> None:
        """Settle or release exactly once, free the capacity, then answer the bidder and teach the policy."""
        waiting, agent = dispatched.waiting, dispatched.agent
        self._serving.discard(task)
        self._inflight[agent] -= 1
        self._prefilling[agent].discard(waiting.offer.request.id)
        self._wake.set()
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            try:
                served = self._settle(dispatched, task.result())
            except Exception as broken:
                error = broken
        if error is not None:
            self.ledger.release(waiting.offer.request.id)
            self._give_up(dispatched, error)
            return
        _resolve(waiting, served)
        self._compare_tokens(waiting.offer, served)
        try:
            self._teach(waiting.offer, served)
        except Exception as broken:
            self._failures.append(broken)

    def _settle(self, dispatched: _Dispatched, completion: Completion) -> Served:
        agent, request = dispatched.agent, dispatched.waiting.offer.request
        prices = self._agents[agent].prices
        cost = prices.cost(completion.prompt_tokens, completion.cached_tokens, completion.output_tokens)
        micros = int(to_micros(cost, name="measured cost"))
        quality = self._grade(request, completion.text)
        charge, receipt = self._final(dispatched, micros, quality)
        self.ledger.settle(request.id, cost=micros, charge=charge, receipt=receipt)
        return Served(
            request,
            agent,
            completion,
            dispatched.waiting.arrived,
            dispatched.at,
            charge,
            micros,
            receipt,
            quality,
            dispatched.predicted,
        )

    def _final(self, dispatched: _Dispatched, measured: int, quality: float | None) -> tuple[int, int]:
        """Final charge and receipt, in micro-units."""
        if dispatched.predicted is None or dispatched.expected is None:
            return dispatched.charge, measured
        return settled(
            self._settlement,
            charge=dispatched.charge,
            predicted=dispatched.expected,
            measured=measured,
            chance=dispatched.predicted.quality,
            quality=quality,
        )

    def _teach(self, offer: Offer, served: Served) -> None:
        took = served.completion
        measured = Measured(took.first_token_s, served.cost / MICROS, served.quality, took.output_tokens)
        self.policy.learn(offer, served.agent, took, measured)

    def _compare_tokens(self, offer: Offer, served: Served) -> None:
        """Notice a tokenizer that is not the server's: what it says of a prompt's prefix, no cache will hold."""
        said, seen = offer.tokens[served.agent], served.completion.token_ids[: served.completion.prompt_tokens]
        if not seen or said == seen:
            return
        name = self._agents[served.agent].name
        self.statistics.mistokenised[name] = count = self.statistics.mistokenised.get(name, 0) + 1
        if count == 1:
            _log.warning(
                "engine %s served request %s as %d prompt tokens, not as the %d it had tokenised: cache hits cannot be "
                "predicted there; look at its chat template",
                name,
                served.request.id,
                len(seen),
                len(said),
            )

    def _give_up(self, dispatched: _Dispatched, error: BaseException) -> None:
        """A request that failed fails alone; a dead engine leaves the market and its request competes again."""
        waiting, name = dispatched.waiting, self._agents[dispatched.agent].name
        if isinstance(error, asyncio.CancelledError):
            _fail(waiting, EngineError(f"request {waiting.offer.request.id} was cancelled"))
        elif not isinstance(error, EngineError):
            _fail(waiting, error)
        else:
            self._alive[dispatched.agent] = False
            self._queue.appendleft(waiting)
            if not self._alive.any():
                self._fail_all(EngineError(f"every engine is dead; the last was {name}: {error}"))

    def _fail_all(self, error: EngineError) -> None:
        for waiting in self._queue:
            _fail(waiting, error)
        self._queue.clear()


def _resolve(waiting: _Waiting, outcome: Served | Declined) -> None:
    if not waiting.outcome.done():
        waiting.outcome.set_result(outcome)


def _prediction(decision: Decision, i: int, agent: int) -> Prediction | None:
    if decision.predicted is None:
        return None
    qos = decision.predicted
    return Prediction(*(float(part[i, agent]) for part in (qos.latency, qos.cost, qos.quality)))


def _fail(waiting: _Waiting, error: BaseException) -> None:
    if not waiting.outcome.done():
        waiting.outcome.set_exception(error)
