"""`Domain`: where a promise of a rule is meant to hold.

Mechanisms make promises, only findings make claims: a rule says in its `promises` which property it is built to have,
and on which markets. Names of properties are those of the proofs room; a domain prints as the statement that it is and
knows which markets it speaks of, so that an audit can hold a rule to its word there and nowhere else.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from allocation import FORBIDDEN, Market


class Domain(StrEnum):
    """A class of markets, told by their public part alone: no reported value is read."""

    EVERYWHERE = "every market"
    SINGLE_REQUEST = "markets in which every bidder owns one request"
    ONE_AGENT = "markets in which every bidder owns one request, which one agent alone may serve"
    EQUAL_COSTS = "markets in which a bidder owns one request, of the same cost wherever it is served"
    ONE_AGENT_EQUAL_COSTS = "markets in which every bidder owns one request, one agent may serve it, all at one cost"
    FREE = "markets in which serving costs nothing"

    def covers(self, market: Market) -> bool:
        """Whether the market belongs to the domain."""
        single = len(market.players) == market.shape[0]
        feasible = market.weights != FORBIDDEN
        lone = single and bool((feasible.sum(axis=1) <= 1).all())
        match self:
            case Domain.SINGLE_REQUEST:
                return single
            case Domain.ONE_AGENT:
                return lone
            case Domain.EQUAL_COSTS:
                spread = np.where(feasible, market.costs, market.costs.max(axis=1, initial=0, keepdims=True))
                top = np.where(feasible, market.costs, market.costs.min(axis=1, initial=0, keepdims=True))
                return single and bool((top.max(axis=1) <= spread.min(axis=1)).all())
            case Domain.ONE_AGENT_EQUAL_COSTS:
                return lone and np.unique(market.costs[feasible]).size <= 1
            case Domain.FREE:
                return not market.costs.any()
            case _:
                return True


#: Name of a property -> where it is promised. A property that is not named is not promised.
Promises: TypeAlias = Mapping[str, Domain]


def promises_of(rule: object) -> Promises:
    """What a rule or a whole mechanism promises; nothing where it makes no promises."""
    promises: Promises = getattr(rule, "promises", {})
    return promises
