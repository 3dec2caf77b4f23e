"""Forecasters that are told what others have to learn: who answers right, and how long a step of each engine takes."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.worlds.traffic.agents import SimulatedAgent
from prediction import AgentState, Latency, Pending, QueueModel
from prediction.latency.prefill_queue import play, step_seconds
from runtime import Agent, Offer, StepTime
from runtime.policies.forecast import Forecaster

Floats = NDArray[np.float64]


def oracle(fleet: Sequence[SimulatedAgent]) -> Callable[[], Forecaster]:
    """A forecaster that is told each agent's true skill."""
    skills = np.array([agent.skill for agent in fleet])
    return lambda: Forecaster(lambda agents: Told(skills))


def oracle_of_times(fleet: Sequence[SimulatedAgent]) -> Callable[[], Forecaster]:
    """One that is told step times as well. Queues are known to everybody, answers' lengths to nobody."""
    skills = np.array([agent.skill for agent in fleet])
    steps = [agent.step_time for agent in fleet]
    return lambda: _Timed(skills, steps)


class Told:
    """A quality model that knows."""

    def __init__(self, skills: NDArray[np.float64]) -> None:
        self._skills = skills

    def predict(self, offers: Sequence[Offer]) -> NDArray[np.float64]:
        """(N, M) the true chances."""
        return np.broadcast_to(self._skills, (len(offers), self._skills.size))

    def doubt(self) -> NDArray[np.float64]:
        """(M,) none."""
        return np.zeros(self._skills.size)

    def learn(self, offer: Offer, agent: int, right: bool | None) -> None:
        """Nothing to learn."""


class _Timed(Forecaster):
    def __init__(self, skills: Floats, steps: Sequence[StepTime]) -> None:
        super().__init__(lambda agents: Told(skills))
        self._steps = steps

    def attach(self, agents: Sequence[Agent]) -> None:
        """Start with empty caches, and told."""
        super().attach(agents)
        self.queue = ToldTimes(self._steps, depth=agents[0].depth)


class ToldTimes(QueueModel):
    """A queue model that knows how long the steps of simulated engines take, and learns nothing of it.

    Args:
        steps: of the M agents.
        depth: how many requests the router lets an engine hold before their first token, None for all.

    What a sequence that decodes attends to is taken at the mean prompt so far, and of a decode step that has to end
    first half is taken to be left: the queue's public state has neither.
    """

    def __init__(self, steps: Sequence[StepTime], *, depth: int | None = None) -> None:
        super().__init__(list(range(len(steps))), [0.0] * len(steps), depth=depth)
        self._steps, self._most = steps, depth
        #: Of the prompts dispatched so far: how many, their tokens, tokens computed, pairs attended to.
        self._sums = np.zeros((len(steps), 4))

    def predict(
        self, states: Sequence[AgentState], prompt: NDArray[np.integer], cached: NDArray[np.integer], now_s: float
    ) -> Latency:
        """As `QueueModel.predict`."""
        whole, held = np.asarray(prompt, np.float64), np.asarray(cached, np.float64)
        start, fixed = np.zeros((2, len(self._steps)))
        weights = self._told()
        for j, state in enumerate(states):
            turn = play(state, weights[j].tolist(), self._most, now_s)
            start[j] = turn.start
            fixed[j] = turn.offset + step_seconds(weights[j].tolist(), turn.beside, turn.decoding + 1, turn.residual)
        fresh = whole - held
        service = fixed + fresh * (weights[:, 1] + weights[:, 2] * (whole + held) / 2)
        return Latency(start, np.maximum(service, weights[:, 0]))

    def sent(self, agent: int, name: str, pending: Pending, decoding: int) -> None:
        """As `QueueModel.sent`; the prompt counts towards the mean."""
        super().sent(agent, name, pending, decoding)
        self._sums[agent] += (1, pending.prompt, pending.uncached, pending.pairs)

    def first_token(self, agent: int, name: str, at_s: float, *, guessed: bool = False) -> None:
        """It came; nothing is learnt."""
        self.dropped(agent, name)

    def seconds_per_token(self) -> Floats:
        """(M,) what one more uncached prompt token takes, with its share of attention."""
        _, _, tokens, pairs = self._sums.T
        weights = self._told()
        # Pairs grow with the square of the tokens: twice the mean is the margin.
        share: Floats = weights[:, 1] + 2 * weights[:, 2] * pairs / np.maximum(tokens, 1)
        return share

    def base_seconds(self) -> Floats:
        """(M,) what a step takes however little it computes."""
        base: Floats = self._told()[:, 0]
        return base

    def _told(self) -> Floats:
        """(M, 5) seconds per unit of `prefill_queue.step_terms`."""
        count, tokens, _, _ = self._sums.T
        context = tokens / np.maximum(count, 1)
        rows = [
            (
                step.base_s + step.overhead_s,
                step.prompt_token_s,
                step.attention_pair_s,
                step.sequence_s + step.context_token_s * mean,
                (step.base_s + step.sequence_s + step.context_token_s * mean) / 2,
            )
            for step, mean in zip(self._steps, context, strict=True)
        ]
        return np.array(rows)
