"""The batch path against one run per profile, and blocks against the whole."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation import Greedy, Market, MinCostFlow
from mechanisms import VCG, Mechanism, Outcome, Outcomes, Payments, TwoSidedVCG
from mechanisms.mechanism import has_batch_path
from proofs import ALL, AuditError, Efficient, Grid, NoDeficit, audit
from proofs.claims.optimum import optima, optimum
from proofs.claims.property import BatchProperty, OutcomeProperty
from proofs.grids import table as tables
from proofs.grids.exhaustive import rerun_note
from proofs.grids.table import Enumeration, Table
from proofs.properties.agents import AgentsRational
from proofs.properties.budget import Balanced
from proofs.scopes.profiles import alike, by_players, exchanged, values_of
from tests.markets import random_market
from tests.proofs.helpers import examined
from tests.proofs.rules import EXACT, Spoiled

GRIDS = [
    Grid(2, 2, range(3), costs=[[0, 1], [2, 0]]),
    Grid(3, 1, (-1, 0, 2), capacities=2, costs=1),
    Grid(2, 2, range(2), owners=(1, 0, 1), feasible=[[True, False], [True, True], [False, True]]),
    Grid(2, 1, range(3), private_costs=range(3), private_capacities=(0, 1, 2)),
    Grid(1, 2, range(2), private_costs=range(2), costs_per_pair=True, one_good=True),
]


@dataclass(frozen=True)
class Batched:
    """A mechanism with a batch path, which may be broken in one way."""

    inner: Spoiled | Mechanism
    broken: str = ""

    def run(self, market: Market) -> Outcome:
        return self.inner.run(market)

    def run_many(self, values: np.ndarray, template: Market) -> Outcomes:
        found = [self.inner.run(template.replace(values=one)) for one in values]
        agents = np.array([outcome.allocation.agents for outcome in found])
        charges = np.array([outcome.payments.charges for outcome in found])
        receipts = np.array([outcome.payments.receipts for outcome in found])
        match self.broken:
            case "crowd":
                agents = np.zeros_like(agents)
            case "stranger":
                agents[-1, 0] = 7
            case "forbidden":
                agents[-1, :] = [1, -1, -1]
            case "float":
                charges = charges.astype(np.float64)
            case "short":
                receipts = receipts[1:]
            case "huge":
                charges[0, 0] = -(2**63)
            case "other":
                charges = charges + 1
        return Outcomes(agents, charges, receipts)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize(
    "inner", [Spoiled("rebate"), Mechanism(Greedy(), VCG()), Mechanism(MinCostFlow(), TwoSidedVCG())], ids=str
)
def test_a_batch_path_finds_what_one_run_per_profile_finds(inner: Spoiled | Mechanism, grid: Grid) -> None:
    properties = [*ALL, Balanced(), AgentsRational()]
    batched, single = (examined(mechanism, grid, properties) for mechanism in (Batched(inner), inner))
    assert has_batch_path(Batched(inner)) and not has_batch_path(inner)
    for name, finding in single.items():
        other = batched[name]
        assert (other.status, other.worst, other.cases) == (finding.status, finding.worst, finding.cases)
        if finding.counterexample is not None and other.counterexample is not None:
            assert other.counterexample.as_dict() == finding.counterexample.as_dict()


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_table_is_the_same_however_the_grid_is_cut(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Enumeration(Spoiled("rebate"), grid, tuple(prop for prop in ALL if isinstance(prop, OutcomeProperty)))
    whole = Table.of([work.answer(0)], work)
    monkeypatch.setattr(tables, "FEW", 7)
    assert work.blocks > 1
    cut = Table.of([work.answer(number) for number in range(work.blocks)], work)
    assert cut.worst == whole.worst
    for part in ("agents", "charges", "receipts"):
        np.testing.assert_array_equal(getattr(cut, part), getattr(whole, part))


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_many_profiles_are_the_markets_of_the_grid(grid: Grid) -> None:
    seen = []
    for profiles, template in alike(grid, 2, min(grid.profiles, 60)):
        for profile, values in zip(profiles.tolist(), values_of(grid, profiles), strict=True):
            assert repr(template.replace(values=values)) == repr(grid.market(profile))
            seen.append(profile)
    assert sorted(seen) == list(range(2, min(grid.profiles, 60)))
    for player in range(len(grid.sizes)):
        rows = by_players(np.arange(grid.profiles), grid, (player,))
        for line in rows.tolist():
            others = [types[:player] + types[player + 1 :] for types in map(grid.rows, line)]
            assert others == others[:1] * grid.sizes[player]
            assert [grid.rows(profile)[player] for profile in line] == list(range(grid.sizes[player]))


def test_profiles_by_coalition_and_with_players_exchanged() -> None:
    grid = Grid(bidders=3, agents=1, values=range(2), owners=[0, 1, 1, 2])
    whole = np.arange(grid.profiles)
    for line in by_players(whole, grid, (2, 0)).tolist():
        assert [grid.rows(profile)[::-2] for profile in line] == [[0, 0], [0, 1], [1, 0], [1, 1]]
        assert len({grid.rows(profile)[1] for profile in line}) == 1
    grid = Grid(bidders=3, agents=1, values=range(3))
    for profile, there in enumerate(exchanged(np.arange(grid.profiles), grid, 1).tolist()):
        first, second, third = grid.rows(profile)
        assert grid.rows(there) == [first, third, second]
    crowd = Grid(bidders=70, agents=1, values=[1])
    assert by_players(np.arange(1), crowd, (69,)).tolist() == [[0]]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("crowd", r"run_many of Batched is infeasible on Market.*serves 2 requests"),
        ("stranger", r"infeasible on Market.*agent 7"),
        ("float", r"run_many of Batched returned charges of shape .* and type float64; expected .* in int64"),
        ("short", r"run_many of Batched returned receipts of shape"),
        ("huge", r"exceed .* rescale"),
        ("other", r"answers Market.* differently.*let run_many decide as run does"),
    ],
)
def test_a_broken_batch_path_is_refused(broken: str, message: str) -> None:
    with pytest.raises(AuditError, match=message):
        audit(Batched(EXACT, broken), Grid(2, 1, range(2)))


def test_a_batch_path_may_not_match_forbidden_pairs() -> None:
    with pytest.raises(AuditError, match="forbidden"):
        audit(Batched(EXACT, "forbidden"), GRIDS[2])


class Sly(Mechanism):
    """Inherits `run_many`, and runs otherwise on one profile."""

    def run(self, market: Market) -> Outcome:
        right = Mechanism(self.allocator, self.rule).run(market)
        off = int(market.values.tolist() == [[3, 1], [2, 2]])
        return Outcome(market, right.allocation, Payments(right.payments.charges - off, right.payments.receipts))


class SlyBatched(Batched):
    """The same of any batch path."""

    def run(self, market: Market) -> Outcome:
        return Sly(MinCostFlow(), VCG()).run(market)


@pytest.mark.parametrize("sly", [Sly(MinCostFlow(), VCG()), SlyBatched(EXACT)], ids=["mechanism", "batched"])
def test_an_inherited_batch_path_is_not_asked_where_run_is_overridden(sly: Sly | SlyBatched) -> None:
    assert not has_batch_path(sly)
    grid = Grid(2, 2, range(4))
    finding = examined(sly, grid, [NoDeficit()])["no-deficit"]
    assert finding.counterexample is not None
    assert finding.counterexample.truth.values.tolist() == [[3, 1], [2, 2]]


def test_inherited_ties_are_not_listed_where_run_is_overridden() -> None:
    with pytest.raises(AuditError, match="does not say how it might have broken ties"):
        audit(Sly(MinCostFlow(), VCG()), Grid(2, 1, range(2), ties="all"))


def test_a_finding_says_that_it_rests_on_the_batch_path() -> None:
    finding = examined(EXACT, Grid(2, 1, range(3)), [NoDeficit()])["no-deficit"]
    assert finding.note == "every profile asked through run_many, and through run"
    alone = examined(Mechanism(Greedy(), VCG()), Grid(2, 1, range(3)), [NoDeficit()])["no-deficit"]
    assert alone.note == "every profile asked twice"


@pytest.mark.parametrize(
    ("again", "profiles", "chance"),
    [(459, 10**9, "99.0 %"), (32, 10**9, "27.5 %"), (459, 810_000, "99.0 %"), (459, 729, "more than 99.9 %")],
)
def test_asking_again_says_what_it_is_worth(again: int, profiles: int, chance: str) -> None:
    assert rerun_note(again, profiles, batch=False).endswith(f"on 1 % of them are noticed with probability {chance}")


class Coin:
    """VCG, but for a coin that is thrown in markets of one value profile in a hundred."""

    def __init__(self) -> None:
        self.throws = 0

    def run(self, market: Market) -> Outcome:
        outcome = EXACT.run(market)
        if int(market.values.sum()) % 100 != 7:
            return outcome
        self.throws += 1
        charges = outcome.payments.charges + self.throws * outcome.allocation.served
        return Outcome(market, outcome.allocation, Payments(charges, outcome.payments.receipts))


def test_a_rare_coin_is_noticed() -> None:
    grid = Grid(2, 2, range(10), limit=10**6)
    share = np.mean([int(grid.market(profile).values.sum()) % 100 == 7 for profile in range(0, grid.profiles, 7)])
    assert share < 0.02
    with pytest.raises(AuditError, match="differently when asked again"):
        audit(Coin(), grid, [NoDeficit()])


class Contradictory:
    """A property whose two ways of looking disagree."""

    name: ClassVar[str] = "contradictory"

    def check(self, outcome: Outcome, truth: Market) -> None:
        return None

    def amounts(self, outcomes: Outcomes, values: np.ndarray, template: Market) -> np.ndarray:
        return np.ones(len(values), np.int64)


def test_a_property_that_contradicts_itself_is_refused() -> None:
    assert isinstance(Contradictory(), BatchProperty)
    with pytest.raises(AuditError, match=r"contradictory.*amounts"):
        audit(EXACT, Grid(2, 1, range(2)), [Contradictory()])


@given(st.integers(0, 2**32), st.integers(0, 5), st.integers(1, 4))
def test_optima_of_many_are_the_optimum_of_each(seed: int, requests: int, agents: int) -> None:
    rng = np.random.default_rng(seed)
    template = random_market(rng, requests, agents)
    values = rng.integers(-3, 9, (4, requests, agents))
    each = [optimum(template.replace(values=one)) for one in values]
    assert optima(values - template.costs, template).tolist() == each
    assert isinstance(Efficient(), BatchProperty)
