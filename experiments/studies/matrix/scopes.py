"""The grids on which rules are tried: small enough for a second each.

Together they break every rule, over whichever allocator, that can be broken on grids of this size.
"""

from proofs import Grid

#: A bidder whose three requests may go where these rows say has several best bundles. Which one they take
#: turns on whether agent 0 has free capacity: with it they take agent 3 as well, which the last bidder can use alone.
_TORN = [[True, True, False, True], [False, True, True, False], [True, False, False, False]]
_LAST = [False, False, False, True]

#: Bidders misreport, agents' terms are public.
SCOPES: tuple[Grid, ...] = (
    Grid(bidders=2, agents=2, values=range(3)),
    Grid(bidders=2, agents=2, values=(0, 2, 3), costs=(0, 2)),
    Grid(bidders=3, agents=1, values=range(4), costs=[[0], [1], [2]]),
    Grid(bidders=3, agents=1, values=range(4), costs=1, capacities=2),
    Grid(bidders=2, agents=1, values=range(3), costs=1, capacities=3, requests_per_bidder=2),
    Grid(bidders=2, agents=2, values=range(2), requests_per_bidder=2),
    Grid(bidders=2, agents=2, values=(-1, 1, 2)),
    Grid(bidders=3, agents=2, values=range(2)),
    # Of positive welfare, and of negative value to those who are served.
    Grid(bidders=2, agents=1, values=(-1, 1), costs=-2),
    # Ranked by value alone, a dear request displaces a cheap one: at once; where agent 0 is away, to which it would go;
    # and a request takes the dear agent 0 as soon as the rival is away who holds it.
    Grid(bidders=2, agents=1, values=(9,), costs=[[7], [0]]),
    Grid(bidders=2, agents=2, values=(3,), costs=[[0, 2], [0, 1]], feasible=[[True, True], [False, True]]),
    Grid(bidders=2, agents=2, values=(9,), costs=[[6, 0], [7, 0]], feasible=[[True, False], [True, True]]),
    Grid(3, 4, (8,), [[6] * 4] * 4 + [[1] * 4], owners=(0, 1, 1, 1, 2), feasible=[_TORN[2], *_TORN, _LAST]),
)

#: Agents are players too: they may misreport about their costs and their capacity.
TWO_SIDED: tuple[Grid, ...] = (
    Grid(2, 1, range(3), private_costs=range(3), private_capacities=range(3), costs_per_pair=True),
    Grid(2, 2, range(2), private_costs=range(2), private_capacities=range(2)),
    Grid(2, 1, range(2), private_costs=range(2), private_capacities=range(3), requests_per_bidder=2),
    Grid(2, 2, (0, 2), private_costs=range(2)),
)

#: Where trade reduction makes sense.
ONE_GOOD: tuple[Grid, ...] = (
    Grid(3, 2, range(3), one_good=True, private_costs=range(3), private_capacities=range(2)),
    Grid(2, 3, range(3), one_good=True, private_costs=range(3)),
)

#: Where a uniform prior gives every expected externality as a whole number of micro-units.
AVERAGE: tuple[Grid, ...] = (
    Grid(2, 1, (0, 18, 36), private_costs=(0, 18)),
    Grid(2, 1, (0, 16), private_costs=(0, 8), requests_per_bidder=2),
    Grid(2, 1, (8, 16), private_costs=(4, 8), private_capacities=range(2)),
    Grid(2, 2, (0, 32), private_costs=(0, 16)),
    # Greedy gives bidder 0 the one agent that bidder 1 may go to; hiding that they like it more is better for them.
    Grid(2, 2, (32, 48), feasible=[[True, True], [True, False]]),
    # Whoever is served costs no less than their value: agents do better to withhold their capacity.
    Grid(2, 1, (8,), private_costs=(8, 16), private_capacities=range(2)),
    # Ranked by value alone, the dear request is served, and by the dear agent.
    Grid(2, 1, (16, 24), [[16], [0]]),
    Grid(1, 2, (16, 24), [[16, 0]], private_capacities=(1,)),
    Grid(2, 4, (8,), [[6] * 4] * 3 + [[1] * 4], owners=(0, 0, 0, 1), feasible=[*_TORN, _LAST], private_capacities=(1,)),
)

#: Agents that could take everybody, of whose capacity the published router auctions one each.
AMPLE: tuple[Grid, ...] = (
    Grid(bidders=2, agents=2, values=range(4), costs=(0, 1), capacities=2),
    Grid(bidders=2, agents=1, values=range(4), costs=1, capacities=2),
)
AMPLE_TWO_SIDED: tuple[Grid, ...] = (Grid(2, 1, range(3), capacities=2, private_costs=range(3)),)
AMPLE_AVERAGE: tuple[Grid, ...] = (
    Grid(2, 1, (0, 1, 2), capacities=2, private_costs=(0, 1)),
    Grid(2, 2, (0, 1, 20), capacities=2),
)

#: For allocators that take milliseconds for a market of one pair: they are proved right elsewhere, by certificate.
TINY: tuple[Grid, ...] = (Grid(bidders=2, agents=1, values=range(2)),)
TINY_TWO_SIDED: tuple[Grid, ...] = (Grid(2, 1, (1, 2), private_costs=range(2)),)
