"""A body goes on byte for byte, but for what is cut out, asked for and renamed."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.gateway.problems import Problem
from runtime.gateway.requests.splice import MAX_DEPTH, read

SPACE = st.text(" \t\r\n", max_size=2)
NUMBERS = st.sampled_from(
    [
        "0",
        "-0",
        "1",
        "12",
        "1.10",
        "-1.0e+5",
        "1E400"[:3] + "3",
        "123456789012345678901234567890",
        "0.30000000000000004",
    ]
)
STRINGS = st.text(max_size=6).map(json.dumps) | st.text('\u2028é東\x7f{}[],:"\\iemas', max_size=8).map(
    lambda text: json.dumps(text, ensure_ascii=False)
)
SCALARS = (
    NUMBERS | STRINGS | st.sampled_from(["true", "false", "null", '"\\ud83d\\ude00"', '"\\/"', '"}"', '",\\"a\\":"'])
)


@st.composite
def spaced(draw: st.DrawFn, opened: str, closed: str, parts: list[str]) -> str:
    inner = ",".join(draw(SPACE) + part + draw(SPACE) for part in parts)
    return opened + (inner or draw(SPACE)) + closed


@st.composite
def member(draw: st.DrawFn, key: str, value: str) -> str:
    return f"{key}{draw(SPACE)}:{draw(SPACE)}{value}"


def nested(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    keys = st.sampled_from(['"a"', '"model"', '"iemas"', '"stream"', '"\\u0061"'])
    items = st.lists(values, max_size=3)
    pairs = st.lists(st.tuples(keys, values).flatmap(lambda pair: member(*pair)), max_size=3)
    return items.flatmap(lambda parts: spaced("[", "]", parts)) | pairs.flatmap(lambda parts: spaced("{", "}", parts))


VALUES = st.recursive(SCALARS, nested, max_leaves=8)
OTHERS = st.dictionaries(
    st.sampled_from(["seed", "messages", "a", "tools", "é", "x y", "{", "user"]), VALUES, max_size=5
)


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """A body, with any of the members that are edited, in any order, spaced anyhow."""
    values = {"model": '"auto"'} | draw(OTHERS)
    if draw(st.booleans()):
        values["iemas"] = draw(st.sampled_from(['{"worth": 5}', "{ }", '{"worth":1.10 ,"stake":0}', "null"]))
    values |= draw(st.sampled_from([{}, {"stream": "true"}, {"stream": "false"}]))
    if values.get("stream") == "true":
        options = ["", "null", "{}", '{ "x":1 }', '{"include_usage":false, "x": [1.10]}', '{"include_usage" : true}']
        chosen = draw(st.sampled_from(options))
        values |= {"stream_options": chosen} if chosen else {}
    parts = [draw(member(_key(draw, name), values[name])) for name in draw(st.permutations(list(values)))]
    return draw(SPACE) + draw(spaced("{", "}", parts)) + draw(SPACE)


def _key(draw: st.DrawFn, name: str) -> str:
    spelled = json.dumps(name, ensure_ascii=draw(st.booleans()))
    return f'"\\u{ord(name[0]):04x}{spelled[2:]}' if name[0].isascii() and draw(st.integers(0, 5)) == 0 else spelled


def parsed(text: bytes | str) -> Any:
    """Members in order, numbers as they are written."""
    return json.loads(text, object_pairs_hook=lambda pairs: ("object", pairs), parse_int=str, parse_float=str)


def edited(text: str) -> list[tuple[str, Any]]:
    """What an engine ought to read, by a plain parser: the only place where order is not the client's are usages."""
    pairs = [pair for pair in parsed(text)[1] if pair[0] != "iemas"]
    named = dict(pairs)
    if named.get("stream") is not True:
        return pairs
    options = named["stream_options"][1] if named.get("stream_options") else []
    if "include_usage" in dict(options):
        options = [(key, True if key == "include_usage" else value) for key, value in options]
    else:
        options = [("include_usage", True), *options]
    if "stream_options" in named:
        return [(key, ("object", options) if key == "stream_options" else value) for key, value in pairs]
    at = [key for key, _ in pairs].index("stream") + 1
    return [*pairs[:at], ("stream_options", ("object", options)), *pairs[at:]]


