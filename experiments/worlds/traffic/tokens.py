"""Requests of a trace, of which only lengths, beginnings in common and moments are known.

They come at their moments whatever became of those before: who recorded a trace did not wait for our answers either.
An answer's tokens belong to no later prompt, as far as anybody can tell from a trace, so hits on them are not counted.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.traces import RequestTrace
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.answers import TableAnswers, engine_of
from experiments.worlds.traffic.dialogues import Draw
from experiments.worlds.traffic.player import Player, Prompt, tokens_named
from experiments.worlds.traffic.traffic import ALONE, Ask, Progress, Within, begin_all, conversation_of
from mechanisms import Preferences
from runtime import Message, Request

#: Prompts that are kept built: what an engine asks for was tokenised shortly before.
_BUILT = 256


class TokenTraffic:
    """A trace as traffic: every conversation of the trace is one, and every request without one.

    Args:
        trace: what was asked when.
        bidders: how many there are, where the trace names none; conversations are dealt to them at random.
        preferences: draws a bidder's true type, where the trace states none.
        seed: of what is drawn.
        answers: scores that stand for quality: each conversation is taken to ask a question of this table. Without,
            every answer counts as right, whoever gives it.
        within: of a mix, how it is a part.

    Raises:
        StudyError: there is no bidder, a bidder states two types, or a conversation is of two bidders.
    """

    def __init__(
        self,
        trace: RequestTrace,
        *,
        bidders: int,
        preferences: Draw,
        seed: int,
        answers: AnswerTable | None = None,
        within: Within = ALONE,
    ) -> None:
        if bidders < 1:
            raise StudyError(f"{bidders} bidders; there must be one at least")
        rng = np.random.default_rng(seed)
        self.title = trace.title
        self.trace, self._within = trace, within
        #: Prompts share blocks with those of the same file, and of no other.
        self.space = trace.sha256 or within.part
        size = len(trace.at_s)
        given = trace.conversation or ("",) * size
        taken = set(given)
        said = [f"{within.part}{name or _unnamed(k, taken)}" for k, name in enumerate(given)]
        place: dict[str, int] = {}
        self._at = np.array([place.setdefault(name, len(place)) for name in said])
        self._names, self._place = list(place), place
        self._turn = _counted(self._at)
        drawn = [preferences(rng) for _ in range(bidders)]
        dealt = rng.integers(bidders, size=len(place))
        self._owner = [f"{within.bidders}bidder-{k}" for k in dealt]
        self._types = {f"{within.bidders}bidder-{k}": one for k, one in enumerate(drawn)}
        if trace.bidder is not None:
            mine = {name: drawn[k % bidders] for k, name in enumerate(dict.fromkeys(trace.bidder))}
            self._owner = [f"{within.bidders}{name}" for name in _owners(trace, self._at, self._names)]
            self._types = {f"{within.bidders}{name}": one for name, one in mine.items()}
        if trace.worth is not None or trace.delay_cost is not None:
            self._types = self._types | self._stated(trace)
        self._answers = None
        if answers is not None:
            asked = rng.integers(len(answers.questions), size=len(place))
            rows = _Rows({name: int(row) for name, row in zip(place, asked, strict=True)})
            self._answers = TableAnswers(answers, rows, seed)
        self._prompts = _Prompts(self)

    def _stated(self, trace: RequestTrace) -> dict[str, Preferences]:
        """Preferences as the trace has them.

        Raises:
            StudyError: a bidder has two.
        """
        found: dict[str, Preferences] = {}
        for k, talk in enumerate(self._at.tolist()):
            owner = self._owner[talk]
            drawn = self._types[owner]
            stated = Preferences(
                drawn.worth if trace.worth is None else float(trace.worth[k]),
                drawn.delay_cost if trace.delay_cost is None else float(trace.delay_cost[k]),
            )
            if found.setdefault(owner, stated) != stated:
                raise StudyError(
                    f"request {k} of {trace.title}: bidder {owner!r} states worth {stated.worth:g} and delay cost "
                    f"{stated.delay_cost:g}, and stated {found[owner].worth:g} and {found[owner].delay_cost:g} before; "
                    "a bidder has one type: give others a name of their own"
                )
        return found

    @property
    def measured(self) -> str:
        """Where the quality of answers comes from."""
        return "every answer counts as right" if self._answers is None else self._answers.measured

    @property
    def turns(self) -> int:
        """Requests in all."""
        return len(self.trace.at_s)

    @property
    def names(self) -> Sequence[str]:
        """Conversations, in order of their first request."""
        return self._names

    @property
    def types(self) -> Mapping[str, Preferences]:
        """Every bidder's true preferences."""
        return self._types

    def bidder(self, name: str) -> str:
        """Whose a conversation is."""
        return self._owner[self._place[name]]

    def graded(self, name: str) -> bool:
        """By the table, or as right where no other part of a mix is graded."""
        return self._answers is not None or not self._within.graded

    def quality(self, agent: SimulatedAgent, request: str) -> float:
        """The chance that an agent is right."""
        return 1.0 if self._answers is None else self._answers.quality(agent, request)

    def grade(self, request: Request, text: str) -> float | None:
        """1 or 0; None where answers are only taken to be right beside others that are graded."""
        if self._answers is None:
            return None if self._within.graded else 1.0
        return self._answers.grade(request.id, text)

    def reply(self, agent: SimulatedAgent, request: str) -> str:
        """What an agent says."""
        return "right" if self._answers is None else self._answers.reply(agent, request)

    def engine(self, agent: SimulatedAgent) -> Player:
        """An engine for the trace's tokens.

        Raises:
            StudyError: it cannot take the longest prompt.
        """
        self.require_room(agent)
        return Player(engine_of(agent, self), self.prompts, partial(self.reply, agent))

    def require_room(self, agent: SimulatedAgent) -> None:
        """Have an agent take the longest prompt.

        Raises:
            StudyError: it cannot.
        """
        longest = self.trace.prompt_tokens + self.trace.output_tokens
        most = min(agent.shape.max_model_len, (agent.shape.cache_blocks - 1) * agent.shape.block_size)
        worst = int(longest.argmax())
        if longest[worst] > most:
            raise StudyError(
                f"request {worst} of {self.title} has {longest[worst]} tokens with its answer, and agent "
                f"{agent.name!r} takes {most}; cut prompts (`longest` of a Trace, `clipped` of its requests) or give "
                "agents more"
            )

    @property
    def prompts(self) -> Mapping[str, Prompt]:
        """Those of the requests that are being served, by id."""
        return self._prompts

    @property
    def starts_s(self) -> Sequence[float]:
        """When each request comes, in seconds from the first."""
        found: list[float] = (self.trace.at_s - self.trace.at_s[0]).tolist()
        return found

    async def hold(self, ask: Ask, progress: Progress = lambda: None) -> None:
        """Ask everything at its moment."""
        await begin_all(self.starts_s, lambda k: self.begin(k, ask, progress))

    async def begin(self, k: int, ask: Ask, progress: Progress) -> None:
        """Ask the request of this number, now."""
        talk = int(self._at[k])
        name, owner = f"{self._names[talk]}/{self._turn[k]}", self._owner[talk]
        most = max(int(self.trace.output_tokens[k]), 1)
        request = Request(name, owner, (Message("user", name),), most, self._names[talk], int(self._turn[k]))
        self._prompts.at(name, k)
        try:
            await ask(request, self._types[owner])
        finally:
            self._prompts.forget(name)
        progress()


