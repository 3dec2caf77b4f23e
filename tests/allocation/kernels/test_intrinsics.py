"""Words: bits counted as Python counts them, and packed pairs that come apart again however large they are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from allocation.exact.min_cost_flow import MAX_AGENTS
from allocation.kernels.compile.loading import kernels
from allocation.money import MAX_AMOUNT

ROWS, MACHINE = kernels("pairs.rows"), kernels("compile.intrinsics")
bits, packed_pair, node_of = ROWS.bits, ROWS.packed_pair, ROWS.node_of
first_bit = MACHINE.first_bit


@njit
def counted(word):  # type: ignore[no-untyped-def]
    return first_bit(word), bits(word)


@njit
def there_and_back(value, node, size):  # type: ignore[no-untyped-def]
    word = packed_pair(value, node, bits(size), size)
    return word >> bits(size), node_of(word, bits(size), size)


@given(word=st.integers(1, 2**62 - 1))
def test_bits(word: int) -> None:
    expected = ((word & -word).bit_length() - 1, word.bit_length())
    assert counted(word) == expected


@given(data=st.data(), m=st.integers(1, MAX_AGENTS), value=st.integers(0, 2 * MAX_AMOUNT))
def test_packed_pairs(data: st.DataObject, m: int, value: int) -> None:
    node = data.draw(st.integers(1, m))
    assert there_and_back(np.int64(value), np.int64(node), np.int64(m + 1)) == (value, node)
