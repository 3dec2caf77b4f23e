"""Plain data of runs: what comes back is what went, and what is of another type is refused."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.studies.study.keeping.plain import as_plain, of_type


@dataclass(frozen=True)
class Inner:
    count: int
    share: float = nan
    note: str | None = None


@dataclass(frozen=True)
class Outer:
    inner: Inner
    pairs: Mapping[str, Sequence[tuple[float, ...]]]
    table: dict[tuple[int, str], list[Inner]]


inners = st.builds(Inner, st.integers(), st.floats(allow_nan=False), st.none() | st.text())
outers = st.builds(
    Outer,
    inners,
    st.dictionaries(st.text(), st.lists(st.lists(st.floats(allow_nan=False)).map(tuple)).map(tuple)),
    st.dictionaries(st.tuples(st.integers(), st.text()), st.lists(inners)),
)


@given(outers)
def test_what_is_written_is_read_as_it_was(one: Outer) -> None:
    assert of_type(Outer, json.loads(json.dumps(as_plain(one)))) == one


def test_numbers_of_numpy_are_numbers_and_what_is_no_number_stays_so() -> None:
    given = {"a": np.float64(0.1), "b": np.int64(3), "c": nan}
    found = of_type(dict[str, float], json.loads(json.dumps(as_plain(given))))
    assert (found["a"], found["b"]) == (0.1, 3.0) and found["c"] != found["c"]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (float, "1"),
        (float, True),
        (int, 1.0),
        (str, None),
        (int | None, "a"),
        (tuple[int, int], [1]),
        (tuple[int, ...], {"a": 1}),
        (list[int], 3),
        (dict[str, int], [["a"]]),
        (Inner, {"count": 1}),
        (Inner, {"count": 1, "share": 0.5, "note": None, "more": 1}),
        (Inner, [1, 0.5, None]),
        (object, 1),
    ],
)
def test_what_is_of_another_type_is_refused(kind: Any, given: Any) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        of_type(kind, given)
