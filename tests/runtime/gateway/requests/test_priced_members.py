"""Members of a body that cost something: each is priced, or refused."""

import json
from typing import Any

import pytest

from mechanisms import find_mechanism
from runtime import Auction
from runtime.gateway.app import Gateway
from runtime.gateway.door.door import Door
from runtime.gateway.operators.watching import Watching
from runtime.gateway.problems import Problem
from runtime.gateway.requests.pieces import opening, pieces
from runtime.gateway.requests.splice import read
from tests.runtime.gateway.fleets import SMALL, fleet
from tests.runtime.gateway.simulated import CHAT, ask, chat, told

HELLO: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 8}


RICH: dict[str, Any] = {"iemas": {"worth": 10000}}


def admitted(path: str = CHAT, server: dict[str, Any] | None = None, **members: Any) -> Any:
    made = fleet(SMALL, **({} if server is None else {"server": server}))
    return Door.of(made).admit(path, [], json.dumps(HELLO | members).encode(), None)


def charged(*bodies: dict[str, Any]) -> list[float]:
    """What the auction predicts that each costs, in credits, in a gateway where answers have two tokens."""

    async def story(app: Gateway, watching: Watching) -> list[float]:
        for k in range(30):
            assert (await ask(app, CHAT, RICH | chat(f"warm up {k}") | {"max_tokens": 400})).status == 200
        prices = []
        for body in bodies:
            told = await ask(app, CHAT, RICH | body)
            assert told.status == 200, told.body
            prices.append(float(told.headers["x-iemas-price"]))
        return prices

    found: list[float] = _told(story)
    return found


def _told(story: Any) -> Any:
    return told(fleet(SMALL), story, policy=lambda: Auction(find_mechanism("vcg")))


def test_what_makes_answers_longer_or_more_is_in_the_price() -> None:
    """The output price of a token is 1; answers here have three tokens, and the forecast has learnt it."""
    plain = chat("hello there") | {"max_tokens": 400}
    base, least, forced, best = charged(
        plain, plain | {"min_tokens": 100}, plain | {"ignore_eos": True}, plain | {"best_of": 4}
    )
    assert base < 20
    assert base + 90 < least < base + 110 and base + 380 < forced
    assert best > base + 5


def test_answers_that_are_made_long_teach_nothing_of_others() -> None:
    plain = chat("hello there") | {"max_tokens": 400}
    before, *_, after = charged(plain, *[plain | {"ignore_eos": True}] * 20, plain)
    assert after == pytest.approx(before, rel=0.5)


def test_best_of_counts_like_n() -> None:
    assert admitted(best_of=8).body.generated == 8
    assert admitted(n=3, best_of=2).body.generated == 3
    with pytest.raises(Problem, match="best_of is 9; at most 8 answers"):
        admitted(best_of=9)
    with pytest.raises(Problem, match="6 answers to 2 prompts"):
        admitted("/v1/completions", prompt=["a", "b"], best_of=6)
    for odd in (0, -1, True, "2", 1.0):
        with pytest.raises(Problem, match="best_of"):
            admitted(best_of=odd)


def test_the_least_of_an_answer_is_within_its_most() -> None:
    assert admitted(min_tokens=5).least_tokens == 5 and admitted(min_tokens=0).least_tokens == 0
    assert admitted(ignore_eos=True).least_tokens == 8 and admitted(ignore_eos=False).least_tokens == 0
    with pytest.raises(Problem, match="min_tokens is 9; at most 8"):
        admitted(min_tokens=9)
    for member, odd in (("min_tokens", -1), ("min_tokens", "1"), ("ignore_eos", 1), ("ignore_eos", "true")):
        with pytest.raises(Problem, match=member):
            admitted(**{member: odd})


@pytest.mark.parametrize("priority", [1, -1, 0.5, "high", True, [0]])
def test_nobody_jumps_an_engines_queue(priority: Any) -> None:
    for server in ({}, {"refuse": []}):
        with pytest.raises(Problem, match="priority is nothing that clients may choose") as refusal:
            admitted(server=server, priority=priority)
        assert refusal.value.param == "priority"
    for harmless in (None, 0):
        assert admitted(priority=harmless).body.model == "auto"


def test_what_the_operator_lists_is_refused() -> None:
    for member in ("prompt_logprobs", "chat_template", "kv_transfer_params"):
        for value in (0, 1, "x", {}):
            with pytest.raises(Problem, match=f"{member} is not taken here"):
                admitted(**{member: value})
            assert admitted(server={"refuse": []}, **{member: value})
        assert admitted(**{member: None})
    with pytest.raises(Problem, match="echo is not taken here"):
        admitted(server={"refuse": ["echo"]}, echo=True)


def cut(**members: Any) -> list[int]:
    asks = "prompt" if "prompt" in members else "messages"
    return list(pieces(read(json.dumps(HELLO | members).encode(), asks=asks)))


def common(one: list[int], other: list[int]) -> int:
    return next((k for k, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))


def test_whatever_reaches_the_prompt_is_in_its_pieces() -> None:
    plain, long = cut(), "a text of some length. " * 20
    tools = [{"type": "function", "function": {"name": "look", "description": long}}]
    for member, value in (
        ("tools", tools),
        ("functions", [{"name": "look", "description": long}]),
        ("documents", [{"title": "t", "text": long}]),
        ("suffix", long),
        ("chat_template_kwargs", {"documents": long}),
    ):
        assert len(cut(**{member: value})) > len(plain) + len(long) // 4 - 4, member
        assert cut(**{member: None}) == plain
    longer = cut(tools=tools, messages=[*HELLO["messages"], {"role": "user", "content": "and more"}])
    assert common(cut(tools=tools), longer) > len(long) // 4, "prompts after the same tools begin alike"
    assert common(cut(suffix="x" * 50), plain) >= len(plain) - 1, "what comes after the prompt leaves its beginning"


def test_members_of_one_value_are_told_apart() -> None:
    value = [{"name": "look"}]
    kinds = [cut(tools=value), cut(functions=value), cut(documents=value), cut(cache_salt="look"), cut()]
    for k, one in enumerate(kinds):
        for other in kinds[:k]:
            assert common(one, other) == 0
    assert common(cut(tools=value, functions=[]), cut(tools=value, documents=[])) < len(cut(tools=value))


def opened(text: str) -> bytes:
    return opening(read(b'{"model": "auto", "messages": ' + text.encode() + b"}"))


def test_nobody_chooses_a_hub_by_spacing() -> None:
    first = opened('[{"role":"user","content":"hello there"}]')
    for same in (
        ' [ {"role" : "user" ,"content":"hello there" } ] ',
        '[{"content":"hello there","role":"user"}]',
        '[{"role":"user","content":"  hello \\n\\t there "}]',
        '[{"role":"user","content":"hello\\u0020there"}]',
        '[{"role":"user","content":"hello there"}, {"role":"assistant","content":"yes"}, {"role":"user"}]',
    ):
        assert opened(same) == first, same
    assert opened('[{"role":"user","content":"hello you"}]') != first
    assert opening(read(b'{"model": "auto", "prompt": "a  b"}', asks="prompt")) == b'"a b"'
    assert opening(read(b'{"model": "auto"}')) == b"null"
