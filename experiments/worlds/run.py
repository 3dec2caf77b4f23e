"""A study: the same dialogues, bidders and engines under one policy after another, and what was measured.

Nothing here knows whether engines are real. The workload, the bidders' true preferences and the order of everything
drawn depend on the seed alone, so that policies meet the same world.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from experiments.data import Corpus, Dialogue, conversation
from experiments.data.chats import Schedule
from experiments.data.scoring import answer_quality
from mechanisms import Preferences
from mechanisms.settlement import Settlement
from prediction import TokenPrices
from runtime import Declined, Engine, EngineInfo, Ledger, Policy, Request, RoundRules, Router, Served
from runtime.events import Subscriber
from runtime.rounds.records import RoundStatistics
from runtime.rounds.rounds import Watch

#: Credits that bidders take a turn to cost.
_TURN_COST = 2.0

#: Called after every finished request.
Progress = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A dialogue and its bidder, with their true preferences and the time at which they begin (seconds)."""

    name: str
    dialogue: Dialogue
    bidder: str
    preferences: Preferences
    starts_s: float


@dataclass(frozen=True, slots=True)
class Workload:
    """Who talks about what, and when."""

    title: str
    conversations: tuple[Conversation, ...]
    think_time_s: float
    max_tokens: int

    @property
    def turns(self) -> int:
        """Requests in all, if none is declined."""
        return sum(len(one.dialogue.turns) for one in self.conversations)


@dataclass(frozen=True, slots=True)
class PolicyRun:
    """What happened under one policy with one seed."""

    policy: str
    seed: int
    served: tuple[Served, ...]
    declined: tuple[Declined, ...]
    preferences: dict[str, Preferences]
    statistics: RoundStatistics
    agents: tuple[EngineInfo, ...]
    seconds: float


def workload(
    corpora: Sequence[Corpus],
    schedule: Schedule,
    *,
    bidders: int,
    preferences: Callable[[np.random.Generator], Preferences],
    max_tokens: int,
    seed: int,
) -> Workload:
    """Dialogues of several corpora in shuffled order, handed to bidders in turn; one preference per bidder.

    Args:
        corpora: their dialogues are used whole; cut them with `Corpus.first`.
        schedule: one start per dialogue.
        preferences: draws a bidder's true type.
    """
    rng = np.random.default_rng(seed)
    types = [preferences(rng) for _ in range(bidders)]
    dialogues = [dialogue for corpus in corpora for dialogue in corpus.dialogues]
    order = rng.permutation(len(dialogues))
    conversations = tuple(
        Conversation(
            f"{k:04d}/{dialogues[i].id}",
            dialogues[i],
            f"bidder-{k % bidders}",
            types[k % bidders],
            schedule.starts_s[k],
        )
        for k, i in enumerate(order)
    )
    title = ", ".join(corpus.title for corpus in corpora)
    return Workload(title, conversations, schedule.think_time_s, max_tokens)


@dataclass(slots=True)
class _Collected:
    served: list[Served] = field(default_factory=list)
    declined: list[Declined] = field(default_factory=list)


async def run_policy(
    policy: Policy,
    load: Workload,
    engines: Sequence[Engine],
    prices: Sequence[TokenPrices],
    *,
    seed: int,
    rounds: RoundRules,
    ledger: Ledger,
    settlement: Settlement | None = None,
    progress: Progress = lambda: None,
    watch: Watch | None = None,
    subscribers: Sequence[Subscriber] = (),
) -> PolicyRun:
    """Hold every conversation of a workload under one policy; engines must be running, with empty caches.

    Raises:
        EngineError: every engine died.
        Exception: what `watch` raises, which sees every outcome of an auction, or what the policy raises as it learns.
    """
    gold = answers_of(load, graded=True)
    holding: list[asyncio.Task[None]] = []

    def stop_holding(error: BaseException) -> None:
        holding[0].cancel()

    router = Router(
        engines,
        policy,
        prices,
        rounds=rounds,
        ledger=ledger,
        settlement=settlement,
        grade=lambda request, text: answer_quality(text, gold[request.id]),
        watch=watch,
        subscribers=subscribers,
        on_error=stop_holding,
    )
    loop = asyncio.get_running_loop()
    began = loop.time()
    collected = _Collected()
    await router.start()
    try:
        holding.append(asyncio.create_task(_hold(router, load, collected, progress)))
        await holding[0]
    finally:
        # Raises what a policy failed to learn, which ended the conversations.
        await router.stop()
    return PolicyRun(
        policy.name,
        seed,
        tuple(collected.served),
        tuple(collected.declined),
        {one.bidder: one.preferences for one in load.conversations},
        router.statistics,
        tuple(router.infos),
        loop.time() - began,
    )


async def _hold(router: Router, load: Workload, collected: _Collected, progress: Progress) -> None:
    try:
        async with asyncio.TaskGroup() as talks:
            for one in load.conversations:
                talks.create_task(_talk(router, one, load, collected, progress))
    except* Exception as group:
        raise group.exceptions[0] from None


async def _talk(router: Router, one: Conversation, load: Workload, collected: _Collected, progress: Progress) -> None:
    await asyncio.sleep(one.starts_s)
    replies: list[str] = []
    for turn in range(len(one.dialogue.turns)):
        messages = conversation(one.dialogue, turn, replies)
        request = Request(_request_id(one, turn), one.bidder, messages, load.max_tokens, one.dialogue.id, turn)
        result = await router.submit(request, reported(one, turn))
        progress()
        if isinstance(result, Declined):
            collected.declined.append(result)
            for _ in range(turn + 1, len(one.dialogue.turns)):
                progress()
            return
        collected.served.append(result)
        replies.append(result.completion.text)
        await asyncio.sleep(load.think_time_s)


def reported(one: Conversation, turn: int) -> Preferences:
    """What a truthful bidder says of a turn: their type, and what being declined would end.

    Nobody knows what the rest of a conversation will bring; each later turn counts as half a right answer within a
    second at `_TURN_COST` credits, or as nothing if that is a loss.
    """
    later = len(one.dialogue.turns) - turn - 1
    each = one.preferences.worth / 2 - one.preferences.delay_cost - _TURN_COST
    return replace(one.preferences, stake=later * max(each, 0.0) if one.dialogue.graded else 0.0)


def answers_of(load: Workload, *, graded: bool = False) -> dict[str, tuple[str, ...]]:
    """Recorded answers by request id; with `graded`, none for dialogues whose answers are no ground to grade by."""
    return {
        _request_id(one, turn): () if graded and not one.dialogue.graded else one.dialogue.turns[turn].answers
        for one in load.conversations
        for turn in range(len(one.dialogue.turns))
    }


def _request_id(one: Conversation, turn: int) -> str:
    return f"{one.name}/{turn}"
