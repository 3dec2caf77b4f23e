"""Who serves whom: a `Market` goes in, an `Allocation` comes out, with dual prices where it is provably optimal.

| module | idea |
|---|---|
| `money` | int64 micro-units, and the one door from floats |
| `checks` | what a market's public part must be: whole numbers, capacities, bidders, forbidden pairs |
| `notebook` | how markets and tables look in a notebook |
| `allocation` | `Allocation`: who serves whom, with dual prices where it claims an optimum |
| `market` | `Market`, welfare, feasibility, the optimality certificate |
| `allocator` | the protocol that every allocator follows |
| `exact/` | greatest welfare with its proof: `MinCostFlow` (the default), other solvers, duals, batches |
| `ties` | every allocation that another tie-break would choose; the protocol `TieAware` |
| `heuristic/` | allocations that claim no optimum: `Greedy`, `Random`, hubs; `BruteForce` |
| `laws` | `check_allocator`: what every allocator owes, anybody's |
| `kernels/` | the machine code of `MinCostFlow`, arrays only |
"""

from allocation.allocation import UNSERVED, Allocation
from allocation.allocator import Allocator, BatchAllocator, WarmAllocator, stands_for
from allocation.errors import CertificateError, LawError, MarketError, SolverError, TieError
from allocation.exact.duals import externalities, improve, minimal_prices
from allocation.exact.min_cost_flow import MinCostFlow
from allocation.exact.networks import NetworkFlow, OrTools
from allocation.exact.programs import ConvexProgram, LinearProgram
from allocation.heuristic.simple import BruteForce, Greedy, Random
from allocation.laws import check_allocator
from allocation.market import FORBIDDEN, Market
from allocation.money import MAX_AMOUNT, MICROS, to_micros
from allocation.ties import TieAware, optimal_allocations, tied_allocations

__all__ = [
    "FORBIDDEN",
    "MAX_AMOUNT",
    "MICROS",
    "UNSERVED",
    "Allocation",
    "Allocator",
    "BatchAllocator",
    "BruteForce",
    "CertificateError",
    "ConvexProgram",
    "Greedy",
    "LawError",
    "LinearProgram",
    "Market",
    "MarketError",
    "MinCostFlow",
    "NetworkFlow",
    "OrTools",
    "Random",
    "SolverError",
    "TieAware",
    "TieError",
    "WarmAllocator",
    "check_allocator",
    "externalities",
    "improve",
    "minimal_prices",
    "optimal_allocations",
    "stands_for",
    "tied_allocations",
    "to_micros",
]
