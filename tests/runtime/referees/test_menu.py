"""The prices that a bidder faced: no report of theirs moves them, and nothing on them is better than what they got."""

import numpy as np
import pytest

from mechanisms import Preferences
from runtime.referees.menu import menu
from runtime.rounds.kept import RoundMade
from tests.runtime.policies.test_auction import CHEAP, DEAR, agent, auction, fleet, offer


def made(seed: int, own: Preferences | None = None, bidder: str = "me") -> RoundMade:
    """A round of eight requests, the first of which is reported as `own`."""
    rng = np.random.default_rng(seed)
    members = [agent("a", CHEAP, slots=2, model="small"), agent("b", DEAR, slots=1, model="large")]
    drawn = [Preferences(float(rng.uniform(0, 20)), float(rng.uniform(0, 20))) for _ in range(8)]
    offers = [
        offer(f"r{k}", own if own and not k else one, bidder=bidder if not k else f"b{k}", words=10 + 4 * k)
        for k, one in enumerate(drawn)
    ]
    state = fleet(members)
    return RoundMade(1, 1.0, offers, [0] * 8, state, auction(members).decide(offers, state))


@pytest.mark.parametrize("seed", range(12))
def test_nothing_on_the_menu_is_better_than_what_was_got_and_no_report_moves_it(seed: int) -> None:
    told = made(seed)
    found = menu(told, 0)
    assert found is not None and len(found.lines) > 8
    charge = int(told.decision.charges[0])
    if found.chosen is None:
        assert (found.best, charge) == (0, 0)
    else:
        got = found.lines[found.chosen]
        assert (got.price, got.value - got.price) == (charge, found.best)
        assert got.agent == told.fleet.agents[int(told.decision.agents[0])].name
    for own in (Preferences(0.0, 0.0), Preferences(30.0, 0.1), Preferences(30.0, 60.0)):
        other = menu(made(seed, own), 0)
        assert other is not None
        assert [line.price for line in other.lines] == [line.price for line in found.lines]
        if other.chosen is not None:
            assert other.lines[other.chosen].value - other.lines[other.chosen].price == other.best


def test_some_menus_have_prices_that_others_made() -> None:
    displaced = [
        int(told.decision.charges[i]) > int(told.decision.outcome.reported.costs[i, column])
        for told in map(made, range(12))
        if told.decision.outcome is not None
        for i, column in enumerate(told.decision.outcome.allocation.agents)
        if column >= 0
    ]
    assert sum(displaced) > 10


def test_who_has_several_requests_in_a_round_has_no_menu_for_one() -> None:
    told = made(0, bidder="b3")
    assert menu(told, 0) is None and menu(told, 3) is None and menu(told, 1) is not None
