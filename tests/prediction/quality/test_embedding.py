import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prediction import HashedNgrams, PredictionError


@given(st.text(max_size=3000))
def test_every_text_has_one_vector_of_norm_one_or_zero(text: str) -> None:
    one, again = HashedNgrams().embed(text), HashedNgrams().embed(text)
    assert one.dtype == np.float32 and one.shape == (512,)
    assert (one == again).all()
    norm = float(np.linalg.norm(one))
    assert norm == pytest.approx(1.0, abs=1e-5) or not one.any()


def test_texts_that_say_nothing_are_zero_and_others_are_not() -> None:
    embedder = HashedNgrams()
    assert not embedder.embed("").any() and not embedder.embed(" \n\t ").any()
    assert embedder.embed("a").any()


def test_case_and_spaces_do_not_count() -> None:
    embedder = HashedNgrams()
    assert (embedder.embed("Who  wrote\nHAMLET?") == embedder.embed(" who wrote hamlet? ")).all()


def test_alike_questions_are_nearer() -> None:
    embedder = HashedNgrams()
    river, mountain, code = map(
        embedder.embed,
        (
            "what is the longest river of africa",
            "what is the highest mountain of africa",
            "def sort(items): return sorted(items)",
        ),
    )
    assert river @ mountain > 0.3 > abs(river @ code)


def test_of_a_long_text_both_ends_are_read() -> None:
    embedder = HashedNgrams(longest=64)
    middle = "x" * 10_000
    base = embedder.embed(f"begin {middle} end")
    assert (base == embedder.embed(f"begin {middle} {middle} end")).all()
    assert (base != embedder.embed(f"began {middle} end")).any()
    assert (base != embedder.embed(f"begin {middle} and")).any()


def test_lone_surrogates_are_read() -> None:
    assert HashedNgrams().embed("\ud800 what is this?").any()


@pytest.mark.parametrize("wrong", [{"size": 0}, {"longest": 0}])
def test_sizes_are_positive(wrong: dict[str, int]) -> None:
    with pytest.raises(PredictionError, match="at least 1"):
        HashedNgrams(**wrong)
