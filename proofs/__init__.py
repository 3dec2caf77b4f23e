"""Can anyone gain by lying, does the house lose money? A mechanism and a `Scope` go in, `Finding`s come out.

    report = audit(Mechanism(Greedy(), VCG()), Grid(bidders=3, agents=2, values=range(4)))
    report["truthful"].counterexample.replay(Mechanism(Greedy(), VCG()))

| module | idea |
|---|---|
| `audit` | `audit`: examine, shrink, replay, report |
| `properties` | what can be claimed: `Truthful`, `IndividuallyRational`, `NoDeficit`, `Efficient`, and yours |
| `scope` | over which markets and lies: `Grid` (all of them), `Sample` (some) |
| `finding` | `Status`, `Finding`, `Report` |
| `engine` | what an engine is; `menu` enumerates grids, `search` samples |
| `table` | a mechanism's answers to every profile of a grid |
| `lies` | one bidder's misreport, and the misreports worth trying |
| `oracle` | the optimum, computed without the allocators under audit |
| `counterexample` | the evidence: market, lie, amount; JSON; one Python expression |
| `shrink` | the simplest market around a violation |
| `replay` | counterexamples in a fresh process: `python -m proofs.replay FILE` |
| `subject` | the mechanism under audit, and how another process finds it |
| `testing` | `assert_truthful` for test suites |
"""

from proofs.audit import audit
from proofs.counterexample import Counterexample, violation
from proofs.engine import Engine
from proofs.errors import AuditError, ReplayError
from proofs.finding import Finding, Report, Status
from proofs.lies import Lie
from proofs.properties import (
    ALL,
    DeviationProperty,
    Efficient,
    IndividuallyRational,
    NoDeficit,
    OutcomeProperty,
    Property,
    Truthful,
    Violation,
    find_property,
)
from proofs.scope import Grid, Sample, Scope
from proofs.shrink import shrink
from proofs.testing import assert_holds, assert_truthful

__all__ = [
    "ALL",
    "AuditError",
    "Counterexample",
    "DeviationProperty",
    "Efficient",
    "Engine",
    "Finding",
    "Grid",
    "IndividuallyRational",
    "Lie",
    "NoDeficit",
    "OutcomeProperty",
    "Property",
    "ReplayError",
    "Report",
    "Sample",
    "Scope",
    "Status",
    "Truthful",
    "Violation",
    "assert_holds",
    "assert_truthful",
    "audit",
    "find_property",
    "shrink",
    "violation",
]
