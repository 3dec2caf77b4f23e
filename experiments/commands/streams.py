"""Standard streams that survive what is at the other end: a pager that quits, a pipe of an old encoding.

A verdict is worth more than its printing: whoever reads only the head of it must not change the exit code, and a
character that an encoding lacks must not end a run.
"""

import codecs
import errno
import io
import os
import sys
from typing import TextIO

#: What stands for a character where the stream's encoding has no such one.
_PLAIN = str.maketrans(
    {"★": "*", "−": "-", "–": "-", "…": "~", "±": "+", "«": "<", "»": ">", "≥": ">", "≤": "<", "µ": "u"}
)

_HANDLER = "iemas-plain"


class _Forgiving(io.RawIOBase):
    """Bytes on their way to a stream; once nobody reads any more they go nowhere."""

    def __init__(self, below: io.BufferedWriter | io.FileIO) -> None:
        self._below = below
        self._gone = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._below.fileno()

    def isatty(self) -> bool:
        return self._below.isatty()

    def write(self, data: object) -> int:
        content = bytes(data)  # type: ignore[call-overload]
        if not self._gone:
            try:
                self._below.write(content)
                self._below.flush()
            except OSError as error:
                if error.errno not in (errno.EPIPE, errno.EINVAL):
                    raise
                self._abandon()
        return len(content)

    def _abandon(self) -> None:
        """Python flushes what is left at its end, and would complain there."""
        self._gone = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._below.fileno())
        os.close(nowhere)


def harden() -> None:
    """Make standard output and error as the module says, once, where they are real streams."""
    codecs.register_error(_HANDLER, _plainly)
    sys.stdout, sys.stderr = (_hardened(stream) for stream in (sys.stdout, sys.stderr))


def _hardened(stream: TextIO) -> TextIO:
    below = getattr(stream, "buffer", None)
    if not isinstance(below, io.BufferedWriter | io.FileIO) or isinstance(getattr(below, "raw", None), _Forgiving):
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Forgiving(below)), encoding=stream.encoding, errors=_HANDLER, line_buffering=True
    )


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end].translate(_PLAIN)
    return part.encode("ascii", errors="replace"), error.end
