"""The rounds themselves: gather requests, let the policy decide, hand over to the dispatcher.

A round is held when the policy is ready for one: at once while nothing is being served, else after a short window, so
that requests meet and compete. What breaks on the way breaks for one request, or one round.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from allocation import UNSERVED
from mechanisms import Outcome
from runtime.accounts.books import Books
from runtime.errors import EngineError, Left
from runtime.events import Offer
from runtime.policies.policy import WAITING, Agent, Decision, Fleet, Policy, Refusal
from runtime.rounds.deciding.decisions import check_decision
from runtime.rounds.deciding.queue import Queue
from runtime.rounds.dispatch.dispatcher import Dispatcher
from runtime.rounds.health.health import Health
from runtime.rounds.kept import Keep, RoundMade, record_of
from runtime.rounds.records import RoundRules, RoundStatistics
from runtime.rounds.requests.waiting import Placed, Waiting
from runtime.rounds.telling import Telling

#: Seconds after which a policy that gathers is asked again, though nothing happened.
_AGAIN_S = 0.1
#: Sees what an auction decided before anything is dispatched; what it raises fails the round's requests.
Watch = Callable[[Outcome], None]


class Rounds:
    """Holds rounds for a router, which owns all the parts; agents may come while it runs.

    Args:
        agents: as the market sees them.
        policy, rules: decide, and when.
        queue, books, health, dispatcher, statistics, telling: the router's.
        watch: sees every outcome of an auction, and may refuse it by raising.
        wake: is set whenever something changed that a round might wait for.
        keep: what becomes of rounds; None, nothing.
        abandon: takes back a request whose bidder does not listen any more.
        expire: declines one that is late.
    """

    def __init__(
        self,
        agents: Sequence[Agent],
        policy: Policy,
        rules: RoundRules,
        queue: Queue,
        books: Books,
        health: Health,
        dispatcher: Dispatcher,
        statistics: RoundStatistics,
        telling: Telling,
        watch: Watch,
        keep: Keep | None,
        wake: asyncio.Event,
        abandon: Callable[[Waiting], None],
        expire: Callable[[Waiting], None],
    ) -> None:
        self._agents, self._policy, self._rules, self._queue = agents, policy, rules, queue
        self._books, self._health, self._dispatcher = books, health, dispatcher
        self._statistics, self._telling, self._watch, self._wake = statistics, telling, watch, wake
        self._keep, self._abandon, self._expire = keep, abandon, expire

    def fail_all(self, error: EngineError) -> None:
        """Give up all that waits."""
        while self._queue:
            self._telling.give_up(self._queue.pop(), error)

    async def run(self) -> None:
        """Hold rounds until cancelled."""
        while True:
            await self._wait()
            self._wake.clear()
            if not self._queue:
                continue
            window = self._rules.window_s if self._dispatcher.busy else 0.0
            if len(self._queue) < self._rules.max_batch:
                await asyncio.sleep(window)
            while self._queue and self._run_round():
                pass

    async def _wait(self) -> None:
        """Until something happened, an engine is due to be tried again, or a policy that gathers may think again."""
        if self._wake.is_set():
            return
        now = asyncio.get_running_loop().time()
        trial = self._health.next_trial_s(now) if self._queue else None
        again = None if trial is None else max(trial - now, 0.0)
        if self._queue and self._dispatcher.busy:
            again = _AGAIN_S if again is None else min(again, _AGAIN_S)
        try:
            async with asyncio.timeout(again):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _fleet(self) -> Fleet:
        now = asyncio.get_running_loop().time()
        return Fleet(
            tuple(self._agents),
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
                if not self._health.hopeful(range(len(self._agents)), fleet.now_s):
                    self.fail_all(self._all_down(frozenset()))
                return False
            if not self._policy.ready(fleet):
                return False
            batch = self._gather(fleet)
            if not batch:
                return False
            started = time.perf_counter()
            alive = fleet.alive.tolist()
            offers = [self._dispatcher.offered(waiting, alive, fleet.now_s) for waiting in batch]
            decision = self._policy.decide(offers, fleet)
            check_decision(decision, len(batch), len(self._agents))
            self._statistics.count(decision, time.perf_counter() - started)
            if decision.outcome is not None:
                self._watch(decision.outcome)
            self._carry_out(batch, offers, decision, fleet)
        except Exception as error:
            if not batch and self._queue:
                batch = [self._queue.pop()]
            for waiting in batch:
                untold = waiting.offer.request.id in self._telling.open
                if untold and waiting.placed is None and waiting not in self._queue:
                    self._telling.give_up(waiting, error)
            return True
        return any(decision.agents != WAITING)

    def _gather(self, fleet: Fleet) -> list[Waiting]:
        """The round's requests, out of the queue.

        They are the first that have not been cancelled, are not late, and have not been failed by all who are up: those
        wait for the others.
        """
        batch: list[Waiting] = []
        up = frozenset(np.flatnonzero(fleet.alive).tolist())
        for waiting in self._queue:
            if len(batch) == self._rules.max_batch:
                break
            waiting.offer = widened(waiting.offer, len(self._agents))
            if waiting.answer.done():
                self._abandon(waiting)
            elif waiting.late(fleet.now_s):
                self._expire(waiting)
            elif up - waiting.offer.refused:
                self._queue.leave(waiting)
                batch.append(waiting)
            elif not self._health.hopeful(set(range(len(self._agents))) - waiting.offer.refused, fleet.now_s):
                self._queue.leave(waiting)
                self._telling.give_up(waiting, self._all_down(waiting.offer.refused))
        return batch

    def _all_down(self, but: frozenset[int]) -> EngineError:
        named = {j: agent.name for j, agent in enumerate(self._agents) if j not in but}
        names = ", ".join(named.values())
        if all(self._health.retired(j) for j in named):
            return Left(f"every engine that could serve it has left: {names}")
        return EngineError(f"every engine is down: {names}")

    def _carry_out(self, batch: Sequence[Waiting], offers: Sequence[Offer], decision: Decision, fleet: Fleet) -> None:
        positions = np.arange(len(batch)) if decision.positions is None else np.asarray(decision.positions)
        made = self._made(batch, offers, decision, fleet)
        kept = made is not None and made.record is not None
        with self._books.together() if len(batch) > 1 or kept else nullcontext():
            if made is not None and made.record is not None:
                self._books.keep(made.record, made.at_s)
            for i in np.argsort(positions, kind="stable").tolist():
                waiting, agent = batch[i], int(decision.agents[i])
                if agent == UNSERVED:
                    self._turn_away(waiting, decision.refusals[i] if decision.refusals else None)
                elif agent >= 0:
                    self._place(waiting, agent, decision, i, fleet)
        self._dispatcher.pump_all()
        again = [batch[int(i)] for i in np.flatnonzero(decision.agents == WAITING)]
        if self._dispatcher.busy or not fleet.alive.all():
            # They go on waiting in their order, before whoever comes later.
            self._queue.join(again, first=True)
        else:
            # Nothing in flight could change the answer.
            for waiting in again:
                self._turn_away(waiting)

    def _made(
        self, batch: Sequence[Waiting], offers: Sequence[Offer], decision: Decision, fleet: Fleet
    ) -> RoundMade | None:
        """A round as it is kept and told, if anybody wants it."""
        if self._keep is None:
            return None
        tries = [len(waiting.errors) for waiting in batch]
        made = RoundMade(self._statistics.rounds, time.time(), offers, tries, fleet, decision)
        if self._keep.in_books:
            made = replace(made, record=record_of(made, self._keep.rules))
        self._keep.told(made)
        return made

    def _turn_away(self, waiting: Waiting, refusal: Refusal | None = None) -> None:
        """The policy wants no agent for it: that is an answer, unless it had one and was failed."""
        if waiting.errors:
            self._telling.give_up(waiting, waiting.failure())
        else:
            refusal = refusal or Refusal("no agent costs less than the reported value")
            self._telling.decline(waiting, refusal.reason, refusal.code)

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
            self._telling.give_up(waiting, error, agent, note)


def widened(offer: Offer, agents: int) -> Offer:
    """An offer as so many agents see it; those that came after it are none of its."""
    if len(offer.tokens) == agents:
        return offer
    more = range(len(offer.tokens), agents)
    return replace(offer, tokens=offer.tokens + ((),) * len(more), refused=offer.refused | set(more))
