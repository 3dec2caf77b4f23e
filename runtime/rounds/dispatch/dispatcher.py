"""From decided to done: a line per agent, the engine's answer, the books.

A request may break its neighbours, so that its last try is alone at its engine, within bounds (`exclusive`): what fails
then is its own fault.
Whatever becomes of a request, its charge is held before it is dispatched and settled or released exactly once, and its
bidder is told once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from mechanisms.settlement import Settlement
from runtime.accounts.books import Books
from runtime.engines.engine import Completion, Engine
from runtime.errors import Busy, EngineError, LedgerError, Refused, Unreachable
from runtime.events import Abandoned, Decided, Declined, Dispatched, Event, Failed, FirstToken, Offer
from runtime.policies.policy import Agent, Job
from runtime.rounds.dispatch.exclusive import Exclusive, elsewhere
from runtime.rounds.dispatch.paying import Grade, Paying, compare_tokens
from runtime.rounds.health.health import Health
from runtime.rounds.records import RoundRules
from runtime.rounds.requests.relay import Live, Relayed, as_broken
from runtime.rounds.requests.waiting import Placed, Waiting

#: What an engine answers that knows neither the path nor the model.
_NOT_THE_CLIENTS = (404, 405)


class Dispatcher:
    """Lines of agents, and what is being served.

    Args:
        engines, agents: who serves, and as the market sees them.
        rules: capacity is the agents'; `depth` is how many an engine is given before their first token.
        books, settlement, grade: how a served request is paid for.
        health: learns who fails.
        publish: gets every event.
        give_back: gets requests that compete again, in their order.
        wake: is called whenever something changed that a round might wait for.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        agents: Sequence[Agent],
        rules: RoundRules,
        books: Books,
        settlement: Settlement,
        grade: Grade,
        health: Health,
        publish: Callable[[Event], None],
        give_back: Callable[[Sequence[Waiting]], None],
        wake: Callable[[], None],
    ) -> None:
        self._engines, self._agents, self._rules = engines, agents, rules
        self._books, self._paying, self._health = books, Paying(agents, settlement, grade), health
        self._publish, self._give_back, self._wake = publish, give_back, wake
        self._lines: list[deque[Placed]] = [deque() for _ in engines]
        self._running: list[dict[int, Placed]] = [{} for _ in engines]
        self._exclusive = [Exclusive() for _ in engines]
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self.stepped_s = np.full(len(engines), -np.inf)
        #: By engine, requests whose prompt was served as other tokens than were said before.
        self.mistokenised: dict[str, int] = {}

    def join(self) -> None:
        """One engine more, the last."""
        self._lines.append(deque())
        self._running.append({})
        self._exclusive.append(Exclusive())
        self.stepped_s = np.append(self.stepped_s, -np.inf)

    def idle(self, agent: int) -> bool:
        """Whether an agent has nothing to do."""
        return not (self._lines[agent] or self._running[agent])

    @property
    def busy(self) -> bool:
        """Whether anything was given to an agent and is not done."""
        return any(self._running) or any(self._lines)

    def jobs(self) -> tuple[tuple[Job, ...], ...]:
        """Every agent's work, in order."""
        return tuple(
            tuple([one.job for one in (*running.values(), *line)]) if running or line else ()
            for running, line in zip(self._running, self._lines, strict=True)
        )

    def offered(self, waiting: Waiting, alive: Sequence[bool], now_s: float) -> Offer:
        """A request as it competes: a last try, alone, elsewhere than where nobody may be alone yet, if it can."""
        return elsewhere(waiting.offer, self._exclusive, alive, now_s) if self._last(waiting) else waiting.offer

    def place(self, placed: Placed) -> None:
        """Hold the charge and put a request at the end of its agent's line; `pump` dispatches it.

        Raises:
            LedgerError: the charge cannot be held; nothing is left behind.
        """
        offer, name = placed.waiting.offer, self._agents[placed.agent].name
        placed.alone = self._last(placed.waiting)
        placed.hold = self._books.hold(
            offer.request.id, bidder=offer.request.bidder, agent=name, charge=placed.charge, key=offer.request.key
        )
        if placed.hold.error is not None:
            raise placed.hold.error
        placed.hold.told = partial(self._held, placed)
        placed.waiting.placed = placed
        self._lines[placed.agent].append(placed)
        self._publish(
            Decided(placed.decided_s, offer, placed.agent, placed.charge, placed.predicted, placed.note, placed.round)
        )

    def pump(self, agent: int) -> None:
        """Dispatch from the line, in its order, as long as the engine may be given more.

        Whoever is to be alone, when nobody may be just now, is passed over.
        """
        line, running, exclusive = self._lines[agent], self._running[agent], self._exclusive[agent]
        if not (line or exclusive.held):
            return
        now, passed = asyncio.get_running_loop().time(), 0
        exclusive.expire(now)
        while len(line) > passed and len(running) < self._agents[agent].slots and self._may_start(running):
            head = line[passed]
            if head.waiting.late(now):
                self.withdraw(head.waiting, declined=f"{head.waiting.lateness()} in line")
            elif head.hold is not None and head.hold.pending:
                break
            elif head.alone and not exclusive.begin(head, now) and not exclusive.held:
                passed += 1
            elif running and (head.alone or self._engaged(agent)):
                break
            else:
                del line[passed]
                self._send(head)
        if passed or exclusive.held:
            self._look_again(agent, exclusive.next_s)

    def pump_all(self) -> None:
        """`pump` wherever anybody waits in line."""
        for agent, line in enumerate(self._lines):
            if line or self._exclusive[agent].held:
                self.pump(agent)

    def _look_again(self, agent: int, at_s: float) -> None:
        """Pump when an agent need not be kept for anybody any more, or may be again."""
        timer = self._timers.pop(agent, None)
        if timer is not None:
            timer.cancel()
        self._timers[agent] = asyncio.get_running_loop().call_at(at_s, self.pump, agent)

    def withdraw(self, waiting: Waiting, *, declined: str | None = None, error: Exception | None = None) -> None:
        """Take a request back from its line or its engine: declined for a reason, failed, else cancelled."""
        placed = waiting.placed
        if placed is None:
            return
        if placed.task is not None:
            placed.task.cancel()
            return
        self._lines[placed.agent].remove(placed)
        self._undo(placed)
        now = asyncio.get_running_loop().time()
        if declined is not None:
            outcome = Declined(now, waiting.offer, declined, "late")
            self._publish(outcome)
            waiting.resolve(outcome)
        else:
            error = error or EngineError(f"request {waiting.offer.request.id} was cancelled")
            self._publish(Failed(now, waiting.offer, placed.agent, error, retried=False, note=placed.note))
            waiting.fail(error)
        self._wake()

    async def stop(self, error: EngineError) -> None:
        """Cancel everything, charging for nothing."""
        for timer in self._timers.values():
            timer.cancel()
        for line in self._lines:
            for placed in list(line):
                self.withdraw(placed.waiting, error=error)
        flying = [placed for running in self._running for placed in running.values()]
        for placed in flying:
            placed.waiting.fail(error)
        tasks = [placed.task for placed in flying if placed.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _may_start(self, running: dict[int, Placed]) -> bool:
        depth = self._rules.depth
        return depth is None or sum(placed.first_token_s is None for placed in running.values()) < depth

    def _engaged(self, agent: int) -> bool:
        """Whether nobody may be served beside those whom it has: it is kept for one on its last try, or on trial."""
        return self._health.on_trial(agent) or self._exclusive[agent].held

    def _undo(self, placed: Placed) -> None:
        """Give back its place, and its charge."""
        placed.waiting.placed = None
        self._exclusive[placed.agent].end(placed, asyncio.get_running_loop().time(), well=False)
        if placed.hold is not None:
            self._books.undo(placed.waiting.offer.request.id, placed.hold)

    def _held(self, placed: Placed, error: LedgerError | None) -> None:
        """The books could be written after all, or in all that time could not."""
        if error is None:
            self.pump(placed.agent)
        else:
            self.withdraw(placed.waiting, error=error)
            self.pump(placed.agent)

    def _send(self, placed: Placed) -> None:
        agent, offer = placed.agent, placed.waiting.offer
        now = asyncio.get_running_loop().time()
        placed.sent(now)
        decoding = sum(other.first_token_s is not None for other in self._running[agent].values())
        self._running[agent][id(placed)] = placed
        placed.task = asyncio.create_task(self._generate(placed), name=f"serve {offer.request.id}")
        # A task that is cancelled before its first step runs none of its own code, its callbacks all the same.
        placed.task.add_done_callback(partial(self._finish, placed))
        self._publish(Dispatched(now, offer, agent, decoding, placed.note))

    async def _generate(self, placed: Placed) -> Completion:
        engine, waiting = self._engines[placed.agent], placed.waiting
        if waiting.relayed is not None:
            return await self._relay(engine, placed, waiting.relayed)
        return await engine.generate(waiting.offer.request, partial(self._started, placed))

    async def _relay(self, engine: Engine, placed: Placed, relayed: Relayed) -> Completion:
        """Open an answer, hand it to whoever waits for it, and read it to its end."""
        waiting = placed.waiting
        until = waiting.offer.arrived_s + relayed.within_s
        try:
            answer = await engine.open(relayed.call(placed.agent, len(waiting.errors) + 1), until)
        except Refused as refused:
            if refused.status not in _NOT_THE_CLIENTS:
                raise
            # The model's name is ours: an engine that does not know it, or has no such path, may be set up wrongly.
            waiting.refused.append(refused)
            raise EngineError(str(refused)) from refused
        live = Live(
            answer,
            agent=placed.agent,
            charge=placed.charge,
            round=placed.round,
            streamed=relayed.request.stream,
            counted=len(waiting.offer.tokens[placed.agent]),
            most=self._most_tokens(placed, relayed),
            first_token=partial(self._started, placed),
            final=partial(self._paying.final, placed),
        )

        def begun() -> None:
            placed.live = live
            waiting.begin(live)

        try:
            await live.fill(begun)
        finally:
            await answer.aclose()
        placed.live = live
        return live.completion()

    def _most_tokens(self, placed: Placed, relayed: Relayed) -> tuple[int, int]:
        request, context = relayed.request, self._agents[placed.agent].info.max_model_len
        return context * max(relayed.prompts, 1), request.max_tokens * request.choices

    def _started(self, placed: Placed) -> None:
        if placed.first_token_s is not None or id(placed) not in self._running[placed.agent]:
            return
        now = asyncio.get_running_loop().time()
        placed.began(now)
        self.stepped_s[placed.agent] = now
        self._health.began(placed.agent)
        if placed.waiting.relayed is not None:
            # Whatever breaks it now, it would not be tried again.
            self._exclusive[placed.agent].end(placed, now, well=True)
        self._publish(FirstToken(now, placed.waiting.offer, placed.agent, placed.note))
        self.pump(placed.agent)
        self._wake()

    def _finish(self, placed: Placed, task: "asyncio.Task[Completion]") -> None:
        """Settle or release exactly once, free the capacity, then answer the bidder."""
        waiting, agent = placed.waiting, placed.agent
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        served = None
        # Who no longer listens, though the answer came in the same moment, is not charged.
        if error is None and not waiting.answer.done():
            if waiting.offer.request.stream:
                self._started(placed)
            try:
                served = self._paying.served(placed, task.result())
            except Exception as broken:
                error = broken
        del self._running[agent][id(placed)]
        retried = False
        if served is None and placed.hung_up(error):
            self._abandon(placed)
        elif served is None:
            self._undo(placed)
            retried = self._blame(placed, error or asyncio.CancelledError())
        else:
            waiting.placed = None
            self._exclusive[agent].end(placed, served.at_s, well=True)
            self._books.settle(served.request.id, cost=served.cost, charge=served.charge, receipt=served.receipt)
            self._health.served(agent, waiting.failed_by, served.at_s)
            compare_tokens(self._agents[agent].name, waiting.offer, served, self.mistokenised)
            self._publish(served)
            waiting.resolve(served)
        if placed.live is not None and not retried:
            told = waiting.told() or error
            placed.live.end(None if served is not None or placed.live.hung_up else as_broken(told))
            waiting.begin(placed.live)
        for j in self._health.out(asyncio.get_running_loop().time()):
            self.vacate(j)
        if retried:
            # Before those who stood in line behind it.
            self._give_back([waiting])
        self.pump(agent)
        self._wake()

    def _abandon(self, placed: Placed) -> None:
        """Settle what its bidder did not want to the end: they pay what the auction said."""
        waiting = placed.waiting
        waiting.placed = None
        self._exclusive[placed.agent].end(placed, asyncio.get_running_loop().time(), well=False)
        measured = Completion("", 0, 0, 0, 0.0, 0.0) if placed.live is None else placed.live.completion()
        _, cost, receipt = self._paying.settled(placed, measured)
        self._books.settle(waiting.offer.request.id, cost=cost, charge=placed.charge, receipt=receipt)
        now = asyncio.get_running_loop().time()
        self._publish(
            Abandoned(
                now, waiting.offer, placed.agent, placed.charge, cost, receipt, measured, placed.note, placed.round
            )
        )
        waiting.fail(EngineError(f"request {waiting.offer.request.id} was cancelled"))

    def _blame(self, placed: Placed, error: BaseException) -> bool:
        """Whether a request that failed is tried elsewhere: a few times, unless the failure is plainly its own."""
        waiting, agent = placed.waiting, placed.agent
        now = asyncio.get_running_loop().time()
        request = waiting.offer.request
        retried = False
        if waiting.answer.done():
            error = waiting.told() or EngineError(f"request {request.id} was cancelled")
        elif isinstance(error, asyncio.CancelledError):
            error = EngineError(f"engine {self._agents[agent].name} gave up request {request.id}")
        if placed.live is not None and not waiting.answer.done():
            # Part of it was seen: nobody else can go on from there.
            self._health.broke(agent)
        elif isinstance(error, EngineError) and not waiting.answer.done():
            waiting.errors.append(f"{self._agents[agent].name}: {error}")
            reached = not isinstance(error, Unreachable) or error.sent
            if isinstance(error, Busy):
                self._health.busy(agent, error.retry_after_s, now)
                waiting.busy_s.append(error.retry_after_s)
            elif reached:
                # An engine that never saw it may have it once it is back.
                waiting.offer = replace(waiting.offer, refused=waiting.offer.refused | {agent})
            if isinstance(error, Unreachable):
                # It is left out for that; whoever serves the request later says nothing more against it.
                self._health.down(agent, now, doubt=error.sent and len(waiting.errors) > 1, unreachable=True)
                waiting.unsent += not reached
            elif not isinstance(error, Busy):
                waiting.failed_by.append(agent)
            retried = self._again(waiting)
            if not retried:
                error = waiting.failure()
        self._publish(Failed(now, waiting.offer, agent, error, retried, placed.note))
        if not retried:
            waiting.fail(error)
        return retried

    def _last(self, waiting: Waiting) -> bool:
        """Whether it has failed, and may only once more."""
        return bool(waiting.errors) and not self._again(waiting, 1)

    def _again(self, waiting: Waiting, failures: int = 0) -> bool:
        """Whether it is tried once more, after so many more failures."""
        tries, left = self._rules.attempts - failures, len(self._agents) - failures
        return len(waiting.errors) - waiting.unsent < tries and len(waiting.offer.refused) < left

    def vacate(self, agent: int) -> None:
        """Whoever stands in line for an engine that is left out competes again."""
        if not self._lines[agent]:
            return
        now = asyncio.get_running_loop().time()
        error = EngineError(f"engine {self._agents[agent].name} is left out for now")
        line, self._lines[agent] = self._lines[agent], deque()
        for placed in line:
            self._undo(placed)
            self._publish(Failed(now, placed.waiting.offer, agent, error, retried=True, note=placed.note))
        self._give_back([placed.waiting for placed in line])
