"""What a notebook shows of an outcome, a right one and a broken one."""

import numpy as np

from allocation import Allocation, Market
from allocation.notebook import MOST_ROWS
from mechanisms import Outcome, Payments, find_mechanism

MARKET = Market([[5, 3], [4, 1], [3, 3]], [[1, 1], [1, 1], [0, 2]], [1, 1])


def test_an_outcome_shows_who_pays_what_and_its_proof() -> None:
    page = find_mechanism("vcg").run(MARKET)._repr_html_()
    assert "✓ welfare 5 is optimal by these prices" in page and "unserved" in page
    assert "budget surplus 4" in page and "deficit" not in page


def test_a_deficit_and_a_loss_are_red() -> None:
    lost = Outcome(MARKET, Allocation([0, -1, -1]), Payments(np.array([9, 0, 0]), np.array([20, 0])))
    page = lost._repr_html_()
    assert "budget surplus -11: a deficit" in page and ">-4</span>" in page
    assert "not certified: the allocation carries no prices" in page


def test_what_is_no_outcome_of_the_market_says_so_and_raises_nothing() -> None:
    for agents, charges in (([0, 0, -1], [0, 0, 0]), ([7, -1, -1], [0, 0, 0]), ([0, -1, -1], [0])):
        broken = Outcome(MARKET, Allocation(agents), Payments(np.array(charges), np.array([0, 0])))
        assert "no outcome of this market" in broken._repr_html_()


def test_a_large_outcome_is_cut() -> None:
    market = Market(np.ones((300, 2), np.int64), np.zeros((300, 2), np.int64), [1, 1])
    page = find_mechanism("vcg").run(market)._repr_html_()
    assert f"… {300 - MOST_ROWS} more" in page and f"request {MOST_ROWS}<" not in page


def test_a_frame_has_a_row_a_request_and_no_agent_where_unserved() -> None:
    frame = find_mechanism("vcg").run(MARKET).frame()
    assert frame.columns == ["request", "bidder", "agent", "value", "cost", "charge"]
    assert frame["agent"].to_list() == [1, 0, None] and frame["charge"].to_list() == [2, 4, 0]
    assert find_mechanism("vcg").run(MARKET.requests([])).frame().shape == (0, 6)
