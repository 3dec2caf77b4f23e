"""Hubs over a large fleet: no front reads a report, a hub's bound holds, and a single hub is the whole."""

import numpy as np
import pytest

from allocation import MinCostFlow
from experiments.errors import StudyError
from experiments.studies.findings.exhibits.exhibit import Interval
from experiments.studies.findings.rounds.hub_markets import alike, draw, mixed
from experiments.studies.findings.rounds.hubs import FRONTS, Front, run, two_rounds


@pytest.fixture(autouse=True)
def shipped_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IEMAS_DATASETS", raising=False)


@pytest.mark.parametrize("name", FRONTS)
def test_only_the_front_that_looks_at_prices_is_moved_by_reports(name: str) -> None:
    given, known = draw("", 12, 120, 3)
    front = Front.of(name, given, known, alike(known.capabilities(given.prices), 4))
    _, chosen, _ = two_rounds(front, given, given.types, 3)
    moved = 0
    for factor in (0.01, 1.0, 50.0):
        others = given.types[np.random.default_rng(0).permutation(120)] * factor
        moved += int((two_rounds(front, given, others, 3)[1] != chosen).sum())
    assert (moved > 0) == ("prices" in name)


@pytest.mark.parametrize("name", FRONTS)
def test_welfare_is_at_most_the_optimum_and_that_at_most_the_bound(name: str) -> None:
    given, known = draw("", 8, 60, 1)
    front = Front.of(name, given, known, mixed(known.capabilities(given.prices), 3))
    found, _, homes = two_rounds(front, given, given.types, 1)
    market = given.market(homes)
    assert found.welfare <= market.welfare(MinCostFlow().allocate(market)) <= found.bound


def test_hubs_have_every_agent_and_mixed_ones_are_of_one_size() -> None:
    given, known = draw("", 16, 40, 0)
    table = known.capabilities(given.prices)
    assert set(alike(table, 5)) == set(range(5))
    assert np.bincount(mixed(table, 4)).tolist() == [4, 4, 4, 4]
    with pytest.raises(StudyError, match="17 hubs of 16 agents; expected 1 to 16"):
        alike(table, 17)
    with pytest.raises(StudyError, match="no front 'price'"):
        Front.of("price", given, known, np.zeros(16, np.int64))
    with pytest.raises(StudyError, match="0 agents and 5 requests"):
        draw("", 0, 5, 0)


def test_one_hub_is_the_optimum_and_more_lose() -> None:
    found = run(seeds=[0, 1], workers=0, progress=lambda done, total: None, sizes=((8, 100, (1, 8)),))
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    assert len(rows) == 1 + len(FRONTS)
    assert str(rows[0]["of the optimum, same caches, %"]) == "100 [100, 100]"
    for row in rows[1:]:
        share = row["of the optimum, same caches, %"]
        assert isinstance(share, Interval) and 0 < share.high < 100
