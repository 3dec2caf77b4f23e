"""What engines say, each in its own dialect, and what is no answer at all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.engines.chunks import Tally, Usage, context_lengths, reason_of
from runtime.errors import Broken


def told(*chunks: Any, choices: int = 1) -> Tally:
    tally = Tally("http://x", choices)
    for chunk in chunks:
        tally.take(chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode())
    return tally


def said(index: int = 0, end: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": end}]}


def counts(prompt: Any = 4, output: Any = 3, details: Any = None) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "prompt_tokens_details": details}
    return {"choices": [], "usage": usage}


def test_what_is_null_or_unknown_is_passed_over() -> None:
    nulls = {"choices": None, "usage": None, "error": None, "prompt_token_ids": None, "x": [1.10]}
    bare = {"choices": [{"index": 0, "delta": None}]}
    tally = told(nulls, bare, {}, said(content=None, role="assistant"), said(content="a"), said(end="stop"))
    assert (tally.text, tally.ended, tally.usage) == ("a", True, Usage(0, None, 1, reported=False))


def test_the_running_count_gives_way_to_what_the_engine_reports() -> None:
    tally = Tally()
    assert tally.usage is None
    assert not tally.take(json.dumps(said(role="assistant", content="")).encode())
    assert tally.usage is None
    assert tally.take(json.dumps(said(content="a")).encode())
    assert tally.usage == Usage(0, None, 1, reported=False)
    tally.take(b'{"choices":[{"index":0,"delta":{"content":"bc"},"token_ids":[1,2]}]}')
    assert tally.usage == Usage(0, None, 3, reported=False)
    tally.take(json.dumps(counts(details={"cached_tokens": 2})).encode())
    assert tally.usage == Usage(4, 2, 3, reported=True)


@pytest.mark.parametrize("details", [None, {}, {"cached_tokens": None}, {"audio_tokens": 0}])
def test_an_engine_that_does_not_tell_its_hits_is_not_said_to_have_none(details: Any) -> None:
    assert told(counts(details=details)).usage == Usage(4, None, 3, reported=True)


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_thinking_is_a_token_and_no_text(name: str) -> None:
    tally = told({"choices": [{"index": 0, "delta": {name: "hm"}}]})
    assert (tally.started, tally.text, tally.usage) == (True, "", Usage(0, None, 1, reported=False))


def test_calls_of_tools_are_tokens() -> None:
    assert told(said(tool_calls=[{"index": 0, "function": {"arguments": "{"}}])).started


def test_all_choices_must_end_and_the_first_is_the_text() -> None:
    tally = told(said(1, content="no"), said(0, content="yes"), said(1, "length"), choices=2)
    assert (tally.text, tally.ended) == ("yes", False)
    tally.take(json.dumps(said(0, "stop")).encode())
    assert tally.ended and tally.ends == {0: "stop", 1: "length"}
    both = {"choices": [*said(0, "stop", content="a")["choices"], *said(1, "stop", content="b")["choices"]]}
    assert told(both, choices=2).ended


def test_a_completion_has_its_text_beside_its_choice() -> None:
    chunk = {"choices": [{"index": 0, "text": "abc", "finish_reason": "stop"}]}
    assert told(chunk).text == "abc"


def test_a_body_is_read_as_its_chunks_are() -> None:
    tally = Tally()
    message = {"role": "assistant", "content": "hello", "reasoning_content": "hm"}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **{"usage": counts()["usage"]}}
    tally.take_body(json.dumps(body).encode())
    assert (tally.text, tally.ended, tally.done, tally.usage) == ("hello", True, True, Usage(4, None, 3, True))


NONSENSE: dict[str, Any] = {
    "no json": b"{half",
    "no object": [1],
    "a number": 5,
    "no utf-8": b'{"a": "\xff"}',
    "deep": b"[" * 100_000,
    "choices of numbers": {"choices": [3]},
    "no list": {"choices": 7},
    "no text": said(content=5),
    "no ids": {"choices": [{"index": 0, "delta": {}, "token_ids": ["a"]}]},
    "true as an id": {"choices": [{"index": 0, "delta": {}, "token_ids": [True]}]},
    "no counts": {"usage": {"prompt_tokens_details": {}}},
    "half a count": counts(output=1.5),
    "negative": counts(prompt=-1),
    "infinite": counts(output=float("inf")),
    "not a number": counts(output=float("nan")),
    "thirty digits": counts(prompt=10**30),
    "true": counts(output=True),
    "more hits than prompt": counts(details={"cached_tokens": 5}),
    "negative hits": counts(details={"cached_tokens": -1}),
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_is_the_engines(kind: str) -> None:
    with pytest.raises(Broken, match="http://x answered with nonsense") as caught:
        told(NONSENSE[kind])
    assert caught.value.status is None


@pytest.mark.parametrize("end", ["abort", "error"])
def test_an_engine_that_gives_up_has_not_ended(end: str) -> None:
    with pytest.raises(Broken, match="gave up"):
        told(said(end=end))


@pytest.mark.parametrize(
    ("error", "status"),
    [({"message": "m", "code": 503}, 503), ({"message": "m", "code": "x"}, 500), ("m", 500), ({"code": 7}, 500)],
)
def test_an_error_event_says_what_the_engine_said(error: Any, status: int) -> None:
    with pytest.raises(Broken) as caught:
        told({"error": error})
    assert (caught.value.status, json.loads(caught.value.body)) == (status, {"error": error})


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode))
def test_whatever_comes_is_read_or_broken(data: bytes) -> None:
    tally = Tally()
    try:
        tally.take(data)
        tally.take_body(data)
    except Broken:
        return
    assert tally.usage is None or tally.usage.output >= 0


def test_an_adapter_has_its_parents_context() -> None:
    cards = [
        {"id": "base", "max_model_len": 2048, "parent": None},
        {"id": "lora", "max_model_len": None, "parent": "base"},
        {"id": "lora of lora", "parent": "lora"},
        {"id": "own", "max_model_len": 64, "parent": "base"},
        {"id": "orphan", "max_model_len": None, "parent": "gone"},
        {"id": "circle", "parent": "circle"},
        {"id": "plain"},
    ]
    lengths = context_lengths({"data": cards})
    assert lengths == {
        "base": 2048, "lora": 2048, "lora of lora": 2048, "own": 64, "orphan": None, "circle": None, "plain": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": {"message": "m"}}', "m"),
        (b'{"detail": "d"}', "d"),
        (b'{"error": "e"}', "e"),
        (b'{"error": "e", "x": 1}', "e"),
        (b"", "no reason given"),
        (b"plain\xff", "plain\ufffd"),
    ],
)
def test_the_reason_is_found_wherever_it_is(body: bytes, reason: str) -> None:
    assert reason in reason_of(body)
