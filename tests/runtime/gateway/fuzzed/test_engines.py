"""An engine that answers with anything: its client is told, nobody else is harmed, and money stays what it may be."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from sqlite3 import connect
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.gateway.serving.passing import credits
from tests.runtime.gateway.fuzzed.living import CHAT, ROOT, TIMES, Living, Told
from tests.runtime.gateway.fuzzed.odd_engine import chunk, whole

pytestmark = pytest.mark.slow

NUMBERS = count(1)
COUNTS = st.sampled_from([-1, 0, 1, 5, 2**31, 2**31 + 1, 2**63, 10**30, 1.5, 1e300, True, None, "5", [], {}])
#: A kibibyte of text that no byte may be cut out of.
TEXTS = st.sampled_from(["ab", "\u2028", "\u0085x", "\r\n", "é\U0001f600", "\x00", "data: [DONE]", '"', "}" * 5])
DONE = b"data: [DONE]\n\n"


@st.composite
def usages(draw: st.DrawFn) -> Any:
    """What an engine may say that it used."""
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    told = {name: draw(COUNTS) for name in names if draw(st.integers(0, 4))}
    if draw(st.booleans()):
        told["prompt_tokens_details"] = draw(st.one_of(st.none(), st.builds(lambda n: {"cached_tokens": n}, COUNTS)))
    return draw(st.sampled_from([told, told, None, [], "usage", 5]))


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Pieces of a stream, which begins well for a while perhaps."""
    events = [chunk(draw(TEXTS)) for _ in range(draw(st.integers(0, 3)))]
    events += draw(
        st.lists(
            st.one_of(
                st.builds(chunk, TEXTS),
                st.builds(lambda usage: chunk(usage=usage), usages()),
                st.builds(lambda text, end: chunk(text, end), TEXTS, st.sampled_from(["stop", "length", "abort"])),
                st.builds(lambda raw: b"data: " + raw + b"\n\n", st.binary(max_size=12)),
                st.sampled_from(
                    [
                        b"data: {\n\n", b"data: []\n\n", b"data: null\n\n", b": ping\n\n", b"\n\n", b"data\n\n",
                        b'data: {"choices": {}}\n\n', b'data: {"choices": [null]}\n\n', b'data: {"error": "x"}\n\n',
                        b'data: {"choices": [{"index": 1e400}]}\n\n', b'data: {"choices": [{"delta": "x"}]}\n\n',
                        b"data: " + b"[" * 5000 + b"\n\n", b'data: {"usage": {"prompt_tokens": NaN}}\n\n',
                        b"HTTP/1.1 200 OK\r\n\r\n", b'data: {"choices": [], "iemas": {"price": "0"}}\n\n',
                    ]
                ),
            ),
            max_size=4,
        )
    )  # fmt: skip
    if draw(st.booleans()):
        events.append(chunk("", "stop"))
    if draw(st.booleans()):
        events.append(chunk(usage={"prompt_tokens": 5, "completion_tokens": 3}))
    if draw(st.booleans()):
        events.append(DONE)
    raw = b"".join(events)
    at = draw(st.integers(0, len(raw)))
    return [raw[:at], raw[at:]] if draw(st.booleans()) else [raw[:at]] if draw(st.integers(0, 3)) == 0 else [raw]


@st.composite
def bodies(draw: st.DrawFn) -> list[bytes]:
    """A body that is none, or says of its usage what cannot be."""
    told = json.loads(whole(draw(TEXTS), prompt_tokens=5, completion_tokens=3))
    told["usage"] = draw(usages())
    if draw(st.integers(0, 4)) == 0:
        told[draw(st.sampled_from(["choices", "iemas", "error", "usage"]))] = draw(
            st.sampled_from([None, [], {}, "x", [None], 2**70, [{}]])
        )
    raw = json.dumps(told).encode()
    cut = raw[: draw(st.integers(0, len(raw)))]
    return [draw(st.sampled_from([raw, raw, raw, cut, b"", b"null", b"\xff", b"[" * 5000, raw + b"x"]))]


def ask(gateway: Living, case: int | None, stream: bool) -> Told:
    said = "what is it?" if case is None else f"what is it? @case={case}@"
    body = {
        "model": "odd",
        "messages": [{"role": "user", "content": said}],
        "max_tokens": 4,
        "stream": stream,
        "iemas": {"worth": 100},
    }
    return gateway.ask(CHAT, body)


def charged(gateway: Living, told: Told) -> tuple[list[str], list[tuple[str, int | None]]]:
    """A request's receipt, and how the books have its ends."""
    name = told.headers["x-request-id"]
    with closing(connect(f"file:{gateway.books}?mode=ro", uri=True)) as books:
        ends = books.execute("SELECT state, charge FROM endings WHERE request = ?", (name,)).fetchall()
    return [gateway.receipt(told)[member] for member in ("status", "price")], ends


@settings(
    max_examples=60 * TIMES, deadline=None, database=None, derandomize=TIMES == 1,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(stream=st.booleans(), data=st.data())
def test_whatever_an_engine_says_harms_no_other_request_and_no_balance(
    gateway: Living, stream: bool, data: st.DataObject
) -> None:
    case = next(NUMBERS)
    gateway.engine.cases[case] = data.draw(streams() if stream else bodies())
    with ThreadPoolExecutor(3) as pool:
        odd, one, two = pool.map(lambda args: ask(gateway, *args), [(case, stream), (None, True), (None, False)])
    for innocent in (one, two):
        assert innocent.status == 200 and b"as it ought to be" in innocent.body and b"error" not in innocent.body
    assert odd.status in (200, 502, 503), odd.body
    assert b"Traceback" not in odd.body
    (status, price), ends = charged(gateway, odd)
    settled = [charge for state, charge in ends if state == "settled"]
    if status == "served":
        [charge] = settled
        assert charge is not None and charge >= 0 and price == credits(charge)
        assert odd.status == 200 and price == odd.headers["x-iemas-price"]
    else:
        assert (status, price, settled) == ("failed", "0", [])
        assert odd.status != 200 or b'"error"' in odd.body


def test_after_all_of_it_the_books_add_up(gateway: Living) -> None:
    told = gateway.ask(f"{ROOT}/balances", admin=True).json()
    assert sum(account["balance"] for account in told["accounts"].values()) == 0
    assert told["held"] == {"requests": 0, "amount": 0}
    assert gateway.faults() == ""
