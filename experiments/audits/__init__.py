"""May a bidder gain by misreporting to the policy that serves? Imports `worlds`.

from experiments.audits import audit_policy
print(audit_policy("my_policies:Mine"))
"""

from experiments.audits.audit import audit_policy, find_policy
from experiments.audits.finding import PolicyFinding, PolicyReport
from experiments.audits.live import LiveReport, probe_live
from experiments.audits.state import Past, State, lessons
from experiments.audits.suite import suite, two_rounds
from experiments.audits.two_rounds import TwoRounds
from experiments.audits.world import AgentLaw, Asked

__all__ = [
    "AgentLaw",
    "Asked",
    "LiveReport",
    "Past",
    "PolicyFinding",
    "PolicyReport",
    "State",
    "TwoRounds",
    "audit_policy",
    "find_policy",
    "lessons",
    "probe_live",
    "suite",
    "two_rounds",
]
