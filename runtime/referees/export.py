"""Rounds and entries as lines of JSON, for `referee.py` and for whoever writes a referee of their own.

The first line is `{"export": "iemas rounds 1", "whole": ...}`: whether these are all rounds that the books ever kept. A
round's line has its record as text, to the letter that was sealed.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict

from runtime.accounts.archive import Archive

FORMAT = "iemas rounds 1"


def lines(archive: Archive, since_s: float | None = None, last: int | None = None) -> Iterator[str]:
    """The lines, without their ends.

    Args:
        archive: the books.
        since_s, last: rounds since (Unix time) alone, the last so many.
    """
    whole = since_s is None and last is None and not archive.dropped()
    yield json.dumps({"export": FORMAT, "whole": whole})
    first_s = None
    for row in archive.rounds(since_s, last):
        first_s = row.at_s if first_s is None else min(first_s, row.at_s)
        yield json.dumps(asdict(row))
    if first_s is not None:
        for entry in archive.entries(first_s):
            yield json.dumps({"entry": asdict(entry)})
