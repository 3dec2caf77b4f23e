"""Agents that break answers off and that misstate what they are, and what they really cost meanwhile.

What a router takes on an agent's word is the model that it says it serves (agents of one model are taken to be as quick
and as right as each other), its price list (a dearer model is supposed to be better and slower until more is known),
how many requests it serves at once, and the tokens that it bills. When tokens come, and whether answers are right, a
router sees for itself.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, isfinite

from allocation import to_micros
from experiments.errors import StudyError
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.traffic import Ask, Progress, Traffic
from mechanisms import Preferences
from prediction import TokenPrices
from runtime import Completion, Declined, Engine, EngineInfo, Message, Offer, Request, Served
from runtime.engines.call import Answer, Call
from runtime.errors import EngineError, ServingError, Stopped


class BrokenOffError(ServingError):
    """An answer that was being read broke off: lost, for nobody can go on from there.

    Runs of a study ask the router for whole answers, and one that breaks with an `EngineError` it asks for again
    elsewhere. With this it does what it does once part of an answer was passed on: nobody tries again, pays or is paid.
    """


@dataclass(frozen=True, slots=True)
class Breaks:
    """Chances that an agent breaks a request off: before its first token, and once that is there.

    Before, the router asks another agent, and leaves out who goes on failing; after, the request is lost.

    Raises:
        StudyError: they are no chances.
    """

    before: float = 0.0
    after: float = 0.0

    def __post_init__(self) -> None:
        if not (self.before >= 0 and self.after >= 0 and self.before + self.after <= 1):
            raise StudyError(f"answers break with chances {self.before} and {self.after}; expected at most 1 in all")

    def drawn(self, seed: int, agent: str, request: str) -> str | None:
        """`before`, `after` or None: the same for whoever asks; what breaks at small chances breaks at great ones."""
        digest = hashlib.blake2b(f"breaks/{seed}/{agent}/{request}".encode(), digest_size=8).digest()
        at = int.from_bytes(digest) / 2**64
        # Either kind has an end of its own, so that each grows without moving the other.
        return "before" if at < self.before else "after" if at >= 1 - self.after else None


@dataclass(frozen=True, slots=True)
class Statement:
    """What an agent states of itself that is not so; what is None it states as it is.

    Args:
        agent: its name.
        model: what it says it serves.
        prices: the list by which it is paid, where `SimulatedAgent.prices` are what tokens cost it.
        slots: how many requests it says it serves at once.
        billed: how many tokens it bills for each that it had or made, of prompts and answers, cached or not; never more
            than a request allows, for routers believe no more.

    Raises:
        StudyError: no agent could say that.
    """

    agent: str
    model: str | None = None
    prices: TokenPrices | None = None
    slots: int | None = None
    billed: float = 1.0

    def __post_init__(self) -> None:
        if not (isfinite(self.billed) and self.billed > 0):
            raise StudyError(f"agent {self.agent!r} bills {self.billed} tokens for each; expected a number above 0")
        if self.slots is not None and self.slots < 1:
            raise StudyError(f"agent {self.agent!r} says it serves {self.slots} requests at once; expected 1 or more")


@dataclass(slots=True)
class Costs:
    """What agents' work really cost them, in micro-units by agent: what was served, and what broke off."""

    served: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    broken: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def total(self) -> int:
        """Of all."""
        return sum(self.served.values()) + sum(self.broken.values())


