"""What agents offer: the first two offers as one would find them by hand."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from allocation.exact.min_cost_flow import MAX_AGENTS
from allocation.kernels.compile.loading import kernels
from allocation.money import MAX_AMOUNT

OFFERS = kernels("pairs.offers")
bits, offer_of, node_of = OFFERS.bits, OFFERS._offer, OFFERS._node


@njit
def counted(word):  # type: ignore[no-untyped-def]
    return bits(word)


@njit
def there_and_back(weight, price, node, size):  # type: ignore[no-untyped-def]
    offer = offer_of(weight, price, size - node, bits(size))
    return offer >> bits(size), node_of(offer, bits(size), size)


@settings(deadline=None)
@given(word=st.integers(1, 2**20))
def test_bits(word: int) -> None:
    assert counted(word) == word.bit_length()


@settings(deadline=None)
@given(data=st.data(), m=st.integers(1, MAX_AGENTS), weight=st.integers(-2 * MAX_AMOUNT, 2 * MAX_AMOUNT))
def test_offers_carry_their_node_however_large_they_are(data: st.DataObject, m: int, weight: int) -> None:
    node, price = data.draw(st.integers(1, m)), data.draw(st.integers(0, OFFERS.CEILING))
    assert there_and_back(np.int64(weight), np.int64(price), np.int64(node), np.int64(m + 1)) == (weight - price, node)


@given(data=st.data())
def test_the_first_two_offers(data: st.DataObject) -> None:
    m = data.draw(st.integers(1, 70))
    weights = np.array([data.draw(st.lists(st.integers(-3, 5), min_size=m, max_size=m))])
    prices = np.array([0, *data.draw(st.lists(st.integers(0, 4), min_size=m, max_size=m))])
    net = np.concatenate(([0], weights[0])) - prices
    # Node 0 comes last among equals.
    order = sorted(range(m + 1), key=lambda node: (-net[node], node == 0, node))
    at, second, margins = (np.empty(1, np.int64) for _ in range(3))
    capacities = np.ones(m, np.int64)
    kernels("prices.newton").newton(weights, capacities, prices.copy(), 10**9, 0, 0, at, second, margins)
    assert (at[0], second[0], margins[0]) == (order[0], order[1], net[order[0]] - net[order[1]])
    assert OFFERS.best_offers(weights, prices)[0] == net[1:].max()
