"""Several kinds of traffic at the same time, before the same engines: each request is asked, answered and graded as its
own part has it, and whatever prompts have in common is in one cache.
"""

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from functools import partial
from typing import cast

from experiments.errors import StudyError
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.answers import engine_of
from experiments.worlds.traffic.dialogues import DialogueTraffic
from experiments.worlds.traffic.player import Player, Prompt
from experiments.worlds.traffic.tokens import TokenTraffic
from experiments.worlds.traffic.traffic import Ask, Progress, begin_all, conversation_of
from mechanisms import Preferences
from runtime import Request, SimulatedEngine

#: Traffic that can be a part of a mix.
Part = DialogueTraffic | TokenTraffic


class MixedTraffic:
    """All conversations of several parts. Those that begin at one moment begin in the order of the parts.

    Args:
        parts: by name, each drawn `Within` the mix: no two have a conversation of one name.

    Raises:
        StudyError: a bidder has one type in a part and another in another.
    """

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self.parts = dict(parts)
        self.title = self._said({name: load.title for name, load in parts.items()})
        self._part = {name: part for part, load in parts.items() for name in load.names}
        self._types: dict[str, Preferences] = {}
        whose: dict[str, str] = {}
        for part, load in parts.items():
            for bidder, true in load.types.items():
                if self._types.setdefault(bidder, true) != true:
                    raise StudyError(
                        f"Mix: bidder {bidder!r} has one type in {whose[bidder]} and another in {part}; a bidder has "
                        "one: give parts bidders of their own (shared_bidders = false)"
                    )
                whose.setdefault(bidder, part)

    @property
    def measured(self) -> str:
        """Where the quality of answers comes from, part by part."""
        return self._said({name: load.measured for name, load in self.parts.items()})

    @property
    def turns(self) -> int:
        """Requests in all, if none is declined."""
        return sum(load.turns for load in self.parts.values())

    @property
    def names(self) -> Sequence[str]:
        """Conversations, part after part."""
        return list(self._part)

    @property
    def types(self) -> Mapping[str, Preferences]:
        """Every bidder's true preferences."""
        return self._types

    def part_of(self, request: str) -> str:
        """The name of the part that the request of this id is of."""
        return self._part[conversation_of(request)]

    def bidder(self, name: str) -> str:
        """Whose a conversation is."""
        return self.parts[self._part[name]].bidder(name)

    def graded(self, name: str) -> bool:
        """Whether its part can grade it."""
        return self.parts[self._part[name]].graded(name)

    def quality(self, agent: SimulatedAgent, request: str) -> float:
        """The chance that an agent is right, as its part has it."""
        return self.parts[self.part_of(request)].quality(agent, request)

    def grade(self, request: Request, text: str) -> float | None:
        """How right an answer is, as its part has it."""
        return self.parts[self.part_of(request.id)].grade(request, text)

    def reply(self, agent: SimulatedAgent, request: str) -> str:
        """What an agent answers, as its part has it."""
        return self.parts[self.part_of(request)].reply(agent, request)

    def engine(self, agent: SimulatedAgent) -> SimulatedEngine | Player:
        """One engine for all parts.

        Raises:
            StudyError: it cannot take a trace's longest prompt, or a part has no scores of its model; the message names
                the part.
        """
        for part, load in self.parts.items():
            try:
                if isinstance(load, TokenTraffic):
                    load.require_room(agent)
                load.quality(agent, f"{load.names[0]}/0")
            except StudyError as error:
                raise StudyError(f"{part}: {error}") from error
        engine = engine_of(agent, self)
        # A chain of mappings is only ever read here.
        known = [
            cast(MutableMapping[str, Prompt], load.prompts)
            for load in self.parts.values()
            if isinstance(load, TokenTraffic)
        ]
        return Player(engine, ChainMap(*known), partial(self.reply, agent)) if known else engine

    async def hold(self, ask: Ask, progress: Progress = lambda: None) -> None:
        """Begin every conversation and request at its moment; those of one moment part after part."""
        begun = [(load, k, at) for load in self.parts.values() for k, at in enumerate(load.starts_s)]
        await begin_all(
            [at for *_, at in begun],
            lambda n: begun[n][0].begin(begun[n][1], ask, progress),
        )

    def _said(self, by_part: Mapping[str, str]) -> str:
        """What is said of all parts at once, or of each."""
        texts = set(by_part.values())
        return texts.pop() if len(texts) == 1 else "; ".join(f"{name}: {text}" for name, text in by_part.items())
