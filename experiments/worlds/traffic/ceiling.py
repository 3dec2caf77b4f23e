"""What share of prompts could be in caches: what of all of them somebody has sent before, whatever part it was of."""

from collections.abc import Iterable

from experiments.data import conversation
from experiments.routers.plain.texts import alike
from experiments.traces.trace import seen_before
from experiments.worlds.traffic.answers import possible_replies
from experiments.worlds.traffic.dialogues import Conversation, DialogueTraffic
from experiments.worlds.traffic.mixed import MixedTraffic
from experiments.worlds.traffic.tokens import TokenTraffic
from runtime.engines.simulated.tokens import cut_answer, encode_chat


def hit_ceiling(load: DialogueTraffic | TokenTraffic | MixedTraffic) -> float | None:
    """The share of all prompt tokens that one unbounded cache, shared by all agents, would have seen before.

    Nobody is declined, and turns of dialogues are answered as recorded. Of a mix it is that of the union: what two
    parts have in common, such as instructions or blocks of one trace's file, is new only once. None where nothing is
    known of what a trace's prompts share.
    """
    parts = list(load.parts.values()) if isinstance(load, MixedTraffic) else [load]
    traces: dict[str, list[TokenTraffic]] = {}
    for part in parts:
        if isinstance(part, TokenTraffic):
            traces.setdefault(part.space, []).append(part)
    seen, total = _of_talks(
        _whole(one, part.max_tokens)
        for part in parts
        if isinstance(part, DialogueTraffic)
        for one in part.conversations
    )
    for of_one_file in traces.values():
        found = seen_before([one.trace for one in of_one_file])
        if found is None:
            return None
        seen, total = seen + found[0], total + found[1]
    return seen / total


#: The last prompt of a conversation, which of its tokens no answer made, and tokens of all of its prompts.
_Whole = tuple[tuple[int, ...], tuple[bool, ...], int]


def _of_talks(talks: Iterable[_Whole]) -> tuple[int, int]:
    """Tokens seen before, and all, of the prompts of conversations.

    Prompts that begin alike are one path of a tree, whose every node is new once, or never if an answer made it.
    """
    total = new = 0
    last: tuple[int, ...] = ()
    for prompt, asked, tokens in sorted(talks):
        total += tokens
        new += sum(asked[alike(last, prompt) :])
        last = prompt
    return total - new, total


def _whole(one: Conversation, max_tokens: int) -> _Whole:
    asked: list[bool] = []
    replies: list[str] = []
    prompt: tuple[int, ...] = ()
    total = 0
    for number, turn in enumerate(one.dialogue.turns):
        prompt = encode_chat(conversation(one.dialogue, number, replies))
        asked += [True] * (len(prompt) - len(asked))
        total += len(prompt)
        text, made = cut_answer(possible_replies(turn.answers)[0], max_tokens)
        asked += [False] * len(made)
        replies.append(text)
    return prompt, tuple(asked[: len(prompt)]), total
