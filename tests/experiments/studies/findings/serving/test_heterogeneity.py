"""The grid of unlike agents and bidders: what spreads mean, and that the auction pays where both differ."""

from math import sqrt

import numpy as np
import pytest

from experiments.errors import StudyError
from experiments.studies.findings.exhibits.exhibit import Interval
from experiments.studies.findings.serving.heterogeneity import Capacity, bidders, fleet, run


def test_agents_that_are_not_apart_are_alike_and_the_mean_stays() -> None:
    none, all_ = fleet(0.0), fleet(1.0)
    assert len({(one.skill, one.prices, one.step_time) for one in none}) == 1
    quick, good = all_[0], all_[2]
    assert quick.skill < none[0].skill < good.skill
    assert sqrt(quick.prices.fresh * good.prices.fresh) == pytest.approx(none[0].prices.fresh)
    assert sqrt(quick.step_time.base_s * good.step_time.base_s) == pytest.approx(none[0].step_time.base_s)


def test_bidders_that_are_not_apart_have_the_medians() -> None:
    rng = np.random.default_rng(0)
    alike = {bidders(0.0).draw(rng) for _ in range(5)}
    assert len(alike) == 1
    drawn = [bidders(1.0).draw(rng) for _ in range(2000)]
    (one,) = alike
    assert np.median([each.worth for each in drawn]) == pytest.approx(one.worth, rel=0.15)
    assert np.median([each.delay_cost for each in drawn]) == pytest.approx(one.delay_cost, rel=0.2)


def test_spreads_outside_of_0_to_1_and_empty_grids_are_refused() -> None:
    with pytest.raises(StudyError, match=r"spread 1.5 of fleet; expected a number in \[0, 1\]"):
        fleet(1.5)
    with pytest.raises(StudyError, match="spread -1 of bidders"):
        bidders(-1)
    with pytest.raises(StudyError, match="grid without a cell"):
        run(seeds=[0], workers=0, progress=lambda done, total: None, capacities=())


def test_the_auction_pays_where_agents_and_bidders_differ() -> None:
    told: list[tuple[int, int]] = []
    found = run(
        seeds=[0, 1],
        workers=0,
        progress=lambda done, total: told.append((done, total)),
        spreads=(1.0,),
        bidder_spreads=(1.0,),
        capacities=(Capacity("busy", 2.0, None),),
        dialogues=4,
    )
    row = dict(zip(found.columns, found.rows[0], strict=True))
    gain = row["over cache-aware, credits a turn"]
    assert isinstance(gain, Interval) and 0 < gain.mean < gain.high
    assert str(row["who wins"]).startswith("iemas")
    assert told[-1] == (10, 10)
