"""The auction serving real traffic: engines, rounds, the books.

| module | idea |
|---|---|
| `engine` | the protocol: `Request` in, measured `Completion` out |
| `vllm` | `VllmEngine`: a server we launch, or a URL |
| `simulated` | `SimulatedEngine`: vLLM's scheduler on any clock; `block_cache`, `step_time`: its cache and speed |
| `virtual_time` | an event loop whose clock jumps |
| `policy` | the protocol of whatever decides a round |
| `auction` | `Auction`: predict, price, match, charge |
| `affinity` | whose cache holds how much of a prompt |
| `router` | `Router`: the round loop; `rounds`: its rules and records |
| `settling` | what a served request finally costs its bidder, and brings its agent |
| `ledger` | charges held, settled, released, in SQLite |
| `models` | package-borne models for machines without a hub |
"""

from runtime.auction import Auction
from runtime.engine import Completion, Engine, EngineInfo, Message, Request, running
from runtime.errors import EngineError, LedgerError, ModelError, RequestError, ServingError
from runtime.ledger import Ledger
from runtime.policy import Decision, Fleet, Offer, Policy
from runtime.rounds import Declined, Rounds, Served
from runtime.router import Router
from runtime.simulated import EngineShape, SimulatedEngine
from runtime.step_time import StepTime, calibration

__all__ = [
    "Auction",
    "Completion",
    "Decision",
    "Declined",
    "Engine",
    "EngineError",
    "EngineInfo",
    "EngineShape",
    "Fleet",
    "Ledger",
    "LedgerError",
    "Message",
    "ModelError",
    "Offer",
    "Policy",
    "Request",
    "RequestError",
    "Rounds",
    "Router",
    "Served",
    "ServingError",
    "SimulatedEngine",
    "StepTime",
    "calibration",
    "running",
]
