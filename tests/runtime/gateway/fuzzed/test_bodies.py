"""Bodies that are none: cut off, too deep, named twice, not UTF-8, with odd numbers. Each is told and harms nobody."""

import json
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.gateway.requests.preferences import FIGURES
from tests.runtime.gateway.fuzzed.living import ADMIN_KEY, CHAT, ROOT, TIMES, Living

pytestmark = pytest.mark.slow

ASK: dict[str, Any] = {
    "model": "small",
    "messages": [{"role": "user", "content": "what is it?"}],
    "max_tokens": 2,
    "iemas": {"worth": 100},
}
ADMIN: dict[str, dict[str, Any]] = {
    f"{ROOT}/accounts": {"name": "bob", "limit": 5, "preferences": {"worth": 1.0}},
    f"{ROOT}/accounts/alice/credit": {"amount": 5, "reference": "r", "note": "n"},
    f"{ROOT}/accounts/alice/limit": {"limit": None},
    f"{ROOT}/accounts/alice/preferences": {"worth": 1.0, "deadline_s": 60.0},
    f"{ROOT}/accounts/alice/keys": {"name": "k", "requests_minute": 5, "spend_day": 5},
    f"{ROOT}/keys/none/revoke": {},
}
#: What clients may be told of one of these: it is served, it is none, or it is none that anybody serves.
CLIENTS = {200, 400, 402, 404, 413, 429, 503, 504}
OPERATORS = {200, 400, 404, 409, 413}

NUMBERS = st.sampled_from(
    [b"1e400", b"-1e400", b"9" * 400, b"-0", b"0.1e-400", b"NaN", b"Infinity", b"1" + b"0" * 5000, b"01", b"1.", b"+1"]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20), st.just("\x00"),
    st.builds(list), st.builds(dict), st.just("1"), st.integers(2**60, 2**70),
)  # fmt: skip


@st.composite
def broken(draw: st.DrawFn, body: dict[str, Any]) -> bytes:
    """A body with something wrong with it, perhaps."""
    value = json.loads(json.dumps(body))
    for _ in range(draw(st.integers(0, 2))):
        _replace(draw, value)
    raw = json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    return draw(st.sampled_from(KINDS))(draw, raw)


def _replace(draw: st.DrawFn, value: dict[str, Any]) -> None:
    """A member, or one of `iemas`, is of another kind."""
    inside = value.get("iemas")
    if isinstance(inside, dict) and draw(st.booleans()):
        inside[draw(st.sampled_from([*FIGURES, "other", "\x00", "\ud800"]))] = draw(LEAVES)
    else:
        value[draw(st.sampled_from([*value, "n", "stream", "stream_options", "service_tier", "stop"]))] = draw(LEAVES)


def _cut(draw: st.DrawFn, raw: bytes) -> bytes:
    return raw[: draw(st.integers(0, len(raw)))]


def _deep(draw: st.DrawFn, raw: bytes) -> bytes:
    depth = draw(st.sampled_from([10, 250, 254, 255, 1000, 20_000]))
    opened, closed = draw(st.sampled_from([(b"[", b"]"), (b'{"a":', b"}")]))
    return raw[:-1] + b', "deep": ' + opened * depth + b"1" + closed * draw(st.sampled_from([depth, 0])) + b"}"


def _odd_bytes(draw: st.DrawFn, raw: bytes) -> bytes:
    at = draw(st.integers(0, len(raw)))
    return (
        raw[:at] + draw(st.sampled_from([b"\xff", b"\x00", b"\xed\xa0\x80", b"\xc0\x80", b"\xef\xbb\xbf"])) + raw[at:]
    )


def _twice(draw: st.DrawFn, raw: bytes) -> bytes:
    name = draw(st.sampled_from(sorted(json.loads(raw)) or ["a"]))
    return raw[:-1] + (b"" if raw == b"{}" else b", ") + json.dumps(name).encode() + b": 1}"


def _number(draw: st.DrawFn, raw: bytes) -> bytes:
    names = sorted(json.loads(raw)) or ["a"]
    name = json.dumps(draw(st.sampled_from(names))).encode() + b": "
    return raw.replace(name, name + draw(NUMBERS) + b', "was": ', 1)


def _as_it_is(draw: st.DrawFn, raw: bytes) -> bytes:
    return raw


def _other(draw: st.DrawFn, raw: bytes) -> bytes:
    return draw(st.one_of(st.binary(max_size=30), st.sampled_from([b"", b"null", b"[]", b'"x"', b"1", b"{" * 300])))


KINDS = [_as_it_is, _cut, _deep, _odd_bytes, _twice, _number, _other]
often = settings(
    max_examples=150 * TIMES, deadline=None, database=None, derandomize=TIMES == 1,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


def innocent(gateway: Living) -> None:
    told = gateway.ask(CHAT, ASK)
    assert told.status == 200, told.body


@often
@given(raw=broken(ASK))
def test_whatever_a_client_sends_is_served_or_told_in_the_schema(gateway: Living, raw: bytes) -> None:
    told = gateway.ask(CHAT, raw)
    assert told.status in CLIENTS, told.body
    if told.status != 200:
        assert set(told.json()["error"]) == {"message", "type", "param", "code"}
        assert b"Traceback" not in told.body
    else:
        assert float(gateway.receipt(told)["price"]) >= 0


def test_nobody_else_was_harmed_and_nothing_of_it_was_logged(gateway: Living) -> None:
    innocent(gateway)
    assert gateway.faults() == ""


@often
@given(data=st.data())
def test_whatever_an_operator_sends_is_done_or_told_in_the_schema(gateway: Living, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(ADMIN)))
    raw = data.draw(broken(ADMIN[path]))
    told = gateway.ask(path, raw, admin=True)
    assert told.status in OPERATORS, (path, raw, told.body)
    if told.status != 200:
        assert set(told.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("token", [-1, 2**31, 2**63, 10**29])
def test_ids_that_no_vocabulary_has_stop_no_engine(gateway: Living, token: int) -> None:
    told = gateway.ask("/v1/completions", {"model": "small", "prompt": [5, token], "max_tokens": 2}, timeout=10)
    assert told.status == 400, told.body
    innocent(gateway)


@pytest.mark.parametrize("body", [b'{"amount": 1, "amount": 100}', b'{"amount": ' + b"[" * 50_000 + b"}"])
def test_an_operators_body_says_one_thing(gateway: Living, body: bytes) -> None:
    told = gateway.ask(f"{ROOT}/accounts/alice/credit", body, admin=True)
    assert told.status == 400, told.body


def test_an_operators_body_is_bounded_before_it_is_there(gateway: Living) -> None:
    """One that says that it is endless, and one that does not say."""
    host, _, port = gateway.admin.rpartition("/")[2].partition(":")
    for length in ("content-length: 100000000000", "transfer-encoding: chunked"):
        with socket.create_connection((host, int(port)), timeout=10) as client:
            head = f"POST {ROOT}/accounts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_KEY}\r\n{length}\r\n\r\n"
            client.sendall(head.encode())
            piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
            told = b""
            try:
                for _ in range(8):
                    client.sendall(piece)
                told = client.recv(4096)
            except (BrokenPipeError, ConnectionResetError):
                told = told or client.recv(4096)
            assert told.startswith(b"HTTP/1.1 413"), told[:200]
