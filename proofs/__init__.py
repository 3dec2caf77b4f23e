"""Can anyone gain by lying, does the house lose money? A mechanism and a `Scope` go in, `Finding`s come out.

    report = audit(Mechanism(Greedy(), VCG()), Grid(bidders=3, agents=2, values=range(4)))
    report["truthful"].counterexample.replay(Mechanism(Greedy(), VCG()))

| module | idea |
|---|---|
| `audit` | `audit`: examine, shrink, replay, report |
| `properties` | what can be claimed: `Truthful`, `IndividuallyRational`, `NoDeficit`, `Efficient`, and yours |
| `scope` | over which markets and lies: `Grid` (all of them), `Sample` (some) |
| `finding` | `Status`, `Finding`, `Report` |
| `engine` | what an engine is; `menu` enumerates grids, `search` samples, `guided` lets Hypothesis draw |
| `table` | a mechanism's answers to every profile of a grid, block by block; `profiles` are these as arrays |
| `workers`, `cluster` | who works off the blocks: `Serial`, `Processes`, `RayCluster` |
| `checkpoint` | blocks in a file, so that a sweep can be resumed |
| `symmetry` | which bidders may stand for each other on a grid |
| `outcomes`, `ties`, `tied` | the outcomes of every tie-break, or markets without ties alone: `Grid(ties=...)` |
| `lies` | one bidder's misreport, and the misreports worth trying |
| `deviations` | an agent's lie, a coalition's |
| `appearances` | one bidder under several names, in another's place, in two batches, in another world |
| `two_sided` | `TruthfulAgents`, `TruthfulBoth`, `AgentsRational`; `EpsilonTruthful` |
| `batches` | `SplitProof`: holding requests back for a later batch |
| `group`, `names` | `GroupTruthful`: coalitions; `FalseNameProof`: several identities |
| `fairness`, `budget` | `EnvyFree`, `Anonymous`, `Monotone`; `Balanced`, `NoDeficitRealised`, `Approximation` |
| `bayes`, `obvious` | `BayesianTruthful`, `InterimRational`, over a `Prior`; `ObviouslyTruthful` |
| `realised`, `luck` | what is left to whom once requests have run: `TruthfulRealised`, `NoDeficitInAnyRun`, ... |
| `played` | a grid played out once, for properties with sweeps of their own |
| `oracle` | the optimum, computed without the allocators under audit |
| `counterexample` | the evidence: market, lie, amount; JSON; one Python expression |
| `implementable` | is a bare allocator implementable at all? `cycles`: the evidence that it is not |
| `supporting` | `SupportingPrices`: payments synthesised for an allocator on a grid |
| `design` | the best truthful mechanism on a grid, as a linear program with an exact answer |
| `reals` | `Reals`: all real values and every tie-break; `description`: a mechanism in symbols, for a solver |
| `smt` | `Symbolic`: proves or refutes over `Reals`; `regret`: `supremum` of what lies gain |
| `certificate` | proofs for `python -m proofs.check`, which trusts nothing but arithmetic |
| `rounds` | lies that buy tomorrow's cache, over 2 or 3 rounds of a `conversations` world |
| `plays` | sums over honest rounds: rationality, the budget, welfare |
| `shrink` | the simplest market around a violation |
| `replay` | counterexamples in a fresh process: `python -m proofs.replay FILE` |
| `subject` | the mechanism under audit, and how another process finds it |
| `testing`, `strategies` | `assert_truthful` for test suites; Hypothesis strategies, imported by name |
"""

