"""The grids on which rules are tried: small enough for a second each.

Together they break every rule here that can be broken on a grid of this size.
"""

from proofs import Grid

#: Bidders lie, agents' terms are public.
SPACES: tuple[Grid, ...] = (
    Grid(bidders=2, agents=2, values=range(3)),
    Grid(bidders=2, agents=2, values=(0, 2, 3), costs=(0, 2)),
    Grid(bidders=3, agents=1, values=range(4), costs=[[0], [1], [2]]),
    Grid(bidders=3, agents=1, values=range(4), costs=1, capacities=2),
    Grid(bidders=2, agents=1, values=range(3), costs=1, capacities=3, requests_per_bidder=2),
    Grid(bidders=2, agents=2, values=range(2), requests_per_bidder=2),
    Grid(bidders=2, agents=2, values=(-1, 1, 2)),
    Grid(bidders=3, agents=2, values=range(2)),
)

#: Agents are players too: they may lie about their costs and their capacity.
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

#: Where a uniform prior gives every expected externality as a whole number of ticks.
AVERAGE: tuple[Grid, ...] = (
    Grid(2, 1, (0, 18, 36), private_costs=(0, 18)),
    Grid(2, 1, (0, 16), private_costs=(0, 8), requests_per_bidder=2),
    Grid(2, 1, (8, 16), private_costs=(4, 8), private_capacities=range(2)),
    Grid(2, 2, (0, 32), private_costs=(0, 16)),
)

#: Agents that could take everybody, of which the published router auctions one slot each.
ROOMY: tuple[Grid, ...] = (
    Grid(bidders=2, agents=2, values=range(4), costs=(0, 1), capacities=2),
    Grid(bidders=2, agents=1, values=range(4), costs=1, capacities=2),
)
ROOMY_TWO_SIDED: tuple[Grid, ...] = (Grid(2, 1, range(3), capacities=2, private_costs=range(3)),)
ROOMY_AVERAGE: tuple[Grid, ...] = (
    Grid(2, 1, (0, 1, 2), capacities=2, private_costs=(0, 1)),
    Grid(2, 2, (0, 1, 20), capacities=2),
)

#: For allocators that take milliseconds for a market of one pair: they are proved right elsewhere, by certificate.
TINY: tuple[Grid, ...] = (Grid(bidders=2, agents=1, values=range(2)),)
