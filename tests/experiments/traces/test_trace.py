"""Traces: what they hold and refuse, how they are cut, what a cache could do for them."""

import numpy as np
import pytest

from experiments.errors import DatasetError
from experiments.traces import RequestTrace
from experiments.traces.trace import continued


def _ids(*lists: list[int]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(each, np.int64) for each in lists)


def _trace(**changed: object) -> RequestTrace:
    given: dict[str, object] = {
        "title": "four.csv",
        "at_s": [0.0, 1.0, 1.0, 4.0],
        "prompt_tokens": [20, 25, 10, 30],
        "output_tokens": [1, 2, 0, 4],
        "blocks": _ids([0, 1], [0, 2, 3], [0], [0, 2, 4]),
        "block": 10,
        "conversation": ("a", "b", "", "b"),
        "bidder": ("x", "y", "x", "y"),
        "worth": [1.0, 2.0, 3.0, 4.0],
        "delay_cost": [0.1, 0.2, 0.3, 0.4],
    }
    return RequestTrace(**{**given, **changed})  # type: ignore[arg-type]


def test_the_ceiling_counts_tokens_of_blocks_seen_before() -> None:
    # Seen before: block 0 three times, block 2 once, ten tokens each, of 85.
    assert _trace().hit_ceiling() == pytest.approx(40 / 85)
    # The last block is begun only: equal prompts share its five tokens, no more.
    same = _trace(prompt_tokens=[25] * 4, blocks=_ids(*[[0, 1, 2]] * 4))
    assert same.hit_ceiling() == pytest.approx(0.75)
    assert _trace(blocks=None, block=0).hit_ceiling() is None


def test_the_ceiling_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    prompts = rng.integers(1, 60, 300)
    names = tuple(str(k) for k in rng.integers(0, 20, 300))
    blocks = continued(prompts, names, 7)
    trace = _trace(
        at_s=np.arange(300.0),
        prompt_tokens=prompts,
        output_tokens=prompts,
        blocks=blocks,
        block=7,
        conversation=names,
        bidder=None,
        worth=None,
        delay_cost=None,
    )
    seen: set[int] = set()
    hit = 0
    for tokens, ids in zip(prompts.tolist(), blocks, strict=True):
        for k, one in enumerate(ids.tolist()):
            hit += (one in seen) * min(7, tokens - 7 * k)
        seen.update(ids.tolist())
    assert trace.hit_ceiling() == pytest.approx(hit / prompts.sum())


def test_a_conversation_goes_on_from_the_prompt_before() -> None:
    prompts = np.array([25, 8, 34, 12, 12, 25, 5, 5])
    names = ("a", "b", "a", "a", "a", "b", "", "")
    blocks = [ids.tolist() for ids in continued(prompts, names, 10)]
    assert blocks[0] == [0, 1, 2]
    assert blocks[2][:2] == [0, 1] and len(set(blocks[2]) - {0, 1, 2}) == 2
    assert blocks[3][0] == 0 and blocks[3][1] not in blocks[2]
    assert blocks[4] == blocks[3]
    assert not set(blocks[5]) & set(blocks[1])
    assert blocks[6] != blocks[7]


def test_cuts_keep_requests_whole() -> None:
    trace = _trace()
    part = trace.between(1.0, 4.0)
    assert (part.at_s.tolist(), part.prompt_tokens.tolist()) == ([0.0, 0.0], [25, 10])
    assert (part.conversation, part.bidder) == (("b", ""), ("y", "x"))
    assert part.worth is not None and part.worth.tolist() == [2.0, 3.0]
    assert part.blocks is not None and [ids.tolist() for ids in part.blocks] == [[0, 2, 3], [0]]
    assert part.title == "four.csv, from 1 s to 4 s"
    assert trace.first(3).title == "four.csv, first 3 of 4 requests" and len(trace.first(3)) == 3
    assert trace.first(4) is trace
    assert trace.scaled(2.0).at_s.tolist() == [0.0, 0.5, 0.5, 2.0]
    short = trace.clipped(15)
    assert short.prompt_tokens.tolist() == [15, 15, 10, 15]
    assert short.blocks is not None and [len(ids) for ids in short.blocks] == [2, 2, 1, 2]
    assert trace.clipped(30) is trace


def test_a_trace_in_numbers() -> None:
    stats = _trace().stats()
    assert (stats.requests, stats.seconds, stats.per_s, stats.conversations, stats.bidders) == (4, 4.0, 1.0, 2, 2)
    assert stats.prompt_tokens == 21.25


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"at_s": []}, "no request"),
        ({"at_s": [0.0, 2.0, 1.0, 4.0]}, "request 2: at_s is 1.0, before"),
        ({"at_s": [0.0, np.nan, 1.0, 4.0]}, "request 1: at_s is nan"),
        ({"prompt_tokens": [20, 25, 0, 30]}, "request 2: prompt_tokens is 0; expected 1"),
        ({"output_tokens": [1, -2, 0, 4]}, "request 1: output_tokens is -2"),
        ({"output_tokens": [1]}, r"output_tokens has the shape \(1,\)"),
        ({"worth": [1.0, 2.0, 3.0, -4.0]}, "request 3: worth is -4.0"),
        ({"bidder": ("x",)}, "bidder has 1 names"),
        ({"blocks": _ids([0, 1], [0, 2], [0], [0, 2, 4])}, "request 1: it has 2 blocks"),
        ({"block": 0}, "blocks of 0 tokens"),
    ],
)
def test_what_is_no_trace_is_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        _trace(**changed)


def test_cuts_that_leave_nothing_are_refused() -> None:
    for cut in (
        lambda trace: trace.first(0),
        lambda trace: trace.between(5, 9),
        lambda trace: trace.scaled(0),
        lambda trace: trace.clipped(0),
    ):
        with pytest.raises(DatasetError, match=r"four\.csv"):
            cut(_trace())
