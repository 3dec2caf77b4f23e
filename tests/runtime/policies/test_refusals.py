"""Why the auction declines a request, in words that its bidder can act on."""

from math import inf

import pytest

from allocation import UNSERVED
from mechanisms import Preferences
from tests.runtime.policies.test_auction import CHEAP, agent, auction, busy, fleet, offer, serve

PATIENT = Preferences(10.0, 0.0)


def declined(*reports: Preferences, jobs: int = 0, slots: int = 8) -> list[tuple[str, str] | None]:
    """Code and reason for each request of a round on one agent."""
    agents = [agent("a", CHEAP, slots=slots)]
    policy = auction(agents)
    for k in range(30):
        serve(policy, offer(f"p{k}", PATIENT, agents=1), 0, seconds=30.0, now=100.0 * k)
    offers = [offer(f"r{k}", reported, agents=1) for k, reported in enumerate(reports)]
    decision = policy.decide(offers, fleet(agents, busy(jobs)))
    assert len(decision.refusals) == len(offers)
    told = []
    for chosen, refusal in zip(decision.agents, decision.refusals, strict=True):
        assert (chosen == UNSERVED) == (refusal is not None)
        told.append(None if refusal is None else (refusal.code, refusal.reason))
    return told


def test_who_bids_too_little_is_told_what_it_would_take() -> None:
    [told] = declined(Preferences(0.01, 0.0))
    assert told is not None and told[0] == "too_low"
    wanted, value = (float(told[1].partition(words)[2].partition(" ")[0]) for words in ("comes to ", "is worth "))
    quality = value / 0.01
    assert declined(Preferences(wanted / quality * 0.99, 0.0)) != [None]
    assert declined(Preferences(wanted / quality * 1.01, 0.0)) == [None]


@pytest.mark.parametrize("deadline", [0.001, 0.5])
def test_a_deadline_that_nobody_would_keep_is_the_reason_and_not_the_worth(deadline: float) -> None:
    """Reporting more would not help, and no place in a line is held for it."""
    for worth in (10.0, 100.0):
        [told] = declined(Preferences(worth, 0.0, deadline), jobs=3)
        assert told is not None and told[0] == "late"
        assert f"deadline of {deadline:g} s" in told[1] and "would begin in" in told[1]
    assert declined(Preferences(10.0, 0.0, inf), jobs=3) == [None]
    [told] = declined(Preferences(0.0001, 0.0, deadline), jobs=3)
    assert told is not None and told[0] == "too_low"