@given(bodies())
@settings(max_examples=400, deadline=None)
def test_an_engine_reads_the_same_but_for_the_edits(text: str) -> None:
    raw = text.encode()
    body = read(raw)
    assert parsed(body.bytes_for())[1] == edited(text)
    sent = body.bytes_for('tiny "model"')
    assert parsed(sent)[1] == [(key, 'tiny "model"' if key == "model" else value) for key, value in edited(text)]
    again = read(sent)
    assert again.members.keys() >= body.members.keys() - {"iemas"}
    for name, old in body.members.items():
        if name in ("model", "iemas", "stream_options"):
            continue
        new = again.members[name]
        assert raw[old.key : old.end] == sent[new.key : new.end], f"{name} was touched"
    assert parsed(raw[body.members["model"].start : body.members["model"].end]) == "auto"
    usual = parsed(body.bytes_for(None, 64))[1]
    assert [pair for pair in usual if pair[0] != "max_tokens"] == edited(text)
    assert dict(usual)["max_tokens"] == "64"


@given(bodies())
@settings(max_examples=50, deadline=None)
def test_nothing_to_edit_is_the_same_bytes(text: str) -> None:
    raw = text.encode()
    body = read(raw)
    if "iemas" not in body.members and not body.hides_usage:
        assert body.bytes_for("auto") == raw


