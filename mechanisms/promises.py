"""`Domain`: where a promise of a rule is meant to hold.

Mechanisms make promises, only findings make claims: a rule says in its `promises` which property it is built to have,
and on which markets. Names of properties are those of `proofs`, and say whose side they are about: `truthful`
and `individually-rational` are about bidders, `truthful-agents` and `agents-rational` about agents, `no-deficit` and
`balanced` about the auctioneer. A domain prints as the statement that it is and knows which markets it covers, so that
an audit tests a promise there and nowhere else.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from allocation import FORBIDDEN, Market


class Domain(StrEnum):
    """A class of markets, defined by their public part alone: no reported value is read."""

    EVERYWHERE = "every market"
    SINGLE_REQUEST = "markets in which every bidder owns one request"
    ONE_AGENT = "markets in which every bidder owns one request, which one agent alone may serve"
    EQUAL_COSTS = "markets in which a bidder owns one request, of the same cost wherever it is served"
    ONE_AGENT_EQUAL_COSTS = "markets in which every bidder owns one request, one agent may serve it, all at one cost"
    FREE = "markets in which serving costs nothing"
    NO_NEGATIVE_COST = "markets in which no cost is negative"
    UNIT_ODDS = "markets in which every chance of success is one in a whole number"
    SINGLE_UNIT_ODDS = "markets of one request per bidder in which every chance of success is one in a whole number"

    def covers(self, market: Market) -> bool:
        """Whether the market belongs to the domain, as far as a market can tell: chances are no part of it."""
        single = len(market.players) == market.shape[0]
        feasible = market.weights != FORBIDDEN
        lone = single and bool((feasible.sum(axis=1) <= 1).all())
        match self:
            case Domain.SINGLE_REQUEST | Domain.SINGLE_UNIT_ODDS:
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
            case Domain.NO_NEGATIVE_COST:
                return bool((market.costs >= 0).all())
            case _:
                return True

    def meet(self, other: "Domain") -> "Domain | None":
        """The domain that lies within both, where one contains the other; None where neither does."""
        if self is other or other is Domain.EVERYWHERE:
            return self
        if self is Domain.EVERYWHERE:
            return other
        return self if other in _WIDER.get(self, ()) else other if self in _WIDER.get(other, ()) else None


#: The domains, other than every market, that contain a domain.
_WIDER: Mapping[Domain, tuple[Domain, ...]] = {
    Domain.ONE_AGENT: (Domain.SINGLE_REQUEST,),
    Domain.EQUAL_COSTS: (Domain.SINGLE_REQUEST,),
    Domain.ONE_AGENT_EQUAL_COSTS: (Domain.ONE_AGENT, Domain.EQUAL_COSTS, Domain.SINGLE_REQUEST),
    Domain.FREE: (Domain.NO_NEGATIVE_COST,),
}


#: Name of a property -> where it is promised. A property that is not named is not promised.
Promises: TypeAlias = Mapping[str, Domain]


#: What follows from what, by definition: all on the right hold, so the left does.
_ENTAILED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("no-deficit", ("balanced",)),
    ("truthful-both", ("truthful", "truthful-agents")),
    ("bayesian-truthful", ("truthful-both",)),
    ("interim-rational", ("individually-rational", "agents-rational")),
)


def entailed(promises: Promises) -> Promises:
    """The promises, and those that follow from them by definition: who is truthful always is so on average.

    A conclusion that is promised already, or on domains of which neither contains the other, is left alone.
    """
    closed = dict(promises)
    for name, reasons in _ENTAILED:
        if name not in closed and all(reason in closed for reason in reasons):
            domain: Domain | None = Domain.EVERYWHERE
            for reason in reasons:
                domain = None if domain is None else domain.meet(closed[reason])
            if domain is not None:
                closed[name] = domain
    return closed


def promises_of(rule: object) -> Promises:
    """What a rule or a whole mechanism promises; nothing where it makes no promises."""
    promises: Promises = getattr(rule, "promises", {})
    return promises