from proofs._encoding import PROVABLE
from proofs.appearances import Elsewhere, Identities, Split, Swap
from proofs.audit import audit
from proofs.batches import SplitProof
from proofs.bayes import BayesianTruthful, InterimRational, grid_prior
from proofs.budget import Approximation, Balanced, NoDeficitRealised
from proofs.certificate import Certificate
from proofs.cluster import RayCluster
from proofs.conversations import Conversations
from proofs.counterexample import Counterexample, violation
from proofs.cycles import Cycle, cycle_gain
from proofs.description import Charges, Description, DescriptionError, describe
from proofs.design import Design, DesignedMechanism, design
from proofs.deviations import AgentLie, Coalition
from proofs.engine import Engine
from proofs.errors import AuditError, ReplayError
from proofs.fairness import Anonymous, EnvyFree, Monotone
from proofs.finding import Finding, Report, Status
from proofs.group import GroupTruthful
from proofs.guided import Guided
from proofs.implementable import Implementability, WeaklyMonotone, implementability
from proofs.lies import Deviation, Lie
from proofs.luck import Luck
from proofs.names import FalseNameProof
from proofs.obvious import ObviouslyTruthful
from proofs.plays import PlayFinding, Shortfall, audit_plays
from proofs.properties import (
    ALL,
    DeviationProperty,
    Efficient,
    ExpectedProperty,
    IndividuallyRational,
    NoDeficit,
    OutcomeProperty,
    Property,
    Truthful,
    Violation,
    find_property,
)
from proofs.realised import (
    AgentsRationalRealised,
    NoDeficitInAnyRun,
    RationalRealised,
    TruthfulAgentsRealised,
    TruthfulRealised,
)
from proofs.reals import Reals
from proofs.regret import Supremum, supremum
from proofs.rounds import Gambit, RoundsFinding, audit_rounds, gambit_gain
from proofs.scope import Grid, Sample, Scope
from proofs.shrink import shrink
from proofs.smt import Symbolic
from proofs.supporting import SupportingPrices
from proofs.testing import assert_holds, assert_truthful
from proofs.ties import Irresolute
from proofs.two_sided import AgentsRational, EpsilonTruthful, TruthfulAgents, TruthfulBoth
from proofs.workers import Processes, Serial

__all__ = [
    "ALL",
    "PROVABLE",
    "AgentLie",
    "AgentsRational",
    "AgentsRationalRealised",
    "Anonymous",
    "Approximation",
    "AuditError",
    "Balanced",
    "BayesianTruthful",
    "Certificate",
    "Charges",
    "Coalition",
    "Conversations",
    "Counterexample",
    "Cycle",
    "Description",
    "DescriptionError",
    "Design",
    "DesignedMechanism",
    "Deviation",
    "DeviationProperty",
    "Efficient",
    "Elsewhere",
    "Engine",
    "EnvyFree",
    "EpsilonTruthful",
    "ExpectedProperty",
    "FalseNameProof",
    "Finding",
    "Gambit",
    "Grid",
    "GroupTruthful",
    "Guided",
    "Identities",
    "Implementability",
    "IndividuallyRational",
    "InterimRational",
    "Irresolute",
    "Lie",
    "Luck",
    "Monotone",
    "NoDeficit",
    "NoDeficitInAnyRun",
    "NoDeficitRealised",
    "ObviouslyTruthful",
    "OutcomeProperty",
    "PlayFinding",
    "Processes",
    "Property",
    "RationalRealised",
    "RayCluster",
    "Reals",
    "ReplayError",
    "Report",
    "RoundsFinding",
    "Sample",
    "Scope",
    "Serial",
    "Shortfall",
    "Split",
    "SplitProof",
    "Status",
    "SupportingPrices",
    "Supremum",
    "Swap",
    "Symbolic",
    "Truthful",
    "TruthfulAgents",
    "TruthfulAgentsRealised",
    "TruthfulBoth",
    "TruthfulRealised",
    "Violation",
    "WeaklyMonotone",
    "assert_holds",
    "assert_truthful",
    "audit",
    "audit_plays",
    "audit_rounds",
    "cycle_gain",
    "describe",
    "design",
    "find_property",
    "gambit_gain",
    "grid_prior",
    "implementability",
    "shrink",
    "supremum",
    "violation",
]