@given(bodies(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_name_that_comes_twice_is_found_whatever_its_values(text: str, data: st.DataObject) -> None:
    names = list(read(text.encode()).members)
    name = data.draw(st.sampled_from(names))
    value = data.draw(VALUES)
    whole = text.rstrip()[:-1] + f",{json.dumps(name)}:{value}" + "}"
    with pytest.raises(Problem, match=r"twice") as refusal:
        read(whole.encode())
    assert refusal.value.param == name
    at = int(str(refusal.value).partition("byte ")[2].partition(";")[0])
    assert whole.encode()[at:].startswith(json.dumps(name).encode()), "the position is the second key's"


@given(st.binary(max_size=40) | bodies().map(lambda text: text.encode()[:-1]) | VALUES.map(str.encode))
@settings(max_examples=300, deadline=None)
def test_anything_else_is_refused_in_one_line(raw: bytes) -> None:
    try:
        read(raw)
    except Problem as problem:
        assert problem.status == 400 and "\n" not in str(problem)
        json.loads(problem.body())


@pytest.mark.parametrize(
    ("inside", "words", "param"),
    [
        ('"x": NaN', "NaN is no JSON number, at byte 19", None),
        ('"é": -Infinity', "-Infinity is no JSON number", None),
        ('"x": "\\ud800"', "half of a surrogate pair", None),
        ('"x": 1e999', "infinity", None),
        ('"x": 01', "leading zero", None),
        ('"x": ' + "[" * 300 + "]" * 300, "254 levels deep", None),
        ('"x": ' + '{"a":' * 300 + "1" + "}" * 300, "254 levels deep", None),
        ('"x": ' + "[" * 100_000 + "]" * 100_000, "254 levels of nesting", None),
        ('"stream": "true"', "send true or false", "stream"),
        ('"stream": 1', "stream is 1", "stream"),
        ('"stream": true, "stream_options": 3', "stream_options is a number", "stream_options"),
        ('"stream": true, "stream_options": {"include_usage": 1}', "send true", "stream_options.include_usage"),
        ('"stream": true, "stream_options": {"a": 1, "a": 2}', "'a' twice", "a"),
        ('"iemas": {"worth": 1, "worth": 2}', "'worth' twice", "worth"),
        ('"iemas": {"worth": 1, "w\\u006frth": 2}', "'worth' twice", "worth"),
        ('"n": 0', "n is 0; send an integer of at least 1", "n"),
        ('"n": true', "n is True", "n"),
        ('"n": 2.0', "n is 2.0", "n"),
        ('"max_tokens": "12"', "max_tokens is a string", "max_tokens"),
        ('"max_completion_tokens": -1', "is -1", "max_completion_tokens"),
        ('"cache_salt": 3', "cache_salt is 3; send a string", "cache_salt"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(inside: str, words: str, param: str | None) -> None:
    with pytest.raises(Problem) as refusal:
        read(('{"model":"a", ' + inside + "}").encode())
    assert words in str(refusal.value)
    assert (refusal.value.status, refusal.value.param) == (400, param)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "zero-length"), (b"[]", "a JSON list"), (b"{}", "no `model`"), (b'{"model": ""}', "name one of"),
        (b'{"model": 3}', "model is number"), (b'\xef\xbb\xbf{"model":"a"}', "BOM"),
        (b'{"model":"\xff"}', "byte 10 (0xff)"),
        (b'{"model":"\xed\xa0\x80"}', "no UTF-8 at byte 10"), (b'{"model":"a"} x', "at byte 14"),
    ],
)  # fmt: skip
def test_what_is_no_body_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(Problem) as refusal:
        read(raw)
    assert words in str(refusal.value)


def test_a_crafted_double_name_hides_nothing() -> None:
    """A walk by the last value's length would step over `model` here and see only the cheap one."""
    inner = b'1,"model":"dear"'
    for last in (b'"' + b"x" * (len(inner) - 2) + b'"', inner[:1], b"12"):
        with pytest.raises(Problem, match="twice"):
            read(b'{"a":' + inner + b',"b":2,"a":' + last + b',"model":"cheap"}')


def test_nesting_is_bounded_where_it_says() -> None:
    def nest(depth: int) -> bytes:
        return b'{"model":"a","x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    read(nest(MAX_DEPTH))
    with pytest.raises(Problem, match="levels deep"):
        read(nest(MAX_DEPTH + 2))


def test_a_body_beyond_the_limit_is_413() -> None:
    raw = b'{"model":"a"}'
    assert read(raw, limit=len(raw)).model == "a"
    with pytest.raises(Problem) as refusal:
        read(raw, limit=len(raw) - 1)
    assert refusal.value.status == 413


def test_what_the_gateway_learns() -> None:
    body = read(
        b'{"model":"auto","messages":[{"role":"user","content":"hi"}],"n":3,"max_tokens":5,"max_completion_tokens":7,'
        b'"cache_salt":"s","tools":[{}],"service_tier":"flex","iemas":{"worth":2},"stream":true,'
        b'"stream_options":{"include_usage":true}}'
    )
    assert (body.n, body.max_tokens, body.cache_salt, body.has_tools) == (3, 7, "s", True)
    assert (body.service_tier, body.iemas, body.stream, body.hides_usage) == ("flex", {"worth": 2}, True, False)
    assert bytes(body.text) == b'[{"role":"user","content":"hi"}]'
    prompts = (b'"x"', b"[1,2]", b'["x","y"]', b"[[1],[2],[3]]")
    assert [read(b'{"model":"a","prompt":%s}' % prompt, asks="prompt").prompts for prompt in prompts] == [1, 1, 2, 3]


def test_a_null_bound_takes_the_operators() -> None:
    body = read(b'{"max_tokens": null ,"model":"a"}')
    assert body.bytes_for("a", 9) == b'{"max_tokens": 9 ,"model":"a"}'
    assert read(b'{"model":"a","max_tokens":3}').bytes_for("b", 9) == b'{"model":"b","max_tokens":3}'


@pytest.mark.parametrize("hidden", [False, True])
def test_nesting_is_told_however_deep_we_are_ourselves(hidden: bool) -> None:
    """Parsers that stop at the stack's end stop earlier in a server; a name that comes twice may hide nesting."""
    deep = b"[" * 900 + b"]" * 900
    raw = b'{"model": "m", "a": ' + deep + (b', "a": 1' if hidden else b"") + b"}"

    def inside(calls: int) -> None:
        if calls:
            inside(calls - 1)
        else:
            read(raw)

    with pytest.raises(Problem, match="levels deep"):
        inside(200)
