"""What a notebook shows of a market: whole where it is small, cut where it is large, and escaped."""

import numpy as np

from allocation import Market
from allocation.notebook import MOST_COLUMNS, MOST_ROWS, counted, html_table, marked


def test_a_market_shows_values_costs_capacities_owners_and_what_is_forbidden() -> None:
    market = Market([[5000, 3], [4, 1]], [[1, 2], [1, 1]], [1, 7], [[True, True], [True, False]], [4, 4])
    page = market._repr_html_()
    for said in ("2 requests, 2 agents", "5,000", "− 2", "bidder 4", "forbidden", ">7</td>"):
        assert said in page


def test_a_large_market_is_cut_and_says_so() -> None:
    market = Market(np.ones((500, 40), np.int64), np.zeros((500, 40), np.int64), [1] * 40)
    page = market._repr_html_()
    assert f"… {500 - MOST_ROWS} more" in page and "500 requests, 40 agents" in page
    assert f"request {MOST_ROWS}<" not in page and f"agent {MOST_COLUMNS}<" not in page
    assert len(page) < 40_000


def test_an_empty_market_shows() -> None:
    assert "0 requests, 1 agent;" in Market(np.zeros((0, 1), np.int64), np.zeros((0, 1), np.int64), [1])._repr_html_()


def test_whatever_is_not_marked_is_escaped() -> None:
    hostile = "<script>alert('x')</script>&"
    page = html_table([hostile], [[hostile, hostile, marked(hostile, "bad")]], hostile)
    assert "<script" not in page and page.count("&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&amp;") == 5


def test_one_is_no_plural() -> None:
    assert [counted(k, "agent") for k in (0, 1, 2000)] == ["0 agents", "1 agent", "2,000 agents"]
