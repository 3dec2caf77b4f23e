"""Who serves whom: a `Market` goes in, an `Allocation` comes out, with dual prices where it is provably optimal.

| module | idea |
|---|---|
| `money` | int64 micro-units, and the one door from floats |
| `market` | `Market`, `Allocation`, welfare, feasibility, the optimality certificate |
| `allocator` | the protocol that every allocator follows |
| `flow` | `MinCostFlow`, ours, the default |
| `programs` | `LinearProgram` (PuLP), `ConvexProgram` (cvxpy) |
| `networks` | `NetworkFlow` (networkx), `OrTools` |
| `simple` | `BruteForce`, `Greedy`, `Random` |
| `duals` | minimal supporting prices; externalities; repair of any allocation to an optimal one |
| `ties` | every allocation that another tie-break would choose; the protocol `TieAware` |
| `batch` | `allocate_many`: many small markets in one call |
"""

from allocation.allocator import Allocator, WarmAllocator, stands_for
from allocation.batch import allocate_many
from allocation.duals import externalities, improve, minimal_prices
from allocation.errors import CertificateError, MarketError, SolverError, TieError
from allocation.flow import MinCostFlow
from allocation.market import FORBIDDEN, UNSERVED, Allocation, Market
from allocation.money import MAX_AMOUNT, MICROS, to_micros
from allocation.networks import NetworkFlow, OrTools
from allocation.programs import ConvexProgram, LinearProgram
from allocation.simple import BruteForce, Greedy, Random
from allocation.ties import TieAware, optimal_allocations, tied_allocations

__all__ = [
    "FORBIDDEN",
    "MAX_AMOUNT",
    "MICROS",
    "UNSERVED",
    "Allocation",
    "Allocator",
    "BruteForce",
    "CertificateError",
    "ConvexProgram",
    "Greedy",
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
    "allocate_many",
    "externalities",
    "improve",
    "minimal_prices",
    "optimal_allocations",
    "stands_for",
    "tied_allocations",
    "to_micros",
]
