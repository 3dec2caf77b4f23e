"""Steps in which every sequence gets one more token, taken together as long as nobody could notice.

Between first tokens, last tokens and arrivals a scheduler's steps are told apart by nobody outside: so their ends are
computed beforehand, and what they do to the cache is done once for all that have ended. An arrival cuts the run short
after the step that is being computed, so that it is planned for when it would have been.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from runtime.engines.simulated.block_cache import BlockCache
from runtime.engines.simulated.sequences import RunningSequence
from runtime.engines.simulated.step_time import StepTime


@dataclass(slots=True)
class Step:
    """What is computed at once: sequences, each with how many tokens of it."""

    work: list[tuple[RunningSequence, int]] = field(default_factory=list)

    def seconds(self, step_time: StepTime) -> float:
        """How long it takes."""
        prompt = pairs = context = 0
        for one, count in self.work:
            if one.produced > 0 and count == 1:
                context += one.length
            else:
                prompt += count
                pairs += count * (2 * one.computed + count + 1) // 2
        return step_time.seconds(prompt, len(self.work), context, pairs)

    def quiet(self, cache: BlockCache) -> int:
        """How many steps, this one among them, nobody can tell apart: up to the first last token.

        They must be all that the engine has. 1 where a prompt is computed, somebody sees each token, or blocks may run
        out.
        """
        if not all(one.quiet and one.produced and count == 1 for one, count in self.work):
            return 1
        steps = min(len(one.answer) - one.produced for one, _ in self.work)
        missing = 0
        for one, _ in self.work:
            assert one.holding is not None
            missing += -(-(one.computed + steps) // cache.block_size) - len(one.holding.blocks)
        return steps if missing <= cache.free else 1


class Ahead:
    """A run of steps of the same sequences, the first of which is planned; it ends with the first last token.

    Args:
        sequences: in the scheduler's order, each with a prompt that is computed and the first token.
        steps: how many, as `Step.quiet` has it.
        step_time: how long they take, from now on.
        cache: where their blocks are.
    """

    def __init__(
        self, sequences: Sequence[RunningSequence], steps: int, step_time: StepTime, cache: BlockCache
    ) -> None:
        self._sequences, self._cache, self._done = sequences, cache, 0
        self._loop = asyncio.get_running_loop()
        size, context, end = len(sequences), sum(one.length for one in sequences), self._loop.time()
        self._ends: list[float] = []
        for _ in range(steps):
            end += step_time.seconds(0, size, context)
            self._ends.append(end)
            context += size
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._timer = self._loop.call_at(end, self._end)

    async def ended(self) -> None:
        """Wait for the end of the last step; all others are done then."""
        try:
            await self._ended
        finally:
            self._timer.cancel()
        self._catch_up(inf)

    def cut_short(self) -> None:
        """Do what the steps did that have ended; the one that is being computed is the last."""
        self._catch_up(self._loop.time())
        del self._ends[self._done + 1 :]
        self._timer.cancel()
        self._timer = self._loop.call_at(self._ends[-1], self._end)

    def _catch_up(self, now_s: float) -> None:
        ended = bisect_right(self._ends, now_s, self._done, len(self._ends) - 1)
        if ended > self._done:
            repeat(self._sequences, ended - self._done, self._cache)
            self._done = ended

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


def repeat(sequences: Sequence[RunningSequence], steps: int, cache: BlockCache) -> None:
    """End a planned step and plan the next, so many times over: every sequence gets one token each time.

    The cache is asked in the order of steps, then of sequences, wherever a block is begun or full; in between there is
    nothing that it would do.
    """
    size, due = cache.block_size, []
    for place, one in enumerate(sequences):
        assert one.holding is not None
        one.holding.names.extend(one.answer[one.produced : one.produced + steps])
        planned = one.computed + 1
        # The tokens planned for step k are `planned + k`: a block is full where they divide, the next begins after it.
        first = -planned % size
        for k in range(first, steps + 1, size):
            if k:
                due.append((k, place, planned + k))
            if k < steps:
                due.append((k + 1, place, planned + k + 1))
        one.computed += steps
        one.produced += steps
    for _, place, tokens in sorted(due):
        holding = sequences[place].holding
        assert holding is not None
        if not cache.reserve(holding, tokens):
            raise AssertionError("a run of steps was begun without blocks enough")
