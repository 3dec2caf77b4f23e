"""What no router could exceed on the same traffic, whatever it knew: a bound, and not what anybody could reach.

Every request is served by whichever agent is best for it, with nobody else there, from a cache that holds all it
could possibly hold: what earlier turns left at every agent at once, and what any other conversation of the workload
begins with. It is sent as it arrives. A bidder may stop at whichever turn is best for welfare, and being declined costs
nothing.

Each of these is only better than the truth, so the sum bounds the welfare of `play` (true worth times skill, less
delay, less cost) of every policy at this seed. Contention, evictions and what is unknown beforehand are all left out;
they are what lies between a router and the bound.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, inf

from experiments.data import conversation
from experiments.routers.plain.texts import alike
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.answers import possible_replies
from experiments.worlds.traffic.dialogues import Conversation, DialogueTraffic
from prediction import TokenPrices
from runtime import Message, StepTime
from runtime.engines.simulated.tokens import cut_answer, encode, encode_chat

#: An agent, how long its steps take, what it charges.
_Offer = tuple[SimulatedAgent, StepTime, TokenPrices]


@dataclass(frozen=True, slots=True)
class _Least:
    """The fewest tokens that a turn can come to.

    `held` of the prompt's may be cached, in whole blocks where `exact`: where the prompt's length is known.
    """

    prompt: int
    held: int
    exact: bool
    output: int

    def fresh(self, block_size: int) -> int:
        """To compute."""
        held = min(self.held, self.prompt - 1)
        return self.prompt - (held // block_size * block_size if self.exact else held)


def hindsight(
    load: DialogueTraffic, fleet: Sequence[SimulatedAgent], prices: TokenPrices | None = None
) -> tuple[float, ...]:
    """The most welfare that each conversation could come to, in credits, in the workload's order.

    Args:
        prices: of every agent, where they are not its own.
    """
    offers = [(one, one.step_time, one.prices if prices is None else prices) for one in fleet]
    room = min(min(one.shape.max_model_len, (one.shape.cache_blocks - 1) * one.shape.block_size) for one in fleet)
    held = _held([_said(one) for one in load.conversations])
    return tuple(
        _most(one, _turns(one, shared, load.max_tokens, room), offers)
        for one, shared in zip(load.conversations, held, strict=True)
    )


def _most(one: Conversation, turns: Sequence[_Least], offers: Sequence[_Offer]) -> float:
    """Served up to the best turn to stop at."""
    worth = one.preferences.worth if one.dialogue.graded else 0.0
    total = most = 0.0
    for least in turns:
        total += max((_gain(least, worth, one.preferences.delay_cost, *offer) for offer in offers), default=-inf)
        most = max(most, total)
    return most


def _gain(
    least: _Least, worth: float, delay_cost: float, agent: SimulatedAgent, step: StepTime, prices: TokenPrices
) -> float:
    """Of one turn, served at an idle engine; `-inf` where its model cannot hold it."""
    if least.prompt >= agent.shape.max_model_len:
        return -inf
    fresh = least.fresh(agent.shape.block_size)
    pairs = fresh * (2 * least.prompt - fresh + 1) // 2
    more = ceil(fresh / agent.shape.max_num_batched_tokens) - 1
    seconds = step.overhead_s + step.seconds(fresh, 1, 0, pairs) + more * step.base_s
    # A cached token may cost more than a fresh one: then nothing is taken to be cached.
    cached = least.prompt - fresh if prices.cached <= prices.fresh else 0
    return worth * agent.skill - delay_cost * seconds - prices.cost(least.prompt, cached, least.output)


def _said(one: Conversation) -> list[tuple[int, ...]]:
    """What its bidder adds to the prompt with each turn, whatever is answered: tokens."""
    first = encode_chat(conversation(one.dialogue, 0, ()))
    return [first, *(encode_chat([Message("user", turn.question)]) for turn in one.dialogue.turns[1:])]


def _turns(one: Conversation, shared: Sequence[int], max_tokens: int, room: int) -> list[_Least]:
    """Every turn, after the shortest replies there can be."""
    found: list[_Least] = []
    prompt = longest = 0
    for t, (turn, said, held) in enumerate(zip(one.dialogue.turns, _said(one), shared, strict=True)):
        prompt, longest = prompt + len(said), longest + len(said)
        answers = [cut_answer(text, max_tokens) for text in possible_replies(turn.answers)]
        # Where there may be no room for all of an answer, it may be a single token.
        whole = longest + max_tokens <= room
        output = min(len(ids) for _, ids in answers) if whole else 1
        found.append(_Least(prompt, prompt - len(said) + held, t == 0, output))
        replies = [len(encode(text)) for text, _ in answers]
        prompt += (min(replies) if whole else 0) + 1
        longest += max(replies) + 1
    return found


def _held(conversations: Sequence[Sequence[tuple[int, ...]]]) -> list[list[int]]:
    """For each turn of each conversation, how many tokens of what it adds another conversation may have had too.

    Only one whose bidder has said all the same before can have the same prefix.
    """
    groups: dict[int, list[tuple[tuple[int, ...], int, int]]] = defaultdict(list)
    names: dict[tuple[int, tuple[int, ...]], int] = {}
    for k, turns in enumerate(conversations):
        before = 0
        for t, said in enumerate(turns):
            groups[before].append((said, k, t))
            before = names.setdefault((before, said), len(names) + 1)
    held = [[0] * len(turns) for turns in conversations]
    for group in groups.values():
        group.sort()
        for (one, k, t), (other, i, s) in pairwise(group):
            common = alike(one, other)
            held[k][t], held[i][s] = max(held[k][t], common), max(held[i][s], common)
    return held
