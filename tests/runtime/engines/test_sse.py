"""Events come out whole and as they were, however the network cuts them."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.engines.sse import EventFramer, EventTooLongError, event_data

PIECES = [b"data: x", b"data:", b"data", b"data:  y", b"event: z", b": ping", b" ", "\u2028".encode(), "\x85".encode()]
PIECES += [b"\n", b"\r\n", b"\r"]
STREAMS = st.one_of(
    st.lists(st.sampled_from(PIECES)).map(b"".join),
    st.binary(max_size=60),
    st.lists(st.sampled_from([b"\n", b"\r", b"data:x"])).map(b"".join),
)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(marks)]


def framed(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    framer = EventFramer()
    return [event for piece in pieces for event in framer.feed(piece)], framer.rest


def dispatched(stream: bytes) -> list[bytes]:
    """The standard's own procedure, line by line."""
    found: list[bytes] = []
    data: list[bytes] = []
    for line in re.split(rb"\r\n|\n|\r", stream)[:-1]:
        name, _, value = line.partition(b":")
        if not line:
            found += [b"\n".join(data)] if data else []
            data = []
        elif name == b"data":
            data.append(value.removeprefix(b" "))
    return found


@given(STREAMS, st.lists(st.integers(0, 200), max_size=12))
@example(b"data: x\r\n\r\ndata: y\r\n\r\n", [9, 10, 11, 12])
@example(b"data: x\r\rdata: y\n\r\ndata: z\r\n\r", [8, 9, 19])
def test_every_cut_gives_the_standards_events_and_loses_no_byte(stream: bytes, places: list[int]) -> None:
    events, rest = framed(cut(stream, places))
    assert b"".join(events) + rest == stream
    assert [data for event in events if (data := event_data(event)) is not None] == dispatched(stream)
    assert all(re.search(rb"[\r\n]{2}\Z|\r\n\Z", event) for event in events)


@given(STREAMS)
def test_byte_by_byte_no_event_waits_for_what_follows_it(stream: bytes) -> None:
    framer, seen = EventFramer(), 0
    for end in range(1, len(stream) + 1):
        seen += sum(event_data(event) is not None for event in framer.feed(stream[end - 1 : end]))
        assert seen == len(dispatched(stream[:end]))


def test_text_that_looks_like_the_end_of_a_line_is_none() -> None:
    event = 'data: {"a":"one\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e two"}\n\n'.encode()
    assert framed([event]) == ([event], b"")
    assert event_data(event) == event[6:-2]


def test_a_byte_order_mark_and_several_lines_of_data() -> None:
    assert event_data(b"\xef\xbb\xbfdata: 1\n\n") == b"1"
    assert event_data(b"id: 7\ndata: 1\r\ndata:\rdata: 2\n\n") == b"1\n\n2"


@pytest.mark.parametrize("ending", [b"", b"\n\n"])
def test_what_never_ends_is_not_kept(ending: bytes) -> None:
    framer = EventFramer(limit=100)
    with pytest.raises(EventTooLongError, match="more than 100 bytes"):
        for _ in range(11):
            framer.feed(b"0123456789")
        framer.feed(ending)
    with pytest.raises(EventTooLongError):
        EventFramer(limit=100).feed(b"0" * 101 + ending)
    assert EventFramer(limit=100).feed((b"0" * 90 + b"\n\n") * 50)
