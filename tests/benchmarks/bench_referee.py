"""What it costs to keep a round of 16 requests and 4 agents, and how many a second are derived again."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mechanisms import Preferences, find_mechanism
from runtime import Ledger, PaperAuction
from runtime.accounts.archive import Archive
from runtime.referees import referee
from runtime.referees.audit import audit
from runtime.referees.export import lines
from runtime.rounds.kept import RoundMade, record_of
from tests.runtime.policies.test_auction import CHEAP, DEAR, agent, auction, fleet, offer, serve
from tests.runtime.referees.played import RULES

#: Rounds a second, at least, and microseconds to keep one, at most.
LEAST, MOST_US = 1000.0, 2000.0
_ROUNDS, _REQUESTS, _AGENTS = 1000, 16, 4


def made(policy: Any, members: list[Any]) -> list[RoundMade]:
    """Rounds of other requests each."""
    rng = np.random.default_rng(0)

    def drawn() -> Preferences:
        return Preferences(float(rng.uniform(5, 300)), float(rng.uniform(0, 9)))

    for k in range(30):
        past = offer(f"p{k}", drawn(), agents=_AGENTS, bidder=f"b{k % 12}")
        if not isinstance(policy, PaperAuction):
            serve(policy, past, k % _AGENTS, seconds=float(rng.uniform(0.2, 1)), now=k)
    state, rounds = fleet(members, now=60.0), []
    for b in range(_ROUNDS):
        offers = [
            offer(f"r{b}-{k}", drawn(), agents=_AGENTS, words=int(rng.integers(20, 80))) for k in range(_REQUESTS)
        ]
        rounds.append(RoundMade(b, 1e9 + b, offers, [0] * _REQUESTS, state, policy.decide(offers, state)))
    return rounds


@pytest.mark.parametrize("policy", ["iemas", "paper-auction"])
def test_rounds_are_kept_and_derived_again(tmp_path: Path, policy: str) -> None:
    # Places in lines are columns: 4 agents are 64. As published, an agent is one column with 4 places.
    members = [agent(f"a{k}", CHEAP if k % 2 else DEAR, slots=4, model=f"m{k % 2}") for k in range(_AGENTS)]
    decider: Any = auction(members) if policy == "iemas" else PaperAuction(find_mechanism("vcg"))
    if policy != "iemas":
        decider.attach(members)
    rounds = made(decider, members)
    began = time.process_time()
    records = [record_of(one, RULES) for one in rounds]
    writing_us = 1e6 * (time.process_time() - began) / _ROUNDS
    began = time.process_time()
    with Ledger(tmp_path / "books.db") as ledger:
        for one, record in zip(rounds, records, strict=True):
            with ledger.together():
                ledger.keep(record, one.at_s)
    keeping_us = 1e6 * (time.process_time() - began) / _ROUNDS
    with Archive(tmp_path / "books.db") as books:
        # What is compiled is there by now.
        assert not audit(books, since_s=1e9 + _ROUNDS - 2).faults
        took = []
        for _ in range(3):
            began = time.process_time()
            verdict = audit(books)
            took.append(time.process_time() - began)
        assert not verdict.faults and verdict.certified == _ROUNDS
        rate = _ROUNDS / min(took)
        exported = list(lines(books))[:101]
        began = time.process_time()
        tried = audit(books, since_s=1e9 + _ROUNDS - 20, misreports=20)
        misreports = tried.misreports / (time.process_time() - began)
    began = time.process_time()
    assert not referee.check(exported)[1]
    second = 100 / (time.process_time() - began)
    print(
        f"\n{policy}: {sum(map(len, records)) / _ROUNDS / 1000:.1f} kB a round; {writing_us:.0f} us to write it down, "
        f"{keeping_us:.0f} us to keep it; {rate:.0f} rounds a second derived again, {misreports:.0f} misreports a "
        f"second; {second:.0f} rounds a second by the standard library alone"
    )
    assert rate > LEAST and writing_us + keeping_us < MOST_US