class Disturbed:
    """Traffic on agents that break answers off and misstate what they are.

    A request that nobody served ends its conversation, as one that is declined does.

    Args:
        load: the traffic.
        fleet: the agents as they are.
        seed: of what breaks.
        breaks: how often all agents break off.
        statements: of some of the agents, at most one each.
        lost: is told of each request that nobody served although it was not declined, as if it had been.

    Raises:
        StudyError: a statement is of no agent of the fleet, or an agent makes two.
    """

    def __init__(
        self,
        load: Traffic,
        fleet: Sequence[SimulatedAgent],
        seed: int,
        breaks: Breaks | None = None,
        statements: Sequence[Statement] = (),
        lost: Callable[[Declined], None] = lambda end: None,
    ) -> None:
        self._load, self._seed, self._lost = load, seed, lost
        self._fleet = {agent.name: agent for agent in fleet}
        self._breaks = breaks or Breaks()
        self._statements = {one.agent: one for one in statements}
        unknown = self._statements.keys() - self._fleet.keys()
        if unknown or len(self._statements) < len(statements):
            raise StudyError(
                f"statements of {', '.join(one.agent for one in statements)}; expected one each, of some of: "
                f"{', '.join(self._fleet)}"
            )
        #: What agents' work really cost.
        self.costs = Costs()

    @property
    def stated(self) -> tuple[SimulatedAgent, ...]:
        """The fleet at the prices that it states."""
        return tuple(self._stating(agent) for agent in self._fleet.values())

    def _stating(self, agent: SimulatedAgent) -> SimulatedAgent:
        said = self._statements.get(agent.name)
        return agent if said is None or said.prices is None else replace(agent, prices=said.prices)

    @property
    def title(self) -> str:
        """As the traffic's."""
        return self._load.title

    @property
    def measured(self) -> str:
        """As the traffic's."""
        return self._load.measured

    @property
    def turns(self) -> int:
        """As the traffic's."""
        return self._load.turns

    @property
    def names(self) -> Sequence[str]:
        """As the traffic's."""
        return self._load.names

    @property
    def types(self) -> Mapping[str, Preferences]:
        """As the traffic's."""
        return self._load.types

    def bidder(self, name: str) -> str:
        """As the traffic's."""
        return self._load.bidder(name)

    def graded(self, name: str) -> bool:
        """As the traffic's."""
        return self._load.graded(name)

    def quality(self, agent: SimulatedAgent, request: str) -> float:
        """The chance that the agent of this name is right, whatever it states."""
        return self._load.quality(self._fleet[agent.name], request)

    def grade(self, request: Request, text: str) -> float | None:
        """As the traffic's."""
        return self._load.grade(request, text)

    def engine(self, agent: SimulatedAgent) -> Engine:
        """The engine of the agent of this name, as it is, which states and breaks off as it does here."""
        true = self._fleet[agent.name]
        said = self._statements.get(agent.name, Statement(agent.name))
        return _DisturbedEngine(self._load.engine(true), true, said, self._breaks, self._seed, self.costs)

    async def hold(self, ask: Ask, progress: Progress = lambda: None) -> None:
        """As the traffic does."""
        loop = asyncio.get_running_loop()

        async def asked(request: Request, reported: Preferences) -> Served | Declined:
            began = loop.time()
            try:
                return await ask(request, reported)
            except Stopped:
                raise
            except (BrokenOffError, EngineError) as error:
                offer = Offer(request, reported, (), request.turn, began)
                end = Declined(loop.time(), offer, str(error), "no_room")
                self._lost(end)
                return end

        await self._load.hold(asked, progress)


class _DisturbedEngine:
    """A simulated engine behind an agent that misstates and breaks off."""

    def __init__(
        self, engine: Engine, agent: SimulatedAgent, said: Statement, breaks: Breaks, seed: int, costs: Costs
    ) -> None:
        self.name = engine.name
        self._engine, self._agent, self._said = engine, agent, said
        self._breaks, self._seed, self._costs = breaks, seed, costs

    async def start(self) -> EngineInfo:
        """What it states."""
        info = await self._engine.start()
        said = self._said
        return replace(
            info,
            model=info.model if said.model is None else said.model,
            slots=info.slots if said.slots is None else said.slots,
        )

    async def stop(self) -> None:
        """As the engine."""
        await self._engine.stop()

    async def tokenize(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """As the engine."""
        return await self._engine.tokenize(messages)

    async def reset_cache(self) -> None:
        """As the engine."""
        await self._engine.reset_cache()

    async def open(self, call: Call, deadline: float = inf) -> Answer:
        """As the engine: runs of a study ask for whole answers."""
        return await self._engine.open(call, deadline)

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        """Serve a request, or break it off when its first token is computed, before or after that is seen.

        Raises:
            BrokenOffError: its first token was seen.
            EngineError: it was not.
        """
        breaks = self._breaks.drawn(self._seed, self.name, request.id)
        if breaks is None:
            completion = await self._engine.generate(request, first_token)
            self._costs.served[self.name] += self._cost(completion)
            return self._billed(completion, request)
        # Whatever is asked for one token is done once that is there.
        seen = breaks == "after"
        begun = await self._engine.generate(replace(request, max_tokens=1), first_token if seen else None)
        self._costs.broken[self.name] += self._cost(begun)
        said = f"engine {self.name} broke off request {request.id} {breaks} its first token"
        raise BrokenOffError(said) if seen else EngineError(said)

    def _cost(self, completion: Completion) -> int:
        """What it cost the agent, in micro-units."""
        counts = (completion.prompt_tokens, completion.cached_tokens, completion.output_tokens)
        return int(to_micros(self._agent.prices.cost(*counts), name="true cost"))

    def _billed(self, completion: Completion, request: Request) -> Completion:
        times = self._said.billed
        if times == 1.0:
            return completion
        prompt = min(round(times * completion.prompt_tokens), self._agent.shape.max_model_len)
        return replace(
            completion,
            prompt_tokens=prompt,
            cached_tokens=min(round(times * completion.cached_tokens), prompt),
            output_tokens=min(round(times * completion.output_tokens), request.max_tokens),
            # Ids would give it away.
            token_ids=(),
        )
