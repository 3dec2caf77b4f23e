import numpy as np
import pytest

from experiments.errors import StudyError
from experiments.worlds.presets import find_preset
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
    assert varied.prices is None and varied.rounds(2) == RoundRules(slots=2)
    with pytest.raises(StudyError, match="no preset 'cheap'; there are: varied, paper"):
        find_preset("cheap")
