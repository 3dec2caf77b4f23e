"""The auction serving real traffic: engines, rounds, accounts.

| sub-room | question |
|---|---|
| `engines/` | what serves: the protocol (`Request` in, measured `Completion` out), simulated engines, vLLM |
| `models/` | package-borne models for machines without a hub |
| `policies/` | who decides a round: the protocol, cache affinity, the auction |
| `accounts/` | charges and receipts: settlement of a request, the ledger |
| `rounds/` | the round loop `Router`, its rules and records |
"""

from runtime.accounts.ledger import Ledger
from runtime.engines.engine import Completion, Engine, EngineInfo, Message, Request, running
from runtime.engines.simulated.engine import EngineShape, SimulatedEngine
from runtime.engines.simulated.step_time import StepTime, calibration
from runtime.errors import EngineError, LedgerError, ModelError, RequestError, ServingError
from runtime.policies.auction import Auction
from runtime.policies.policy import Decision, Fleet, Offer, Policy
from runtime.rounds.records import Declined, RoundRules, Served
from runtime.rounds.router import Router

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
    "RoundRules",
    "Router",
    "Served",
    "ServingError",
    "SimulatedEngine",
    "StepTime",
    "calibration",
    "running",
]
