"""Who gets the welfare: tenths of conversations that hold each of them once."""

from dataclasses import replace

import pytest

from experiments.studies.arena.deciles import Decile, deciles
from experiments.studies.arena.play import Score

SCORE = Score((), 0.0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, (), 0.0, (), 0)


def of(worth: tuple[float, ...], welfare: tuple[float, ...]) -> Score:
    return replace(SCORE, worth=worth, welfare=welfare, welfare_last=tuple(each / 2 for each in welfare))


def test_tenths_hold_each_conversation_once_whatever_the_seed() -> None:
    one, two = of(tuple(range(20)), tuple(range(20))), of(tuple(range(20, 40)), tuple(range(20, 40)))
    found = deciles([one, two])
    assert [each.conversations for each in found] == [4] * 10
    assert found[0] == Decile(0.0, 3.0, 4, 1.5, 1.5) and found[-1] == Decile(36.0, 39.0, 4, 37.5, 37.5)
    assert deciles([two, one]) == found


def test_the_median_is_not_the_mean() -> None:
    [found] = deciles([of((5.0, 5.0, 5.0), (0.0, 1.0, 11.0))])
    assert (found.mean, found.median) == (4.0, 1.0)


def test_bidders_alike_are_one_group_and_nobody_is_none() -> None:
    assert len(deciles([of((50.0,) * 30, (1.0,) * 30)])) == 1
    assert [each.conversations for each in deciles([of((1.0,) * 15 + (9.0,) * 15, (1.0,) * 30)])] == [15, 15]
    assert deciles([]) == []


def test_delays_may_be_judged_to_the_last_token() -> None:
    [found] = deciles([of((5.0,), (8.0,))], "last-token")
    assert found.mean == pytest.approx(4.0)
