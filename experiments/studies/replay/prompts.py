"""Tokens for prompts of which a trace knows only the lengths and the beginnings they have in common.

A block of a trace becomes the same tokens wherever its hash stands. Its hash is of all up to its end, so that prompts
have tokens in common exactly as far as they began alike, to a block. What an engine answers goes on as the next request
of the conversation does, the first that begins with the whole prompt: in a cache, an answer is part of what comes next.
"""

from experiments.worlds.traffic.player import Prompt, tokens_named
from runtime.traces.reading import Trace
from runtime.traces.records import Recorded


def prompts(trace: Trace) -> dict[str, Prompt]:
    """Every request's, by id.

    Pieces are counted as tokens at the ratio that engines measured; an answer that was not seen to its end is as long
    as answers were on average, and never longer than what was asked for.
    """
    ratio, mean = tokens_per_piece(trace), _mean_output(trace)
    width = max(1, round(trace.head.block * ratio))
    built: dict[str, list[int]] = {}
    following: dict[str, Recorded] = {}
    found: dict[str, Prompt] = {}
    for one in reversed(trace.requests):
        tokens = [token for block in one.blocks for token in tokens_named(block, width)]
        rest = round((one.pieces - len(one.blocks) * trace.head.block) * ratio)
        after = following.get(one.blocks[-1]) if one.blocks else None
        coming = [] if after is None else built[after.id][len(tokens) :]
        output = min(one.measured.output if one.measured is not None else mean, one.max_tokens)
        unseen = tokens_named(f"{one.id}/rest", rest + max(output, 1))
        line = [*coming, *unseen[len(coming) :]][: rest + max(output, 1)]
        tokens += line[:rest]
        found[one.id] = Prompt(tuple(tokens or line[:1]), tuple(line[rest:] or unseen[:1]))
        built[one.id] = tokens
        for block in one.blocks[:-1]:
            following[block] = one
    return found


def tokens_per_piece(trace: Trace) -> float:
    """Tokens that engines measured, over pieces, of what was served; 1 where nothing was."""
    served = [one for one in trace.requests if one.measured is not None and one.pieces]
    measured = sum(one.measured.prompt for one in served if one.measured is not None)
    return measured / sum(one.pieces for one in served) if measured else 1.0


def _mean_output(trace: Trace) -> int:
    outputs = [one.measured.output for one in trace.requests if one.measured is not None]
    return max(1, round(sum(outputs) / len(outputs))) if outputs else 32
