"""Requests of a trace, of which only lengths, beginnings in common and moments are known.

They come at their moments whatever became of those before: who recorded a trace did not wait for our answers either.
An answer's tokens belong to no later prompt, as far as anybody can tell from a trace, so hits on them are not counted.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.traces import RequestTrace
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.answers import TableAnswers
from experiments.worlds.traffic.dialogues import Draw
from experiments.worlds.traffic.player import Player, Prompt, tokens_named
from experiments.worlds.traffic.traffic import Ask, Progress, conversation_of
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

    Raises:
        StudyError: there is no bidder.
    """

    def __init__(
        self,
        trace: RequestTrace,
        *,
        bidders: int,
        preferences: Draw,
        seed: int,
        answers: AnswerTable | None = None,
    ) -> None:
        if bidders < 1:
            raise StudyError(f"{bidders} bidders; there must be one at least")
        rng = np.random.default_rng(seed)
        self.title = trace.title
        self.trace = trace
        size = len(trace.at_s)
        said = [name or f"{k:07d}" for k, name in enumerate(trace.conversation or ("",) * size)]
        place: dict[str, int] = {}
        self._at = np.array([place.setdefault(name, len(place)) for name in said])
        self._names, self._place = list(place), place
        self._turn = _counted(self._at)
        drawn = [preferences(rng) for _ in range(bidders)]
        dealt = rng.integers(bidders, size=len(place))
        self._owner = [f"bidder-{k}" for k in dealt]
        self._types = {f"bidder-{k}": one for k, one in enumerate(drawn)}
        if trace.bidder is not None:
            mine = {name: drawn[k % bidders] for k, name in enumerate(dict.fromkeys(trace.bidder))}
            for k, name in zip(self._at, trace.bidder, strict=True):
                self._owner[k] = name
            self._types = mine
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
        """Always: by the table, or as right."""
        return True

    def quality(self, agent: SimulatedAgent, request: str) -> float:
        """The chance that an agent is right."""
        return 1.0 if self._answers is None else self._answers.quality(agent, request)

    def grade(self, request: Request, text: str) -> float | None:
        """1 or 0."""
        return 1.0 if self._answers is None else self._answers.grade(request.id, text)

    def engine(self, agent: SimulatedAgent) -> Player:
        """An engine for the trace's tokens.

        Raises:
            StudyError: it cannot take the longest prompt.
        """
        longest = self.trace.prompt_tokens + self.trace.output_tokens
        most = min(agent.shape.max_model_len, (agent.shape.cache_blocks - 1) * agent.shape.block_size)
        worst = int(longest.argmax())
        if longest[worst] > most:
            raise StudyError(
                f"request {worst} of {self.title} has {longest[worst]} tokens with its answer, and agent "
                f"{agent.name!r} takes {most}; cut the trace with `clipped({most})` or give agents more"
            )
        answers = self._answers
        said = (lambda request: "right") if answers is None else (lambda request: answers.reply(agent, request))
        return Player(agent.name, self._prompts, agent.step_time, agent.shape, said, agent.model)

    async def hold(self, ask: Ask, progress: Progress = lambda: None) -> None:
        """Ask everything at its moment."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        start = float(self.trace.at_s[0])
        try:
            async with asyncio.TaskGroup() as asking:
                for k, at in enumerate(self.trace.at_s):
                    late = began + float(at) - start - loop.time()
                    if late > 0:
                        await asyncio.sleep(late)
                    asking.create_task(self._ask(k, ask, progress))
        except* Exception as group:
            raise group.exceptions[0] from None

    async def _ask(self, k: int, ask: Ask, progress: Progress) -> None:
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

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)

    def _build(self, request: str, row: int) -> Prompt:
        trace = self._traffic.trace
        count = int(trace.prompt_tokens[row])
        tokens: list[int] = []
        for block in () if trace.blocks is None else trace.blocks[row]:
            tokens += tokens_named(f"block/{block}", trace.block)
        del tokens[count:]
        tokens += tokens_named(f"{request}/rest", count - len(tokens))
        return Prompt(tuple(tokens), tuple(tokens_named(f"{request}/answer", max(int(trace.output_tokens[row]), 1))))


def _counted(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the same group came before, for each."""
    seen: dict[int, int] = {}
    found = np.zeros(len(groups), np.int64)
    for k, group in enumerate(groups.tolist()):
        found[k] = seen.get(group, 0)
        seen[group] = found[k] + 1
    return found
