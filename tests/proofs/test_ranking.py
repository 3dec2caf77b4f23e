"""`rank`: exact averages under a prior, regret by definition, lotteries beside sure mechanisms."""

import json
from fractions import Fraction

import pytest

from allocation import Greedy, Market, MinCostFlow
from mechanisms import VCG, Mechanism, Mixture, PayAsBid, Prior
from proofs import AuditError, Grid, audit
from proofs.properties.bayesian import grid_prior
from proofs.ranking import rank

pytestmark = pytest.mark.usefixtures("replayed_here")

GRID = Grid(2, 1, range(3))
EXACT, PAID = Mechanism(MinCostFlow(), VCG()), Mechanism(MinCostFlow(), PayAsBid())


def test_averages_are_those_of_plain_sums() -> None:
    prior = grid_prior(GRID, [1, 2, 3])
    table = rank({"vcg": EXACT, "pay-as-bid": PAID}, prior, GRID)
    for standing, mechanism in zip(table.standings, (EXACT, PAID), strict=True):
        total = welfare = surplus = 0
        for market, weight in prior.markets(GRID.template):
            outcome = mechanism.run(market)
            total, welfare, surplus = (
                total + weight, welfare + weight * outcome.welfare, surplus + weight * outcome.surplus,
            )  # fmt: skip
        assert (standing.welfare, standing.revenue) == (Fraction(welfare, total), Fraction(surplus, total))
    vcg, paid = table.standings
    assert vcg.worst_regret == vcg.mean_regret == 0
    assert paid.worst_regret == audit(PAID, GRID, ["truthful"])["truthful"].worst > 0
    for bidder in range(2):
        mean = Fraction(0)
        for profile in range(GRID.profiles):
            truth = GRID.market(profile)
            earned = [
                PAID.run(GRID.market(there)).bidder_utilities(truth)[bidder]
                for there in GRID.deviations(profile, bidder)
            ]
            regret = max(earned) - PAID.run(truth).bidder_utilities(truth)[bidder]
            mean += Fraction(prior.weight(truth), prior.total) * regret
        assert paid.mean_regrets[bidder] == mean > 0
    assert paid.mean_regret == sum(paid.mean_regrets) / 2


def test_lots_lie_between_what_they_mix_and_sorting_sorts() -> None:
    prior = grid_prior(GRID)
    table = rank({"mixed": Mixture((EXACT, PAID), (1, 1)), "vcg": EXACT, "pay-as-bid": PAID}, prior, GRID)
    mixed, vcg, paid = table.standings
    assert mixed.revenue == (vcg.revenue + paid.revenue) / 2 and 0 < mixed.worst_regret < paid.worst_regret
    assert [one.name for one in table.by("revenue").standings] == ["pay-as-bid", "mixed", "vcg"]
    assert [one.name for one in table.by("worst_regret").standings] == ["vcg", "mixed", "pay-as-bid"]
    assert json.loads(json.dumps(table.as_dict()))["standings"][0]["worst_regret"] == str(mixed.worst_regret)


def test_credits_are_exact_and_a_wrong_rule_stands_out() -> None:
    prior = Prior.over([Market([[value], [1_000_000]], [[0], [0]], [1]) for value in (1_000_001, 2_500_000)], [1, 1])
    text = str(rank(["vcg", "pay-as-bid"], prior, unit="credits"))
    assert "1.7500005" in text and text.endswith("in credits, exact")
    thirds = Prior.over([Market([[value]], [[0]], [1]) for value in (1, 2)], [1, 2])
    assert "1/600000" in str(rank(["vcg"], thirds, unit="credits"))
    greedy = rank({"greedy": Mechanism(Greedy(), VCG())}, grid_prior(Grid(2, 2, range(4))))
    assert greedy.standings[0].worst_regret > 0 and greedy.reports == (16, 16)


def test_questions_without_sense_are_refused() -> None:
    prior = grid_prior(GRID)
    for wrong, message in (([], "no mechanisms"), ("vcg", "one string"), ({"vcg": VCG()}, "neither run")):
        with pytest.raises(AuditError, match=message):
            rank(wrong, prior)  # type: ignore[arg-type]
    with pytest.raises(AuditError, match="expected micro-units or credits"):
        rank(["vcg"], prior, unit="euros")  # type: ignore[arg-type]
    with pytest.raises(AuditError, match="of shape"):
        rank(["vcg"], prior, Grid(1, 1, range(2)))
    with pytest.raises(AuditError, match="expected name"):
        rank(["vcg"], prior, GRID).by("fame")  # type: ignore[arg-type]
