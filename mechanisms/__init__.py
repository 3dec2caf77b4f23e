"""Who pays what: a `Market` goes in, an `Outcome` comes out.

| module | idea |
|---|---|
| `mechanism` | `Mechanism` = allocator + payment rule; the protocols `PaymentRule`, `DirectMechanism` |
| `outcome` | `Payments`, `Outcome`: welfare, utilities under the true market, the house's surplus |
| `vcg` | `VCG`: every payment from one shortest-path pass |
| `simple` | `PayAsBid`, `PostedPrice` and its allocator `FirstCome` |
| `preferences` | `Preferences`: from quality and latency to money |
| `catalogue` | shipped names, and `module:object` for everybody else's |
"""

from mechanisms.catalogue import find_allocator, find_mechanism, load_object
from mechanisms.errors import MechanismError
from mechanisms.mechanism import DirectMechanism, Mechanism, PaymentRule
from mechanisms.outcome import Outcome, Payments, serving_costs
from mechanisms.preferences import Preferences
from mechanisms.simple import FirstCome, PayAsBid, PostedPrice
from mechanisms.vcg import VCG

__all__ = [
    "VCG",
    "DirectMechanism",
    "FirstCome",
    "Mechanism",
    "MechanismError",
    "Outcome",
    "PayAsBid",
    "PaymentRule",
    "Payments",
    "PostedPrice",
    "Preferences",
    "find_allocator",
    "find_mechanism",
    "load_object",
    "serving_costs",
]
