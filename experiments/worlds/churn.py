"""Agents that leave and join while traffic goes on.

An agent that leaves takes no more requests and finishes those that it has. One that joins has an empty cache, whether
it was there before or not: that of an agent which left is gone with it.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import numpy as np

from experiments.errors import StudyError
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.traffic import Traffic
from prediction import TokenPrices
from runtime import Agent, Engine, EngineInfo, Policy, RoundRules, ServingError

#: What an agent may do.
EVENTS = ("leaves", "joins")


@dataclass(frozen=True, slots=True)
class Change:
    """At `at_s` seconds from the beginning an agent `leaves` or `joins`.

    Raises:
        StudyError: there is no such moment or event.
    """

    at_s: float
    agent: str
    event: str

    def __post_init__(self) -> None:
        moment = isinstance(self.at_s, (int, float)) and not isinstance(self.at_s, bool)
        if not (moment and isfinite(self.at_s) and self.at_s >= 0):
            raise StudyError(f"churn: at_s = {self.at_s!r}; expected seconds from the beginning, 0 or more")
        if self.event not in EVENTS:
            raise StudyError(f"churn: an agent cannot {self.event!r}; it {' or '.join(EVENTS)}")


def changes(given: Iterable[object]) -> tuple[Change, ...]:
    """Changes as they were given, `(12.0, "small-a", "leaves")`, in the order in which they happen.

    Raises:
        StudyError: one is none.
    """
    found = []
    for one in given:
        if isinstance(one, Change):
            found.append(one)
        elif isinstance(one, (tuple, list)) and len(one) == 3:
            found.append(Change(*one))
        else:
            raise StudyError(f'churn: {one!r} is no change; expected (seconds, agent, event), (12.0, "a", "leaves")')
    return tuple(sorted(found, key=lambda one: one.at_s))


@dataclass(frozen=True, slots=True)
class Coming:
    """How agents come and go: each stays so many seconds and is away for so many, both exponential with these means.

    Whoever would leave nobody behind stays. The same agents come and go at any seed's moments, drawn for each alone.

    Raises:
        StudyError: a mean is not above 0.

    Example:
        >>> [str(one.event) for one in Coming(60.0, 15.0).drawn(["a", "b"], seed=0, until_s=100.0)]
        ['leaves', 'joins', 'leaves', 'joins', 'leaves']
    """

    stay_s: float
    away_s: float

    def __post_init__(self) -> None:
        for name in ("stay_s", "away_s"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise StudyError(f"{name} = {value!r}; expected seconds, more than 0")

    def drawn(self, agents: Sequence[str], seed: int, until_s: float) -> tuple[Change, ...]:
        """Changes up to a moment; everybody is there at the beginning."""
        draws = [np.random.default_rng([seed, k]) for k in range(len(agents))]
        next_s = [float(rng.exponential(self.stay_s)) for rng in draws]
        there, found = set(range(len(agents))), []
        while (at_s := min(next_s)) <= until_s:
            k = next_s.index(at_s)
            if there == {k}:
                next_s[k] += float(draws[k].exponential(self.stay_s))
                continue
            found.append(Change(at_s, agents[k], "leaves" if k in there else "joins"))
            there ^= {k}
            next_s[k] += float(draws[k].exponential(self.stay_s if k in there else self.away_s))
        return tuple(found)


def beginning(fleet: Sequence[SimulatedAgent], churn: Sequence[Change]) -> tuple[SimulatedAgent, ...]:
    """Who is there when traffic begins: all but those whose first change is that they join.

    Raises:
        StudyError: a change is of no agent of the fleet, an agent leaves twice or joins twice in a row, or nobody is
            left at some moment.
    """
    names = [agent.name for agent in fleet]
    first: dict[str, str] = {}
    for one in churn:
        if one.agent not in names:
            raise StudyError(f"churn: no agent {one.agent!r} in this fleet; there are: {', '.join(names)}")
        first.setdefault(one.agent, one.event)
    there = {name for name in names if first.get(name) != "joins"}
    found = tuple(agent for agent in fleet if agent.name in there)
    if not there:
        raise StudyError("churn: nobody is there at the beginning; let one agent at least join no later than that")
    for one in churn:
        if (one.event == "joins") == (one.agent in there):
            now = "there already" if one.agent in there else "gone already"
            raise StudyError(f"churn: {one.agent} {one.event} at {one.at_s:g} s, and is {now}")
        there ^= {one.agent}
        if not there:
            raise StudyError(f"churn: nobody is left when {one.agent} leaves at {one.at_s:g} s")
    return found


def require_joining(
    policy: Policy, fleet: Sequence[SimulatedAgent], churn: Sequence[Change], slots: int | None, name: str
) -> None:
    """Have a policy, which will serve nobody, take what joins: before anything is played.

    Raises:
        StudyError: it takes no agent more while it serves.
    """
    joining = [one.agent for one in churn if one.event == "joins"]
    if not joining:
        return
    known = {agent.name: seen(agent, slots) for agent in fleet}
    try:
        if not hasattr(policy, "join"):
            raise ServingError("it has no `join(agent)`")
        policy.attach(tuple(known[agent.name] for agent in beginning(fleet, churn)))
        for agent in joining:
            policy.join(known[agent])
    except ServingError as error:
        raise StudyError(
            f"{name} takes no agent more while it serves, and {joining[0]} joins: {error}; leave it out, or only let "
            "agents leave"
        ) from error


def seen(agent: SimulatedAgent, slots: int | None = None) -> Agent:
    """A simulated agent as policies see it."""
    shape = agent.shape
    info = EngineInfo(
        model=agent.model or f"simulated ({agent.step_time.fitted_to})",
        block_size=shape.block_size,
        cache_blocks=shape.cache_blocks,
        max_model_len=shape.max_model_len,
        slots=shape.max_num_seqs,
        tokenizer="simulated",
        simulated=True,
    )
    most = shape.max_num_seqs if slots is None else min(slots, shape.max_num_seqs)
    return Agent(agent.name, info, agent.prices, most, RoundRules().depth)


class _Members(Protocol):
    """What a router does with agents."""

    async def add(self, engine: Engine, prices: TokenPrices) -> int: ...

    async def retire(self, agent: int) -> None: ...


class Churn:
    """Lets agents of a run come and go.

    Args:
        changes: in order, as `changes` gives them.
        fleet: everybody, by whose names changes go.
        load: makes the engines of those that join.
        prices: everybody's price list where the bidders' preset has one; else each agent's own.
        joined: is told of each agent that joins, which is the router's last from then on.
    """

    def __init__(
        self,
        changes: Sequence[Change],
        fleet: Sequence[SimulatedAgent],
        load: Traffic,
        prices: TokenPrices | None,
        joined: Callable[[SimulatedAgent], None],
    ) -> None:
        self._changes, self._load, self._prices, self._joined = changes, load, prices, joined
        self._fleet = {agent.name: agent for agent in fleet}
        self._number = {agent.name: k for k, agent in enumerate(beginning(fleet, changes))}
        self._made: list[Engine] = []

    async def hold(self, router: _Members) -> None:
        """Do all at its moment, from now on; returns when the last that left is done with what it had."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as leaving:
            for one in self._changes:
                await asyncio.sleep(max(began + one.at_s - loop.time(), 0.0))
                if one.event == "leaves":
                    leaving.create_task(router.retire(self._number[one.agent]))
                    continue
                agent = self._fleet[one.agent]
                engine = self._load.engine(agent)
                self._made.append(engine)
                # Before the router has it: the next round may choose it.
                self._joined(agent)
                self._number[one.agent] = await router.add(engine, self._prices or agent.prices)

    async def stop(self) -> None:
        """Stop the engines that joined."""
        for engine in self._made:
            await engine.stop()
