"""What a request costs in the books: held and settled, in groups as rounds make them."""

import os
import time
from pathlib import Path

import pytest

from runtime import Ledger

#: CPU time that a request's entries may take.
MOST_US = 150.0
_REQUESTS = 4000


def spent_us(books: str, group: int) -> float:
    """CPU microseconds a request."""
    names = [f"req-{os.urandom(12).hex()}" for _ in range(_REQUESTS)]
    with Ledger(books) as ledger:
        began = time.process_time()
        for first in range(0, _REQUESTS, group):
            some = names[first : first + group]
            with ledger.together():
                for k, name in enumerate(some):
                    ledger.hold(name, bidder=f"b{k % 7}", agent=f"a{k % 3}", charge=5)
            with ledger.together():
                for name in some:
                    ledger.settle(name, cost=3, charge=5, receipt=3)
        return 1e6 * (time.process_time() - began) / _REQUESTS


@pytest.mark.parametrize("where", ["memory", "file"])
@pytest.mark.parametrize("group", [2, 16])
def test_entries_of_a_request(tmp_path: Path, where: str, group: int) -> None:
    spent = min(spent_us(":memory:" if where == "memory" else str(tmp_path / f"{k}.db"), group) for k in range(3))
    print(f"\n{where}, groups of {group}: {spent:.0f} us a request")
    assert spent < MOST_US
