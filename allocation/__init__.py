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
| `duals` | minimal supporting prices; repair of any allocation to an optimal one |
"""

from allocation.allocator import Allocator, WarmAllocator
from allocation.duals import improve, minimal_prices
from allocation.errors import CertificateError, MarketError, SolverError
from allocation.flow import MinCostFlow
from allocation.market import FORBIDDEN, UNSERVED, Allocation, Market
from allocation.money import MAX_AMOUNT, MICROS, to_micros
from allocation.networks import NetworkFlow, OrTools
from allocation.programs import ConvexProgram, LinearProgram
from allocation.simple import BruteForce, Greedy, Random

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
    "WarmAllocator",
    "improve",
    "minimal_prices",
    "to_micros",
]
