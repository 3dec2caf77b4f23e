"""Can anyone gain by a misreport, is there a deficit? A mechanism and a `Scope` go in, `Finding`s come out.

    report = audit(Mechanism(Greedy(), VCG()), Grid(bidders=3, agents=2, values=range(4)))
    report["truthful"].counterexample.replay(Mechanism(Greedy(), VCG()))

Here are the scopes, the four basic properties, what an audit returns, and assertions for test suites. Everything else
is imported from the sub-room that answers the question:

| sub-room | question |
|---|---|
| `misreports/` | what may somebody report instead of the truth: one bidder, an agent, a coalition, other names |
| `claims/` | what can be claimed of one outcome or one deviation; the four basic properties |
| `subject/` | the mechanism under audit: run, held to what every mechanism owes, written as an expression |
| `scopes/` | over which markets and reports does a claim speak: `Grid`, `Sample`, `Suite` |
| `symbols/` | a mechanism in symbols, and a proof as numbers |
| `evidence/` | what was found, how small it can be made, whether it happens again in a fresh process |
| `grids/` | a whole grid: every profile run once, by one process or many; menus |
| `reals/` | all real values and every tie-break, by solvers |
| `payments/` | which payments make an allocator truthful, and which mechanism is best |
| `rounds/` | several rounds with a memory: may a misreport buy tomorrow's cache |
| `lotteries/` | mechanisms that draw lots: truthful, rational, solvent in expectation and in every draw |
| `properties/` | claims beyond the basic four: agents, coalitions, false names, budgets, fairness, priors |
| `ties/` | the same grid under every tie-break |
| `samples/` | beyond any grid: random and guided search |
| `audit` | which engine examines which property; examine, shrink, replay, report |
| `ranking` | several mechanisms side by side under a prior: welfare, revenue, regret |
| `arguments` | what a caller may have written by mistake |
| `testing`, `strategies` | `assert_truthful` for test suites; Hypothesis strategies, imported by name |
| `check`, `replay` | `python -m proofs.check` for certificates, `python -m proofs.replay` for counterexamples |
"""

from typing import TYPE_CHECKING

from proofs.audit import audit
from proofs.claims.property import (
    ALL,
    Efficient,
    IndividuallyRational,
    NoDeficit,
    Property,
    Truthful,
    Violation,
    find_property,
)
from proofs.errors import AuditError, ReplayError
from proofs.evidence.counterexample import Counterexample, violation
from proofs.evidence.evidence import shrink
from proofs.evidence.finding import Finding, Report, Status
from proofs.grids.workers import Processes
from proofs.lotteries.audit import audit_lotteries
from proofs.lotteries.counterexample import lottery_violation
from proofs.misreports.misreport import Misreport
from proofs.moved import install, moved_name
from proofs.payments.cycle import cycle_gain
from proofs.payments.design import design
from proofs.payments.implementable import implementability
from proofs.ranking import rank
from proofs.reals.scope import Reals
from proofs.rounds.sums import audit_plays
from proofs.rounds.truthful import audit_rounds, multi_round_gain
from proofs.scopes.grid import Grid, Sample, Scope
from proofs.scopes.suite import SUITE, Suite
from proofs.testing import assert_holds, assert_truthful

__all__ = [
    "ALL",
    "SUITE",
    "AuditError",
    "Counterexample",
    "Efficient",
    "Finding",
    "Grid",
    "IndividuallyRational",
    "Misreport",
    "NoDeficit",
    "Processes",
    "Property",
    "Reals",
    "ReplayError",
    "Report",
    "Sample",
    "Scope",
    "Status",
    "Suite",
    "Truthful",
    "Violation",
    "assert_holds",
    "assert_truthful",
    "audit",
    "audit_lotteries",
    "audit_plays",
    "audit_rounds",
    "cycle_gain",
    "design",
    "find_property",
    "implementability",
    "lottery_violation",
    "multi_round_gain",
    "rank",
    "shrink",
    "violation",
]

install()


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """What an expression written by an earlier version calls by a name that is elsewhere now."""
        return moved_name(name)
