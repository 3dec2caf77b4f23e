"""Places in a line, as columns of a market."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from allocation import UNSERVED, Market
from mechanisms import find_mechanism
from mechanisms.positions import Positions


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_every_place_is_one_column(lengths: list[int]) -> None:
    places = Positions.of(lengths)
    pairs = list(zip(places.agents.tolist(), places.ranks.tolist(), strict=True))
    assert pairs == [(j, k) for j, length in enumerate(lengths) for k in range(length)]
    columns = np.array([UNSERVED, *range(len(pairs))])
    assert places.agent_of(columns).tolist() == [UNSERVED, *(j for j, _ in pairs)]
    assert places.rank_of(columns).tolist() == [0, *(k for _, k in pairs)]


@given(st.data())
def test_where_values_fall_along_a_line_no_place_is_left_out(data: st.DataObject) -> None:
    n, m = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    places = Positions.of([n] * m)
    first, delay = rng.integers(0, 40, (n, m)), rng.integers(1, 9, n)
    values = first[:, places.agents] - delay[:, None] * places.ranks * rng.integers(1, 4, m)[places.agents]
    costs = rng.integers(0, 5, (n, m))[:, places.agents]
    columns = find_mechanism("vcg").run(Market(values, costs, np.ones(n * m, int))).allocation.agents
    for j in range(m):
        ranks = sorted(places.rank_of(columns)[places.agent_of(columns) == j].tolist())
        assert ranks == list(range(len(ranks)))
