"""Server-sent events, cut out of a byte stream as they stand (WHATWG HTML Standard, section 9.2.6).

Lines end at CR LF, LF or CR; an event ends at an empty line. U+2028, U+0085 and whatever else Python takes for the end
of a line is text. Nothing is decoded or written anew: the events, one after the other, are the bytes that came.
"""

import re

_EVENT_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLongError(ValueError):
    """More bytes than may be kept have come without the end of an event; `events` are those before it."""

    def __init__(self, limit: int, events: list[bytes]) -> None:
        super().__init__(f"an event of more than {limit} bytes")
        self.events = events


class EventFramer:
    """Cuts a stream into whole events, however its pieces are cut.

    >>> framer = EventFramer()
    >>> framer.feed(b"data: 1\\n\\nda"), framer.feed(b"ta: 2\\r\\n\\r\\n"), framer.rest
    ([b'data: 1\\n\\n'], [b'data: 2\\r\\n\\r\\n'], b'')

    An event that ends in CR is given out at once; an LF that turns out to belong to it leads the next one, where it is
    an empty line like any other.
    """

    def __init__(self, limit: int = 4 << 20) -> None:
        """`limit` is the longest event, in bytes."""
        self._limit = limit
        self._buffer = bytearray()

    @property
    def rest(self) -> bytes:
        """What has come of an event that has not ended."""
        return bytes(self._buffer)

    def feed(self, piece: bytes) -> list[bytes]:
        """The events that this piece ends.

        Raises:
            EventTooLongError: an event is longer than the limit.
        """
        buffer = self._buffer
        # An end that was cut in two begins in the last three bytes of what was there.
        start, scan = 0, max(0, len(buffer) - 3)
        buffer += piece
        events: list[bytes] = []
        while (found := _EVENT_END.search(buffer, scan)) is not None:
            end = found.end()
            if end - start > self._limit:
                raise EventTooLongError(self._limit, events)
            events.append(bytes(buffer[start:end]))
            start = scan = end
        del buffer[:start]
        if len(buffer) > self._limit:
            raise EventTooLongError(self._limit, events)
        return events


def event_data(event: bytes) -> bytes | None:
    """The data of an event, its lines joined by LF; None where it has none, as comments that keep a line open.

    >>> event_data(b": ping\\n\\n"), event_data(b"event: x\\ndata: 1\\ndata:2\\n\\n")
    (None, b'1\\n2')
    """
    body = event.strip(b"\r\n")
    if body.startswith(b"data:") and b"\n" not in body and b"\r" not in body:
        return body[5:].removeprefix(b" ")
    lines = _LINE_END.split(body.removeprefix(_BYTE_ORDER_MARK))
    data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:") or line == b"data"]
    return b"\n".join(data) if data else None
