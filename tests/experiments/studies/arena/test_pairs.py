"""Differences between policies: of the right size, with intervals that hold what they promise."""

from math import isnan

import numpy as np
import pytest

from experiments.errors import StudyError
from experiments.studies.arena.pairs import compare, holm, normalised


def test_a_known_difference_is_found_and_is_certain() -> None:
    found = compare([[2.0, 4.0], [6.0]], [[1.0, 2.0], [3.0]])
    # Each conversation is worth twice as much, in whatever is drawn.
    assert found.share == 1.0 and found.low > 0 and found.high > found.share
    assert (found.wins, found.seeds) == (2, 2) and found.chance == pytest.approx(1 / 2000)
    assert str(found).startswith("+100.0 % [") and str(found).endswith("], 2/2")
    assert found.half_width == (found.high - found.low) / 2


def test_no_difference_is_none() -> None:
    same = [[1.0, 5.0, -3.0], [2.0, 2.0, 9.0]]
    found = compare(same, same)
    assert (found.share, found.low, found.high, found.chance, found.wins) == (0, 0, 0, 1, 0)


def test_the_other_way_round_is_the_other_sign_and_as_likely() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(1.0, 1.0, (2, 8, 30))
    there, back = compare(one, other), compare(other, one)  # type: ignore[arg-type]
    assert there.share * abs(other.sum()) == pytest.approx(-back.share * abs(one.sum()))
    assert there.chance == pytest.approx(back.chance, abs=0.05)


def test_a_loss_of_others_is_measured_by_its_size_and_nothing_by_nothing() -> None:
    assert compare([[3.0]], [[-2.0]]).share == pytest.approx(2.5)
    found = compare([[1.0, 1.0]], [[0.0, 0.0]])
    assert isnan(found.share) and isnan(found.low) and found.chance == pytest.approx(1 / 2000)
    assert compare([[0.0]], [[0.0]]).chance == 1.0


def test_pairs_that_meet_the_same_luck_are_told_apart_by_less() -> None:
    rng = np.random.default_rng(1)
    luck = rng.normal(10.0, 20.0, (10, 40))
    better, shuffled = luck + 1.0, rng.permuted(luck, axis=None) + 1.0
    paired, unpaired = compare(better, luck), compare(shuffled, luck)  # type: ignore[arg-type]
    assert paired.half_width < unpaired.half_width / 10
    assert paired.share == pytest.approx(400 / luck.sum()) and paired.chance < 0.01 < unpaired.chance


def test_intervals_cover_what_is_true() -> None:
    rng = np.random.default_rng(2)
    covered, false_alarms, tries, gain = 0, 0, 60, 0.2
    for _ in range(tries):
        luck = 10.0 + rng.normal(0.0, 2.0, (12, 1)) + rng.normal(0.0, 5.0, (12, 20))
        effect = rng.normal(0.0, 3.0, (12, 1)) + rng.normal(0.0, 3.0, (12, 20))
        found = compare(luck * 1.0 + 10.0 * gain + effect, luck)  # type: ignore[arg-type]
        covered += found.low <= gain <= found.high
        false_alarms += compare(luck + effect, luck).chance < 0.05  # type: ignore[arg-type]
    assert covered / tries >= 0.85
    assert false_alarms / tries <= 0.15


@pytest.mark.parametrize(
    ("one", "other"), [([], []), ([[1.0]], [[1.0], [2.0]]), ([[1.0, 2.0]], [[1.0]]), ([[1.0]], [])]
)
def test_what_does_not_match_cannot_be_compared(one: list[list[float]], other: list[list[float]]) -> None:
    with pytest.raises(StudyError, match="must match"):
        compare(one, other)


def test_holm_steps_down_and_stops_at_the_first_that_fails() -> None:
    # Holm 1979: .01 <= .05 / 4, .015 <= .05 / 3, .03 > .05 / 2, so that .04 <= .05 does not count any more.
    assert holm({"d": 0.04, "a": 0.01, "c": 0.03, "b": 0.015}) == {"d": False, "a": True, "c": False, "b": True}
    assert holm({"a": 0.02, "b": 0.02}, level=0.03) == {"a": False, "b": False}
    assert holm({"a": 0.025, "b": 0.05}) == {"a": True, "b": True}
    assert holm({}) == {}


def test_normalised_welfare_is_nothing_at_the_floor_and_one_at_the_ceiling() -> None:
    floor, ceiling = np.array([1.0, 3.0]), np.array([5.0, 7.0])
    assert normalised(floor, floor, ceiling) == 0 and normalised(ceiling, floor, ceiling) == 1
    assert normalised(np.array([2.0, 4.0]), floor, ceiling) == pytest.approx(0.25)
    assert normalised(np.array([0.0, 2.0]), floor, ceiling) == pytest.approx(-0.25)
    assert isnan(normalised(floor, floor, floor))