class _Rows(Mapping[str, int]):
    """The question of a request: its conversation's."""

    def __init__(self, by_conversation: Mapping[str, int]) -> None:
        self._by = by_conversation

    def __getitem__(self, request: str) -> int:
        return self._by[conversation_of(request)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by)

    def __len__(self) -> int:
        return len(self._by)


class _Prompts(Mapping[str, Prompt]):
    """Prompts of the requests that are being served, built when they are asked for."""

    def __init__(self, traffic: TokenTraffic) -> None:
        self._traffic = traffic
        self._row: dict[str, int] = {}
        self._built: OrderedDict[str, Prompt] = OrderedDict()

    def at(self, request: str, row: int) -> None:
        """A request came."""
        self._row[request] = row

    def forget(self, request: str) -> None:
        """It is done with."""
        del self._row[request]
        self._built.pop(request, None)

    def __getitem__(self, request: str) -> Prompt:
        found = self._built.get(request)
        if found is None:
            found = self._built[request] = self._build(request, self._row[request])
            while len(self._built) > _BUILT:
                self._built.popitem(last=False)
        return found

    def __contains__(self, request: object) -> bool:
        return request in self._row

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)

    def _build(self, request: str, row: int) -> Prompt:
        trace = self._traffic.trace
        count = int(trace.prompt_tokens[row])
        tokens: list[int] = []
        for block in () if trace.blocks is None else trace.blocks[row]:
            tokens += tokens_named(f"{self._traffic.space}/block/{block}", trace.block)
        del tokens[count:]
        tokens += tokens_named(f"{request}/rest", count - len(tokens))
        return Prompt(tuple(tokens), tuple(tokens_named(f"{request}/answer", max(int(trace.output_tokens[row]), 1))))


def _unnamed(k: int, taken: set[str]) -> str:
    """What the conversation of a request without one is called: by its row, and unlike any that has a name."""
    name = f"{k:07d}"
    while name in taken:
        name = f"_{name}"
    return name


def _owners(trace: RequestTrace, at: NDArray[np.int64], names: Sequence[str]) -> list[str]:
    """Each conversation's bidder, as the trace has them.

    Raises:
        StudyError: a conversation has two.
    """
    assert trace.bidder is not None
    found: dict[int, str] = {}
    for k, (talk, name) in enumerate(zip(at.tolist(), trace.bidder, strict=True)):
        if found.setdefault(talk, name) != name:
            raise StudyError(
                f"request {k} of {trace.title}: conversation {names[talk]!r} is of bidder {name!r}, and was of "
                f"{found[talk]!r} before; a conversation has one bidder: give others a name of their own"
            )
    return [found[talk] for talk in range(len(names))]


def _counted(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the same group came before, for each."""
    seen: dict[int, int] = {}
    found = np.zeros(len(groups), np.int64)
    for k, group in enumerate(groups.tolist()):
        found[k] = seen.get(group, 0)
        seen[group] = found[k] + 1
    return found
