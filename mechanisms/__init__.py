"""Who pays what: a `Market` goes in, an `Outcome` comes out.

| module | idea |
|---|---|
| `outcome` | `Payments`, `Outcome`: welfare, utilities under the true market, the auctioneer's surplus |
| `mechanism` | `Mechanism` = allocator + rule; protocols `PaymentRule`, `DirectMechanism`, batches of markets |
| `rules/` | who is charged what: VCG, first and second prices, posted and critical prices, two-sided rules, hubs |
| `preferences` | `Preferences`: from quality and latency to money |
| `laws` | `check_rule`, `check_mechanism`: what every one owes, anybody's |
| `settlement` | from predicted to measured: who bears the difference |
| `lottery` | outcomes that are drawn: `Lottery`, `LotteryMechanism`, `Mixture` |
| `prior` | `Prior`: what everybody believes about everybody's types |
| `promises`, `pairs` | what a rule promises, in which `Domain`, and over which allocator |
| `dynamic` | several rounds with a memory: `PerRound`, `DynamicPivot`; the protocol `World` |
| `behaviours` | bidders who misreport or learn |
| `catalogue` | shipped names, and `module:object` for everybody else's |
"""

from mechanisms.catalogue import find_allocator, find_mechanism, find_settlement, load_object
from mechanisms.dynamic import DynamicMechanism, DynamicPivot, PastRound, PerRound, World
from mechanisms.errors import MechanismError
from mechanisms.laws import check_mechanism, check_rule
from mechanisms.lottery import Lottery, LotteryMechanism, Mixture
from mechanisms.mechanism import (
    BatchMechanism,
    BatchRule,
    DirectMechanism,
    IrresoluteMechanism,
    Mechanism,
    PaymentRule,
)
from mechanisms.outcome import Outcome, Outcomes, Payments, serving_costs
from mechanisms.preferences import Preferences
from mechanisms.prior import Prior
from mechanisms.rules.simple import FirstCome, PayAsBid, PostedPrice
from mechanisms.rules.two_sided import ExpectedExternality, ProcurementVCG, TradeReduction, TwoSidedVCG
from mechanisms.rules.vcg import VCG

__all__ = [
    "VCG",
    "BatchMechanism",
    "BatchRule",
    "DirectMechanism",
    "DynamicMechanism",
    "DynamicPivot",
    "ExpectedExternality",
    "FirstCome",
    "IrresoluteMechanism",
    "Lottery",
    "LotteryMechanism",
    "Mechanism",
    "MechanismError",
    "Mixture",
    "Outcome",
    "Outcomes",
    "PastRound",
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
    "check_mechanism",
    "check_rule",
    "find_allocator",
    "find_mechanism",
    "find_settlement",
    "load_object",
    "serving_costs",
]
