import random

from hypothesis import given, settings
from hypothesis import strategies as st

from prediction.caches._holders import Holders


def crowded(k):
    """Names of few homes, some at the end of the table: long runs that wrap around."""
    return (2 * (k % 5 + 253) + 1).to_bytes(8, "little") + k.to_bytes(8, "little")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0, 63, 64, 129]), st.lists(st.integers(0, 30))), max_size=40))
def test_the_table_is_a_dictionary_of_sets(history):
    table, expected = Holders(130, 4), {}
    for holding, agent, numbers in history:
        names = [crowded(k) for k in dict.fromkeys(numbers)]
        (table.hold if holding else table.release)(agent, names)
        for name in names:
            mask = expected.pop(name, 0)
            mask = mask | 1 << agent if holding else mask & ~(1 << agent)
            if mask:
                expected[name] = mask
        assert dict(table.items()) == expected
        assert len(table) == len(expected)


def test_it_grows_and_shrinks_with_what_it_holds():
    table, rng = Holders(2, 4), random.Random(0)
    names = [(rng.getrandbits(64) | 1).to_bytes(8, "little") + rng.randbytes(8) for _ in range(5000)]
    small = len(table._table)
    table.hold(1, names)
    assert len(table) == 5000 and 7500 <= len(table._table) <= 32768
    assert dict(table.items()) == dict.fromkeys(names, 2)
    rng.shuffle(names)
    for k in range(0, 5000, 50):
        table.release(1, names[k : k + 50])
        assert dict(table.items()) == dict.fromkeys(names[k + 50 :], 2)
    assert len(table._table) == small
