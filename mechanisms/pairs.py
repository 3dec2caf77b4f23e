"""What a rule promises over an allocator other than its home, or that it refuses that allocator.

Every promise is about all markets of its domain, and rests on one of these:

- Rules that pay agents the cost they report leave no honest agent with a loss, whoever serves whom.
- Exact allocators, `greedy`, `by-value` and `first-come` serve nobody at a loss: a value covers its cost. So bids
  there cover costs, and so do cost alone, cost plus a lower bid, and shares of the whole cost in proportion to values;
  where no cost is negative, no value is either, and what is free harms nobody. `random` and `random-priority` may serve
  at a loss.
- `random` reads no bid, and a charge that does not read the payer's own bid either leaves them nothing to
  misreport about.
- `greedy` gains welfare with every request and with every unit of capacity, since what either displaces has less
  welfare. So nobody's externality is negative, nor any agent's contribution; and without an agent welfare falls by no
  more than that agent serves, so that contributions add up to no more than the bids.
- Over `first-come` a unit of capacity more either leaves a bidder with one request where they were or goes to them, in
  which case their old one is free: nobody after them has less to choose from. A bidder with several requests may choose
  another of their equally good bundles, and leave others worse off than without that unit.
"""

from collections.abc import Mapping

from mechanisms.promises import Domain, Promises

#: Stands for every exact allocator at once.
EXACT = "exact"

_AGENTS: Promises = {"agents-rational": Domain.EVERYWHERE}
_TRUTHFUL: Promises = {"truthful": Domain.EVERYWHERE}
_RATIONAL: Promises = {"individually-rational": Domain.EVERYWHERE}
_SOLVENT: Promises = {"no-deficit": Domain.EVERYWHERE}
_BALANCED: Promises = {"balanced": Domain.EVERYWHERE}
_EFFICIENT: Promises = {"efficient": Domain.EVERYWHERE}
_SAFE: Promises = {**_RATIONAL, **_AGENTS, **_SOLVENT}
_HARMLESS: Promises = {"individually-rational": Domain.NO_NEGATIVE_COST}

_ALONE = Domain.SINGLE_REQUEST

#: Rules that pay agents their cost and charge bidders an externality, measured by running the allocator again.
_EXTERNALITIES: Mapping[str, Promises] = {
    "greedy": _SAFE,
    "first-come": {**_AGENTS, "no-deficit": _ALONE},
    "by-value": _AGENTS,
    "random-priority": _AGENTS,
    "random": {**_TRUTHFUL, **_AGENTS},
}

#: Rules that charge something between cost and bid, where the bid is no less than the cost.
_BETWEEN: Mapping[str, Promises] = {
    "greedy": _SAFE,
    "first-come": _SAFE,
    "by-value": _SAFE,
    "random-priority": {**_SOLVENT, **_AGENTS},
    "random": {**_SOLVENT, **_AGENTS},
}

_REFUSED_UNLESS_EXACT: Mapping[str, None] = dict.fromkeys(
    ("greedy", "first-come", "by-value", "random-priority", "random")
)
_REFUSED_UNLESS_BY_VALUE: Mapping[str, None] = dict.fromkeys(
    (EXACT, "greedy", "first-come", "random-priority", "random")
)

#: Rule -> allocator, or `EXACT` -> what is promised there; None where the rule refuses every market.
AWAY: Mapping[str, Mapping[str, Promises | None]] = {
    "vcg": _EXTERNALITIES,
    "vcg-reserve": _EXTERNALITIES,
    "affine": _EXTERNALITIES,
    "pay-as-bid": {
        "greedy": _SAFE,
        "first-come": _SAFE,
        "by-value": _SAFE,
        "random-priority": {**_RATIONAL, **_AGENTS},
        "random": {**_RATIONAL, **_AGENTS},
    },
    "posted-price": {
        EXACT: {**_SAFE, **_BALANCED, **_EFFICIENT},
        "greedy": {**_SAFE, **_BALANCED},
        "by-value": {**_SAFE, **_BALANCED},
        "random-priority": {**_BALANCED, **_AGENTS},
        "random": {**_TRUTHFUL, **_BALANCED, **_AGENTS},
    },
    "second-price": _BETWEEN,
    "proportional-share": _BETWEEN,
    "free": {
        EXACT: {**_HARMLESS, **_BALANCED, **_EFFICIENT},
        "greedy": {**_HARMLESS, **_BALANCED},
        "first-come": {**_HARMLESS, **_BALANCED},
        "by-value": {**_HARMLESS, **_BALANCED},
        "random": {**_TRUTHFUL, **_BALANCED},
    },
    "two-sided-vcg": {
        "greedy": {**_RATIONAL, **_AGENTS},
        "first-come": {"agents-rational": _ALONE},
        "by-value": {},
        "random-priority": {},
        "random": _TRUTHFUL,
    },
    "procurement-vcg": {
        "greedy": _SAFE,
        "first-come": {**_RATIONAL, "agents-rational": _ALONE},
        "by-value": _RATIONAL,
        "random-priority": _RATIONAL,
        "random": _RATIONAL,
    },
    "clearing-price": _REFUSED_UNLESS_EXACT,
    "highest-clearing-price": _REFUSED_UNLESS_EXACT,
    "redistribution": _REFUSED_UNLESS_EXACT,
    "critical-value": _REFUSED_UNLESS_BY_VALUE,
    "vickrey": _REFUSED_UNLESS_BY_VALUE,
}
