"""What every place is worth to every bidder, worked out from the world itself: the yardstick that no policy supplies.

The latency of the k-th place of a round in an agent's line is the time until the line before the round is computed,
plus k times the mean time of the round's requests there, plus the request's own; and never less than it takes until
the agent serves so few that it may begin. That is what a place promises before anybody has reported anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.audits.world import ANSWER, Asked, World
from mechanisms import Preferences

Floats = NDArray[np.float64]
MICROS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """N requests, M agents, K places each: `latency` (N, M, K) in seconds from now, `cost` (N, M) and `harm` (N, M) in
    credits, `quality` (M,). `waited` (N,) seconds are over already.

    `harm` is what serving a request makes those wait who come later, where the state says how they come: seconds times
    credits a second. `doubt` (M,) is the standard error of a share of right answers, among as many as were graded.
    """

    latency: Floats
    cost: Floats
    quality: Floats
    harm: Floats
    doubt: Floats
    waited: Floats
    alive: tuple[bool, ...]

    @classmethod
    def of(cls, world: World, asked: Sequence[Asked], flow: Sequence[float], graded: Sequence[int]) -> "Reference":
        """Worked out by plain loops; `flow` is the delay cost that others bring to each agent, a second."""
        n, laws = len(asked), world.laws
        latency, cost, harm = np.empty((n, len(laws), n)), np.empty((n, len(laws))), np.empty((n, len(laws)))
        for j, law in enumerate(laws):
            start, sequences, beside = _end_of_line(world, j)
            seen = [(len(one.tokens), world.cached(one.tokens, j)) for one in asked]
            service = [law.seconds(prompt, cached, sequences, beside) for prompt, cached in seen]
            mean = sum(service) / n
            load = len(world.lines[j])
            for i, (prompt, cached) in enumerate(seen):
                cost[i, j] = law.cost(prompt, cached, min(ANSWER, asked[i].max_tokens))
                harm[i, j] = service[i] * flow[j] * (start + service[i] / 2)
                for k in range(n):
                    freed = max(load - law.slots + k + 1, 0) * law.stay_s / law.slots
                    latency[i, j, k] = max(start + k * mean, freed) + service[i]
        quality = np.array([law.skill for law in laws])
        doubt = np.sqrt(quality * (1 - quality) / np.maximum(np.array(graded), 1))
        return cls(latency, cost, quality, harm, doubt, np.array([one.waited_s for one in asked]), tuple(world.alive))

    def value(self, i: int, agent: int, place: int, true: Preferences) -> float:
        """Credits that a place is worth to request i: once its deadline has passed, its stake
        alone or what is lost on top of that."""
        late = self.latency[i, agent, place] + self.waited[i] > true.deadline
        credits = float(true.worth * self.quality[agent] - true.delay_cost * self.latency[i, agent, place])
        return true.stake + (min(credits, 0.0) if late else credits)

    def values(self, i: int, types: Sequence[Preferences]) -> Floats:
        """(T, M, K) credits, by true type."""
        return valued(types, self.quality[:, None], self.latency[i], float(self.waited[i]))


def valued(types: Sequence[Preferences], quality: Floats, latency: Floats, waited: float | Floats) -> Floats:
    """(T, ...) credits of a service to each type, `quality` and `latency` of any shape that broadcasts."""
    worth, delay, deadline, stake = (
        np.array([getattr(one, name) for one in types]).reshape(-1, *([1] * np.ndim(latency)))
        for name in ("worth", "delay_cost", "deadline", "stake")
    )
    credits: Floats = worth * quality - delay * latency
    return stake + np.where(latency + waited > deadline, np.minimum(credits, 0.0), credits)


def _end_of_line(world: World, agent: int) -> tuple[float, int, bool]:
    """Seconds until an agent has computed all it was given; then the sequences in flight with one more, and whether
    it will wait for others to decode."""
    law, now = world.laws[agent], world.now_s
    decoding = sum(work.first_s <= now for work in world.lines[agent])
    pending = [work for work in world.lines[agent] if work.first_s > now]
    if not pending:
        return 0.0, decoding + 1, decoding > 0
    end = pending[0].first_s - now
    for work in pending[1:]:
        end += law.seconds(work.prompt, work.cached, decoding + 2, True)
    return end, decoding + 2, True
