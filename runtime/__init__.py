"""The auction serving real traffic: engines, rounds, accounts, gateway.

| sub-room | question |
|---|---|
| `engines/` | what serves: the protocol (`Call` in, `Answer` out), simulated engines, OpenAI's API, vLLM |
| `models/` | package-borne models for machines without a hub |
| `policies/` | who decides a round: the protocol, cache affinity, the auction |
| `accounts/` | charges and receipts: settlement of a request, the ledger |
| `rounds/` | the round loop `Router`, its rules and records |
| `metrics/` | what the gateway's events add up to, for Prometheus and a live view |
| `traces/` | what became of each request, a line each |
| `gateway/` | HTTP: what a body asks, what a fleet is, what a client is told (needs the extra `gateway`) |
"""

from runtime.accounts.ledger import Ledger
from runtime.engines.call import Answer, Call, Usage, View, collect
from runtime.engines.engine import Completion, Engine, EngineInfo, Message, Request, running
from runtime.engines.simulated.engine import SimulatedEngine
from runtime.engines.simulated.shape import EngineShape
from runtime.engines.simulated.step_time import StepTime, calibration
from runtime.errors import (
    Broken,
    Busy,
    EngineBusyError,
    EngineDownError,
    EngineError,
    InsufficientError,
    LedgerError,
    ModelError,
    Refused,
    RequestError,
    ServingError,
    Unreachable,
)
from runtime.events import (
    Arrived,
    Decided,
    Declined,
    Dispatched,
    Event,
    Failed,
    FirstToken,
    Offer,
    Prediction,
    Served,
)
from runtime.policies.auction import Auction
from runtime.policies.laws import POLICY_LAWS, check_policy
from runtime.policies.paper import PaperAuction
from runtime.policies.policy import WAITING, Agent, Decision, Fleet, Job, Policy
from runtime.rounds.records import RoundRules
from runtime.rounds.router import Router

__all__ = [
    "POLICY_LAWS",
    "WAITING",
    "Agent",
    "Answer",
    "Arrived",
    "Auction",
    "Broken",
    "Busy",
    "Call",
    "Completion",
    "Decided",
    "Decision",
    "Declined",
    "Dispatched",
    "Engine",
    "EngineBusyError",
    "EngineDownError",
    "EngineError",
    "EngineInfo",
    "EngineShape",
    "Event",
    "Failed",
    "FirstToken",
    "Fleet",
    "InsufficientError",
    "Job",
    "Ledger",
    "LedgerError",
    "Message",
    "ModelError",
    "Offer",
    "PaperAuction",
    "Policy",
    "Prediction",
    "Refused",
    "Request",
    "RequestError",
    "RoundRules",
    "Router",
    "Served",
    "ServingError",
    "SimulatedEngine",
    "StepTime",
    "Unreachable",
    "Usage",
    "View",
    "calibration",
    "check_policy",
    "collect",
    "running",
]
