"""Who pays what: a `Market` goes in, an `Outcome` comes out.

| module | idea |
|---|---|
| `mechanism` | `Mechanism` = allocator + rule; protocols `PaymentRule`, `DirectMechanism`, `IrresoluteMechanism` |
| `outcome` | `Payments`, `Outcome`: welfare, utilities under the true market, the house's surplus |
| `batch` | `run_many`: many small markets in one call; the protocol `BatchMechanism` |
| `vcg` | `VCG`: every payment from one shortest-path pass |
| `simple` | `PayAsBid`, `PostedPrice` and its allocator `FirstCome` |
| `affine` | `AffineMaximizer`: weighted VCG with boosts; `ReserveVCG` |
| `pricing` | `SecondPrice` (generalised), `ClearingPrice` (one per agent) |
| `critical` | `CriticalValue` over the monotone greedy `ByValue`; `Vickrey` with cost as reserve |
| `redistribution` | `Redistribution`: VCG with rebates |
| `sharing` | `ProportionalShare` of the cost; `Free` over `RandomPriority` |
| `paper` | `PaperRouter`: the published router's rule, to be refuted; its constants |
| `hubs` | `LocalVCG` inside hubs, and what partitioning costs |
| `settlement` | from predicted to measured: who bears the difference |
| `behaviours` | bidders who lie, bluff or learn |
| `preferences` | `Preferences`: from quality and latency to money |
| `two_sided` | agents as players: `TwoSidedVCG`, `ProcurementVCG`, `TradeReduction`, `ExpectedExternality` |
| `prior` | `Prior`: what everybody believes about everybody's types |
| `promises` | what a rule promises, and the `Domain` where |
| `pairs` | what a rule promises over an allocator that is not its home |
| `dynamic` | several rounds with a memory: `PerRound`, `DynamicPivot`; the protocol `World` |
| `catalogue` | shipped names, and `module:object` for everybody else's |
"""

from mechanisms.batch import BatchMechanism, Outcomes, run_many
from mechanisms.catalogue import find_allocator, find_mechanism, find_settlement, load_object
from mechanisms.dynamic import DynamicMechanism, DynamicPivot, PerRound, World
from mechanisms.errors import MechanismError
from mechanisms.mechanism import DirectMechanism, IrresoluteMechanism, Mechanism, PaymentRule
from mechanisms.outcome import Outcome, Payments, serving_costs
from mechanisms.preferences import Preferences
from mechanisms.prior import Prior
from mechanisms.simple import FirstCome, PayAsBid, PostedPrice
from mechanisms.two_sided import ExpectedExternality, ProcurementVCG, TradeReduction, TwoSidedVCG
from mechanisms.vcg import VCG

__all__ = [
    "VCG",
    "BatchMechanism",
    "DirectMechanism",
    "DynamicMechanism",
    "DynamicPivot",
    "ExpectedExternality",
    "FirstCome",
    "IrresoluteMechanism",
    "Mechanism",
    "MechanismError",
    "Outcome",
    "Outcomes",
    "PayAsBid",
    "PaymentRule",
    "Payments",
    "PerRound",
    "PostedPrice",
    "Preferences",
    "Prior",
    "ProcurementVCG",
    "TradeReduction",
    "TwoSidedVCG",
    "World",
    "find_allocator",
    "find_mechanism",
    "find_settlement",
    "load_object",
    "run_many",
    "serving_costs",
]
