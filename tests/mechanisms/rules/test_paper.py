"""The published rule behaves as its description says, fault by fault."""

import numpy as np
import pytest

from allocation import Market
from mechanisms import MechanismError
from mechanisms.rules.paper import PAPER, PaperRouter

ROUTER = PaperRouter(slots=1, grain=1)


def at_weights(weights: list[list[int]], slots: int = 2) -> Market:
    """Values 100 above the weights, at cost 100."""
    return Market(np.array(weights) + 100, np.full(np.shape(weights), 100), [slots] * np.shape(weights)[1])


def test_cardinality_comes_before_welfare_and_charges_more_than_the_service_is_worth() -> None:
    outcome = ROUTER.run(at_weights([[120, 1], [1, -2]]))
    assert outcome.allocation.agents.tolist() == [1, 0] and outcome.welfare == 2
    assert outcome.payments.charges.tolist() == [100, 100 + 119]
    assert outcome.bidder_utilities() == {0: 1, 1: -118}


def test_the_unmatched_ride_free_at_their_favourite_even_at_a_loss() -> None:
    outcome = ROUTER.run(at_weights([[5, 9], [7, 8], [-4, -3]], slots=3))
    assert outcome.allocation.agents.tolist() == [1, 0, 1]
    assert outcome.payments.charges.tolist() == [101, 100, 0] and outcome.surplus == -99
    crowd = ROUTER.run(at_weights([[5], [7], [6]], slots=3))
    assert crowd.allocation.agents.tolist() == [0, 0, 0] and crowd.payments.charges.tolist() == [0, 106, 0]


def test_free_service_beyond_what_an_agent_accepts_is_refused() -> None:
    with pytest.raises(MechanismError, match="sends 3 requests to agent 0, which takes 2: its free service ignores"):
        ROUTER.run(at_weights([[5], [7], [6]], slots=2))


def test_rounding_charges_more_where_nobody_competes_and_hides_small_welfare() -> None:
    assert PaperRouter().run(at_weights([[1600]])).payments.charges.tolist() == [100]
    assert PaperRouter(grain=1000).run(at_weights([[1501], [1499]])).payments.charges.tolist() == [100, 599]
    assert PaperRouter(grain=1000).run(at_weights([[1400]])).payments.charges.tolist() == [500]
    small = at_weights([[501, 1499], [1, 501]])
    assert ROUTER.run(small).allocation.agents.tolist() == [1, 0]
    assert PaperRouter(slots=1, grain=1000).run(small).allocation.agents.tolist() == [0, 1]


def test_without_scarcity_it_is_an_argmax() -> None:
    market = at_weights([[5, 9], [7, 8], [6, 1]], slots=128)
    outcome = PaperRouter(grain=1).run(market)
    assert outcome.allocation.agents.tolist() == [1, 1, 0] and outcome.payments.charges.tolist() == [100] * 3


def test_forbidden_pairs_stay_forbidden() -> None:
    market = Market([[5, 9], [7, 8]], [[1, 1], [1, 1]], [2, 2], feasible=[[True, False], [False, False]])
    assert ROUTER.run(market).allocation.agents.tolist() == [0, -1]


def test_constants_and_bad_parameters() -> None:
    assert PAPER.preferences().value(1.0, 2.0) == 45_000_000
    assert PAPER.preferences(1.0).value(0.5, 9.0) == 50_000_000
    for wrong in ({"slots": -1}, {"grain": 0}, {"slots": True}):
        with pytest.raises(MechanismError, match=next(iter(wrong))):
            PaperRouter(**wrong)
