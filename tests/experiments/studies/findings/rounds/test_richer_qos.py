"""Failures, privacy and tenths of worth: the chances are those of tries, the worthy are served."""

from typing import Any

import numpy as np
import pytest

from experiments.errors import StudyError
from experiments.studies.findings.exhibits.exhibit import Exhibit, Interval
from experiments.studies.findings.rounds.hub_markets import draw
from experiments.studies.findings.rounds.richer_qos import run, with_failures

QUIET: Any = {"workers": 0, "progress": lambda done, total: None}


@pytest.fixture(autouse=True)
def shipped_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IEMAS_DATASETS", raising=False)


def test_expected_attempts_are_those_of_tries() -> None:
    given, _ = draw("", 2, 3, 0)
    homes = np.full(3, -1, np.int64)
    chances = np.array([0.0, 0.5])
    late, costs = given.service(homes)
    values, spent = with_failures(given, homes, chances, 3)
    worth, delay = given.types[:, 0], given.types[:, 1]
    # Never failing: one attempt. Half: 1 + 1/2 + 1/4 attempts, and an answer in 7 of 8.
    assert values[:, 0] == pytest.approx(worth * given.skills[:, 0] - delay * late[:, 0])
    assert spent[:, 0] == pytest.approx(costs[:, 0])
    assert values[:, 1] == pytest.approx(worth * given.skills[:, 1] * 7 / 8 - delay * late[:, 1] * 7 / 4)
    assert spent[:, 1] == pytest.approx(costs[:, 1] * 7 / 4)


@pytest.mark.parametrize(("chances", "attempts"), [([0.1, 1.0], 1), ([-0.1, 0.0], 1), ([0.1, 0.1], 0)])
def test_chances_that_are_none_are_refused(chances: list[float], attempts: int) -> None:
    given, _ = draw("", 2, 3, 0)
    with pytest.raises(StudyError, match="attempts that fail with chances"):
        with_failures(given, np.full(3, -1, np.int64), np.array(chances), attempts)


@pytest.fixture(scope="module")
def found() -> Exhibit:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("IEMAS_DATASETS", raising=False)
        return run(seeds=[0, 1], agents=8, requests=120, **QUIET)


def _means(exhibit: Exhibit, column: str) -> list[float]:
    values = exhibit.column(column)
    assert all(isinstance(value, Interval) for value in values)
    return [value.mean for value in values if isinstance(value, Interval)]


def test_what_is_forbidden_costs_and_the_private_bear_it(found: Exhibit) -> None:
    lost = _means(found, "welfare lost, %")
    assert lost[0] == 0 and lost[-1] > lost[1] and lost[-1] > 0
    private = _means(found, "private bidders' utility, change %")
    assert private[-1] < min(0.0, _means(found, "others' utility, change %")[-1])


def test_knowing_of_failures_never_loses(found: Exhibit) -> None:
    failures = found.more[0]
    assert min(_means(failures, "welfare gained by knowing, %")) >= 0
    assert max(_means(failures, "welfare gained by knowing, %")) > 1


def test_the_auction_serves_the_worthy_and_affinity_does_not_ask(found: Exhibit) -> None:
    served = _means(found.more[1], "auction: served, %")
    assert served[-1] > 90 > served[0]


def test_fewer_requests_than_tenths_are_refused() -> None:
    with pytest.raises(StudyError, match="9 requests; 10 at least"):
        run(seeds=[0], requests=9, **QUIET)
