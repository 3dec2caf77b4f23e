"""Conversations whose turns wait for the answer before: dialogues, and questions, which are dialogues of one turn."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import overload

import numpy as np

from experiments.answers import AnswerTable
from experiments.data import Corpus, Dialogue, conversation
from experiments.data.chats import Schedule
from experiments.data.layouts.dialogue import Turn
from experiments.errors import StudyError
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.answers import Answers, AssumedAnswers, TableAnswers, engine_of
from experiments.worlds.traffic.traffic import ALONE, Ask, Progress, Within, begin_all, conversation_of
from mechanisms import Preferences
from runtime import Declined, Request, SimulatedEngine

#: Credits that bidders take a turn to cost.
_TURN_COST = 2.0

#: Draws a bidder's true preferences.
Draw = Callable[[np.random.Generator], Preferences]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A dialogue and its bidder, with their true preferences and the time at which they begin (seconds)."""

    name: str
    dialogue: Dialogue
    bidder: str
    preferences: Preferences
    starts_s: float


@dataclass(frozen=True, slots=True)
class Dealt(Sequence[Conversation]):
    """Conversations made when they are asked for: a long run is to stay small.

    Args:
        dialogues: what is talked about.
        order: of each conversation, which of them.
        starts_s: of each, when it begins.
        types: of the bidders, to whom conversations are dealt in turn.
        within: what names begin with.
    """

    dialogues: tuple[Dialogue, ...]
    order: tuple[int, ...]
    starts_s: tuple[float, ...]
    types: tuple[Preferences, ...]
    within: Within = ALONE

    def __len__(self) -> int:
        return len(self.order)

    @overload
    def __getitem__(self, k: int) -> Conversation: ...

    @overload
    def __getitem__(self, k: slice) -> tuple[Conversation, ...]: ...

    def __getitem__(self, k: int | slice) -> Conversation | tuple[Conversation, ...]:
        if isinstance(k, slice):
            return tuple(self[one] for one in range(*k.indices(len(self))))
        k = range(len(self))[k]
        dialogue, owner = self.dialogues[self.order[k]], k % len(self.types)
        name, bidder = f"{self.within.part}{k:04d}/{dialogue.id}", f"{self.within.bidders}bidder-{owner}"
        return Conversation(name, dialogue, bidder, self.types[owner], self.starts_s[k])


# asyncio names a task after what it runs, and would write out all of it.
@dataclass(frozen=True, slots=True, repr=False, eq=False)
class DialogueTraffic:
    """Who talks about what, and when; `answers` is by the seed's assumed skills unless given.

    `part` is what dialogues are called by, before their own name, to whoever serves them.
    """

    title: str
    conversations: Sequence[Conversation]
    think_time_s: float
    max_tokens: int
    seed: int = 0
    given: Answers | None = None
    part: str = ""
    answers: Answers = field(init=False)
    _place: dict[str, int] = field(init=False)
    #: Which dialogue a conversation is, by its name: each request asks several times.
    dialogues: dict[str, Dialogue] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_place", {})
        object.__setattr__(self, "dialogues", {})
        for k, one in enumerate(self.conversations):
            self._place[one.name], self.dialogues[one.name] = k, one.dialogue
        assumed = AssumedAnswers(answers_of(self), answers_of(self, graded=True), self.seed)
        object.__setattr__(self, "answers", self.given or assumed)

    @property
    def measured(self) -> str:
        """Where the quality of answers comes from."""
        return self.answers.measured

    @property
    def turns(self) -> int:
        """Requests in all, if none is declined."""
        return sum(len(one.dialogue.turns) for one in self.conversations)

    @property
    def names(self) -> Sequence[str]:
        """Conversations, in order."""
        return list(self._place)

    @property
    def types(self) -> Mapping[str, Preferences]:
        """Every bidder's true preferences."""
        return {one.bidder: one.preferences for one in self.conversations}

    def named(self, name: str) -> Conversation:
        """The conversation of this name."""
        return self.conversations[self._place[name]]

    def bidder(self, name: str) -> str:
        """Whose a conversation is."""
        return self.named(name).bidder

    def graded(self, name: str) -> bool:
        """Whether its answers can be graded."""
        return self.dialogues[name].graded

    def quality(self, agent: SimulatedAgent, request: str) -> float:
        """The chance that an agent is right, 0 where nobody can tell."""
        return self.answers.quality(agent, request)

    def grade(self, request: Request, text: str) -> float | None:
        """How right an answer is; None where nobody can tell."""
        return self.answers.grade(request.id, text)

    def reply(self, agent: SimulatedAgent, request: str) -> str:
        """What an agent answers."""
        return self.answers.reply(agent, request)

    def engine(self, agent: SimulatedAgent) -> SimulatedEngine:
        """A simulated engine that answers as the agent does."""
        return engine_of(agent, self)

    @property
    def starts_s(self) -> Sequence[float]:
        """When each conversation begins, in seconds from the start."""
        return [one.starts_s for one in self.conversations]

    async def hold(self, ask: Ask, progress: Progress = lambda: None) -> None:
        """Hold every conversation; one ends with its last turn, or with the first that is declined."""
        await begin_all(self.starts_s, lambda k: self.begin(k, ask, progress))

    async def begin(self, k: int, ask: Ask, progress: Progress) -> None:
        """Hold the conversation of this number, from now on."""
        one = self.conversations[k]
        replies: list[str] = []
        for turn in range(len(one.dialogue.turns)):
            messages = conversation(one.dialogue, turn, replies)
            name = f"{self.part}{one.dialogue.id}"
            request = Request(request_id(one, turn), one.bidder, messages, self.max_tokens, name, turn)
            result = await ask(request, reported(one, turn))
            progress()
            if isinstance(result, Declined):
                for _ in range(turn + 1, len(one.dialogue.turns)):
                    progress()
                return
            replies.append(result.completion.text)
            await asyncio.sleep(self.think_time_s)


