import numpy as np
import pytest

from proofs import AuditError, Grid, Misreport, Sample


def test_a_grid_holds_every_profile_once() -> None:
    grid = Grid(bidders=2, agents=2, values=range(3))
    seen = {tuple(grid.market(profile).values.ravel().tolist()) for profile in range(grid.profiles)}
    assert len(seen) == grid.profiles == 3**4
    assert all(set(values) <= {0, 1, 2} for values in seen)


def test_pairs_count_every_misreport_of_every_bidder_in_every_profile() -> None:
    grid = Grid(bidders=2, agents=1, values=(0, 2, 5), owners=(0, 1, 0))
    misreports = [list(grid.misreports(profile, bidder)) for profile in range(grid.profiles) for bidder in range(2)]
    assert grid.sizes == (9, 3)
    assert sum(map(len, misreports)) == grid.pairs == 27 * (8 + 2)
    assert len(set(misreports[0])) == 8


def test_a_misreport_never_equals_the_truth() -> None:
    grid = Grid(bidders=2, agents=2, values=range(2))
    for profile in range(grid.profiles):
        truth = grid.market(profile)
        assert all((misreport.applied(truth).values != truth.values).any() for misreport in grid.misreports(profile, 1))


def test_an_owner_of_several_requests_is_one_player() -> None:
    grid = Grid(bidders=2, agents=2, values=range(2), requests_per_bidder=2)
    assert grid.sizes == (16, 16)
    assert grid.market(0).bidders.tolist() == [0, 0, 1, 1]
    assert grid.types(0).shape == (16, 2, 2)


def test_types_follow_the_order_of_profiles() -> None:
    grid = Grid(bidders=2, agents=2, values=range(3))
    assert grid.market(0).values.tolist() == [[0, 0], [0, 0]]
    assert grid.market(1).values.tolist() == [[0, 0], [0, 1]]
    assert grid.market(9).values.tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        (
            Grid(),
            "3 bidders x 2 agents, values {0..3}, capacities 1,1, costs 0; ties as the allocator breaks them (first)",
        ),
        (
            Grid(1, 1, (5, 0), requests_per_bidder=2, capacities=2, costs=3),
            "1 bidder with 2 requests x 1 agent, values {0, 5}, capacities 2, costs 3; "
            "ties as the allocator breaks them (first)",
        ),
        (
            Grid(
                2,
                2,
                (0, 1),
                owners=(1, 0, 1),
                costs=(1, 2),
                capacities=(1, 0),
                feasible=[[True, False]] + [[True] * 2] * 2,
            ),
            "2 bidders owning [1, 0, 1] x 2 agents, values {0, 1}, capacities 1,0, costs [[1, 2], [1, 2], [1, 2]], "
            "forbidden pairs (0, 1); ties as the allocator breaks them (first)",
        ),
        (
            Sample(bidders=9, agents=2, values=(1, 50), draws=7, seed=3),
            "7 random markets of 9 bidders x 2 agents, values uniform on {1..50}, capacities 1,1, costs 0, seed 3; "
            "ties as the allocator breaks them (first)",
        ),
    ],
)
def test_scopes_print_themselves_exactly(scope: Grid | Sample, text: str) -> None:
    assert str(scope) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": ()}, "values is empty"),
        ({"values": 4}, "values = 4"),
        ({"values": (0, 0.5)}, "0.5"),
        ({"values": (0, True)}, "True"),
        ({"values": (1, 1)}, "repeat"),
        ({"values": (0, 2**41)}, "rescale"),
        ({"bidders": 0}, "bidders = 0"),
        ({"agents": 0}, "agents = 0"),
        ({"agents": 1.5}, "1.5"),
        ({"requests_per_bidder": 0}, "requests_per_bidder = 0"),
        ({"owners": (0, 1)}, "0..2"),
        ({"owners": (0, 1, 2), "requests_per_bidder": 2}, "give one of them"),
        ({"capacities": -1}, "negative"),
        ({"capacities": (1, 1, 1)}, "do not fit"),
        ({"costs": 0.5}, "float"),
        ({"costs": [[1, 2]] * 2}, "do not fit"),
        ({"feasible": [[True]]}, "feasible"),
        ({"values": range(11)}, "1,771,561 profiles, limit 1,000,000"),
    ],
)
def test_malformed_grids_are_refused_by_name(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(AuditError, match=message):
        Grid(**arguments)  # type: ignore[arg-type]


def test_the_limit_can_be_raised() -> None:
    assert Grid(values=range(11), limit=2_000_000).profiles == 11**6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": (3, 1)}, "low, high"),
        ({"values": (1, 2, 3)}, "low, high"),
        ({"draws": 0}, "draws = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"bidders": 0}, "bidders = 0"),
    ],
)
def test_malformed_samples_are_refused_by_name(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(AuditError, match=message):
        Sample(**arguments)  # type: ignore[arg-type]


def test_draws_are_a_function_of_seed_and_index() -> None:
    sample, again = Sample(seed=4), Sample(seed=4, draws=3)
    assert np.array_equal(sample.market(2).values, again.market(2).values)
    assert not np.array_equal(sample.market(2).values, Sample(seed=5).market(2).values)


def test_a_misreport_must_fit_its_bidder() -> None:
    truth = Grid(bidders=2, agents=2).market(0)
    with pytest.raises(AuditError, match=r"bidder 2 misreports with rows of shape \(1, 2\)"):
        Misreport(2, ((0, 0),)).applied(truth)
    with pytest.raises(AuditError, match="shape"):
        Misreport(0, ((0, 0, 0),)).applied(truth)
    with pytest.raises(AuditError, match="float64"):
        Misreport.of(0, [[0.5, 1]]).applied(truth)


def test_profiles_beyond_the_grid_are_refused() -> None:
    with pytest.raises(AuditError, match=r"profiles are 0\.\.80"):
        Grid(bidders=2, agents=2, values=range(3)).market(81)
