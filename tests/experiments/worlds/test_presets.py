import numpy as np
import pytest

from experiments.errors import StudyError
from experiments.worlds.presets import DELAY_COSTS, WORTHS, differing, find_preset
from mechanisms import Preferences
from runtime import RoundRules


def test_the_preset_paper_is_the_published_constants() -> None:
    paper, rng = find_preset("paper"), np.random.default_rng(0)
    assert paper.draw(rng) == paper.draw(rng) == Preferences(0.5 * 100, 0.5 * 5)
    assert paper.prices is not None and paper.prices.cost(30, 20, 10) == pytest.approx(0.02 * 40)
    assert paper.rounds(4) == RoundRules(window_s=0.010, max_batch=16, slots=4)
    assert "0.5 * 100 * quality - 0.5 * 5 * seconds" in paper.description
    assert "0.02 credits per token" in paper.description


def test_the_default_varies_bidders_and_takes_each_engines_prices() -> None:
    varied, rng = find_preset("varied"), np.random.default_rng(0)
    drawn = [varied.draw(rng) for _ in range(20)]
    assert len(set(drawn)) == 20 and all(50 <= one.worth <= 95 for one in drawn)
    assert varied.prices is None and varied.rounds(2) == RoundRules(slots=2, depth=1)
    with pytest.raises(StudyError, match="no preset 'cheap'; there are: differing, varied, paper"):
        find_preset("cheap")


def test_bidders_who_differ_are_log_uniform_and_as_correlated_as_asked() -> None:
    rng = np.random.default_rng(1)
    for correlation in (-0.8, 0.0, 0.8):
        drawn = np.array([(one.worth, one.delay_cost) for one in map(differing(correlation), [rng] * 2000)])
        logs = np.log(drawn)
        for column, (low, high) in zip(logs.T, (WORTHS, DELAY_COSTS), strict=True):
            shares = (column - np.log(low)) / np.log(high / low)
            assert shares.min() >= 0 and shares.max() <= 1
            assert np.allclose(np.histogram(shares, 4, (0, 1))[0] / 2000, 0.25, atol=0.05)
        assert np.corrcoef(logs.T)[0, 1] == pytest.approx(correlation, abs=0.07)
    with pytest.raises(StudyError, match="correlation = 2"):
        differing(2.0)


def test_correlation_is_of_the_preset_that_has_one() -> None:
    preset = find_preset("differing", correlation=0.8)
    assert preset.draw(np.random.default_rng(3)) == differing(0.8)(np.random.default_rng(3))
    assert "correlated 0.8" in preset.description and preset.bidders == find_preset("differing").bidders
    assert find_preset("differing", correlation=0.0) is find_preset("differing")
    for name, preferences in (("varied", None), ("paper", None), ("differing", "mine:draw")):
        with pytest.raises(StudyError, match="a correlation is of the bidders that preset 'differing' draws"):
            find_preset(name, preferences, 0.8)
    with pytest.raises(StudyError, match="correlation = 2"):
        find_preset("differing", correlation=2.0)