def dialogue_traffic(
    corpora: Sequence[Corpus],
    schedule: Schedule,
    *,
    bidders: int,
    preferences: Draw,
    max_tokens: int,
    seed: int,
    table: AnswerTable | None = None,
    repeat: int = 1,
    within: Within = ALONE,
) -> DialogueTraffic:
    """Dialogues of several corpora in shuffled order, handed to bidders in turn; one preference per bidder.

    Args:
        corpora: their dialogues are used whole; cut them with `Corpus.first`.
        schedule: one start per conversation.
        preferences: draws a bidder's true type.
        table: what models answered to every turn; its ids are `dialogue/turn`.
        repeat: how many conversations each dialogue is: all are held once, then all again, shuffled anew.
        within: of a mix, how it is a part.

    Raises:
        StudyError: the table lacks a turn.
    """
    rng = np.random.default_rng(seed)
    types = [preferences(rng) for _ in range(bidders)]
    dialogues = [dialogue for corpus in corpora for dialogue in corpus.dialogues]
    order = tuple(i for _ in range(repeat) for i in rng.permutation(len(dialogues)).tolist())
    starts_s = within.cut(schedule.starts_s)
    conversations = Dealt(tuple(dialogues), order[: len(starts_s)], starts_s, tuple(types), within)
    title = ", ".join(corpus.title for corpus in corpora)
    answers = None if table is None else TableAnswers(table, _rows(conversations, table), seed)
    return DialogueTraffic(title, conversations, schedule.think_time_s, max_tokens, seed, answers, within.part)


def _rows(conversations: Sequence[Conversation], table: AnswerTable) -> dict[str, int]:
    place = {name: k for k, name in enumerate(table.ids)}
    rows = {}
    for one in conversations:
        for turn in range(len(one.dialogue.turns)):
            name = f"{one.dialogue.id}/{turn}"
            if name not in place:
                raise StudyError(
                    f"{table.title} has no answers to turn {name!r}; record them with `iemas record answers`"
                )
            rows[request_id(one, turn)] = place[name]
    return rows


def question_traffic(
    table: AnswerTable,
    starts_s: Sequence[float],
    *,
    bidders: int,
    preferences: Draw,
    max_tokens: int,
    seed: int,
    output: int = 64,
    within: Within = ALONE,
) -> DialogueTraffic:
    """Questions of a table, drawn without replacement as far as they last, each a conversation of one turn.

    Args:
        starts_s: when each is asked; as many as there are to ask.
        output: tokens of an answer where the table keeps none.
        within: of a mix, how they are a part.
    """
    rng = np.random.default_rng(seed)
    types = [preferences(rng) for _ in range(bidders)]
    starts_s, size = within.cut(starts_s), len(table.questions)
    rounds = -(-len(starts_s) // size)
    drawn = np.concatenate([rng.permutation(size) for _ in range(rounds)])[: len(starts_s)]
    owners = rng.integers(bidders, size=len(starts_s))
    talks = tuple(
        Conversation(
            f"{within.part}{k:06d}",
            Dialogue(f"question-{row}", "", (Turn(table.questions[row]),), table.title, graded=True),
            f"{within.bidders}bidder-{owners[k]}",
            types[owners[k]],
            float(starts_s[k]),
        )
        for k, row in enumerate(drawn)
    )
    rows = {request_id(one, 0): int(row) for one, row in zip(talks, drawn, strict=True)}
    title = f"{len(starts_s)} questions of {table.title}"
    return DialogueTraffic(title, talks, 0.0, max_tokens, seed, TableAnswers(table, rows, seed, output), within.part)


def reported(one: Conversation, turn: int) -> Preferences:
    """What a truthful bidder says of a turn: their type, and what being declined would end.

    Nobody knows what the rest of a conversation will bring; each later turn counts as half a right answer within a
    second at `_TURN_COST` credits, or as nothing if that is a loss.
    """
    later = len(one.dialogue.turns) - turn - 1
    each = one.preferences.worth / 2 - one.preferences.delay_cost - _TURN_COST
    return replace(one.preferences, stake=later * max(each, 0.0) if one.dialogue.graded else 0.0)


def answers_of(load: DialogueTraffic, *, graded: bool = False) -> Mapping[str, tuple[str, ...]]:
    """Recorded answers by request id; with `graded`, none for dialogues whose answers are no ground to grade by."""
    return _Recorded(load, graded)


@dataclass(frozen=True, slots=True)
class _Recorded(Mapping[str, tuple[str, ...]]):
    load: DialogueTraffic
    graded: bool

    def __getitem__(self, request: str) -> tuple[str, ...]:
        name, _, turn = request.rpartition("/")
        dialogue = self.load.dialogues[name]
        return () if self.graded and not dialogue.graded else dialogue.turns[int(turn)].answers

    def __iter__(self) -> Iterator[str]:
        return (request_id(one, k) for one in self.load.conversations for k in range(len(one.dialogue.turns)))

    def __len__(self) -> int:
        return self.load.turns


def request_id(one: Conversation, turn: int) -> str:
    """Of a turn of a conversation."""
    return f"{one.name}/{turn}"


__all__ = ["Conversation", "DialogueTraffic", "conversation_of", "dialogue_traffic", "question_traffic"]
