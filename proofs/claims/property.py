"""What can be claimed of a mechanism. A property is a small class with a name, of one of three kinds.

An `OutcomeProperty` looks at the outcome of one market in which everybody told the truth. A `DeviationProperty`
compares that outcome with the one after a misreport. An `ExpectedProperty` may run the mechanism as often as it needs,
for claims about averages over a prior. All are handed the *true* market and must compute every utility from it: what
was reported has no say in what anybody gains.

Utilities are quasi-linear: value received minus charges. All amounts are micro-units, unless the audit
chose another unit.
"""

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from allocation import Market
from allocation.money import Money
from mechanisms import MechanismError, Outcome, Outcomes, load_object
from proofs.arguments import of_kind
from proofs.claims.optimum import optima, optimum
from proofs.errors import AuditError
from proofs.misreports.coalition import AgentMisreport
from proofs.misreports.misreport import Deviation, Misreport

#: Runs the mechanism under audit on a market.
Run = Callable[[Market], Outcome]


@dataclass(frozen=True, slots=True)
class Violation:
    """By how many micro-units (> 0) a property fails in one case, and the case in words."""

    amount: int
    text: str

    def __post_init__(self) -> None:
        if isinstance(self.amount, bool) or not isinstance(self.amount, int | np.integer | Fraction):
            raise AuditError(f"amount = {self.amount!r}; expected micro-units, an integer")
        of_kind(self.text, str, "text", "the case in words")
        if self.amount <= 0:
            raise AuditError(
                f"violation of {self.amount} micro-units ({self.text}); return None where the property holds"
            )


@runtime_checkable
class Property(Protocol):
    """A named claim about a mechanism. Engines decide which properties they can examine, over which scopes."""

    @property
    def name(self) -> str:
        """The claim in one word or two, unique within an audit."""
        ...


@runtime_checkable
class OutcomeProperty(Property, Protocol):
    """A claim about one outcome at a time.

    Example:
        >>> class NothingIdle:
        ...     name = "nothing-idle"
        ...     def check(self, outcome, truth):
        ...         idle = int((~outcome.allocation.served).sum())
        ...         return Violation(idle, f"{idle} requests wait") if idle else None
    """

    def check(self, outcome: Outcome, truth: Market) -> Violation | None:
        """The violation in this outcome of the truthful market `truth`, or None."""
        ...


@runtime_checkable
class BatchProperty(OutcomeProperty, Protocol):
    """A claim that can look at many outcomes at once; it must find in each what `check` finds there."""

    def amounts(self, outcomes: Outcomes, values: Money, template: Market) -> Money:
        """(B,) the violation in each outcome of the markets `template.replace(values=values[b])`, 0 where it holds."""
        ...


@runtime_checkable
class DeviationProperty(Property, Protocol):
    """A claim about what a misreport can change."""

    def compare(self, truth: Market, misreport: Any, honest: Outcome, deviating: Outcome) -> Violation | None:
        """The violation between the truthful outcome and the one after the misreport, or None.

        `misreport` is a `Misreport` unless the property says which deviations it is about (`Attempting`,
        `played.Swept`).
        """
        ...


class Players(Protocol):
    """Who plays in a scope: players 0 .. `bidders` - 1 are bidders, and the next `agents` are agents."""

    @property
    def bidders(self) -> int:
        """How many bidders."""
        ...

    @property
    def agents(self) -> int:
        """How many agents."""
        ...


@runtime_checkable
class RegretProperty(DeviationProperty, Protocol):
    """A claim that no misreport of some players gains them much: it says who and how much, and engines how to look.

    `compare` must find the whole gain (`gain_of`) where it exceeds `slack`, and nothing elsewhere.

    Example:
        >>> class FirstIsTruthful(Truthful):
        ...     name = "first-is-truthful"
        ...     def players(self, scope):
        ...         return range(1)
    """

    @property
    def slack(self) -> int | None:
        """Micro-units of gain that are allowed; findings then name the worst regret. None: no gain is allowed."""
        ...

    def players(self, scope: Players) -> Sequence[int]:
        """Who may misreport."""
        ...


@runtime_checkable
class ExpectedProperty(Property, Protocol):
    """A claim that no single outcome decides, such as one about averages."""

    def violated(self, run: Run, truth: Market, misreport: Any) -> Violation | None:
        """The violation, or None: `run` answers any market; `truth` and `misreport` are the case meant."""
        ...


@runtime_checkable
class Attempting(Property, Protocol):
    """A claim about deviations of its own, that tells random search which of them to try."""

    def attempts(
        self, rng: np.random.Generator, truth: Market, bounds: Sequence[tuple[int, int]]
    ) -> Iterator[Deviation]:
        """Deviations worth trying; `bounds` are (low, high) of values, costs and capacities."""
        ...


@dataclass(frozen=True, slots=True)
class Truthful:
    """No bidder gains by reporting anything but their true values, whatever the others report (dominant strategies).

    With private values and truthful others ranging over every profile, this is dominant-strategy incentive
    compatibility (Gibbard 1973; Nisan, Roughgarden, Tardos and Vazirani 2007, definition 9.15).
    """

    name: ClassVar[str] = "truthful"
    slack: ClassVar[int | None] = None

    def players(self, scope: Players) -> Sequence[int]:
        """Every bidder."""
        return range(scope.bidders)

    def compare(self, truth: Market, misreport: Misreport, honest: Outcome, deviating: Outcome) -> Violation | None:
        """The deviator's gain in true utility, where there is one."""
        gain = gain_of(truth, misreport, honest, deviating)
        if gain is None or gain <= 0:
            return None
        return Violation(gain, f"{misreport} instead of {misreport.instead_of(truth)} and gains {gain}")


@dataclass(frozen=True, slots=True)
class IndividuallyRational:
    """No bidder who tells the truth ends below zero, the utility of staying away (ex post)."""

    name: ClassVar[str] = "individually-rational"

    def check(self, outcome: Outcome, truth: Market) -> Violation | None:
        """The greatest loss of a truthful bidder; ties to the first."""
        utilities = outcome.bidder_utilities(truth)
        bidder = min(utilities, key=lambda player: utilities[player], default=None)
        if bidder is None or utilities[bidder] >= 0:
            return None
        return Violation(-utilities[bidder], f"bidder {bidder} tells the truth and loses {-utilities[bidder]}")

    def amounts(self, outcomes: Outcomes, values: Money, template: Market) -> Money:
        """(B,) the greatest loss in each outcome."""
        gains = taken(values, outcomes.agents) - outcomes.charges
        losses = [-gains[:, template.requests_of(bidder)].sum(axis=1) for bidder in template.players]
        greatest: Money = np.array(losses, np.int64).reshape(-1, len(gains)).max(axis=0, initial=0)
        return greatest


@dataclass(frozen=True, slots=True)
class NoDeficit:
    """The auctioneer never pays out more than it takes in: charges cover receipts (weak budget balance)."""

    name: ClassVar[str] = "no-deficit"

    def check(self, outcome: Outcome, truth: Market) -> Violation | None:
        """The auctioneer's loss."""
        if outcome.surplus >= 0:
            return None
        charges, receipts = int(outcome.payments.charges.sum()), int(outcome.payments.receipts.sum())
        return Violation(
            receipts - charges, f"the auctioneer takes {charges}, pays {receipts} and loses {receipts - charges}"
        )

    def amounts(self, outcomes: Outcomes, values: Money, template: Market) -> Money:
        """(B,) the auctioneer's loss in each outcome."""
        loss: Money = outcomes.receipts.sum(axis=1) - outcomes.charges.sum(axis=1)
        return loss.clip(0)


@dataclass(frozen=True, slots=True)
class Efficient:
    """The allocation of truthful reports has the greatest welfare there is."""

    name: ClassVar[str] = "efficient"

    def check(self, outcome: Outcome, truth: Market) -> Violation | None:
        """The welfare that is missing, against an optimum computed independently (`oracle.optimum`)."""
        welfare = int(truth.take(truth.weights, outcome.allocation).sum())
        best = optimum(truth)
        return Violation(best - welfare, f"welfare is {welfare}, the optimum {best}") if welfare < best else None

    def amounts(self, outcomes: Outcomes, values: Money, template: Market) -> Money:
        """(B,) the welfare that is missing in each outcome."""
        weights = values - template.costs
        missing: Money = optima(weights, template) - taken(weights, outcomes.agents).sum(axis=1)
        return missing


def gain_of(truth: Market, misreport: Misreport | AgentMisreport, honest: Outcome, deviating: Outcome) -> int | None:
    """What the deviator gains in true utility, perhaps nothing; None where an agent is sent more than it can serve."""
    if isinstance(misreport, Misreport):
        return deviating.bidder_utilities(truth)[misreport.bidder] - honest.bidder_utilities(truth)[misreport.bidder]
    if int((deviating.allocation.agents == misreport.agent).sum()) > truth.capacities[misreport.agent]:
        return None
    return int(deviating.agent_utilities(truth)[misreport.agent] - honest.agent_utilities(truth)[misreport.agent])


def taken(matrix: Money, agents: NDArray[np.int64]) -> Money:
    """(B, N) the entry of `matrix` (B, N, M) at each request's agent in `agents` (B, N); 0 where unserved."""
    entries = np.take_along_axis(matrix, np.maximum(agents, 0)[:, :, None], axis=2)[:, :, 0]
    return np.where(agents >= 0, entries, 0)


#: Every property that ships, in the order in which a report shows them.
ALL: tuple[Property, ...] = (Truthful(), IndividuallyRational(), NoDeficit(), Efficient())

#: Names of what ships and where it lives; imported when asked for, since most of these modules import this one.
_SHIPPED: dict[str, str] = {
    "truthful": "proofs.claims.property:Truthful",
    "individually-rational": "proofs.claims.property:IndividuallyRational",
    "no-deficit": "proofs.claims.property:NoDeficit",
    "efficient": "proofs.claims.property:Efficient",
    "truthful-agents": "proofs.properties.agents:TruthfulAgents",
    "truthful-both": "proofs.properties.agents:TruthfulBoth",
    "agents-rational": "proofs.properties.agents:AgentsRational",
    "epsilon-truthful": "proofs.properties.agents:EpsilonTruthful",
    "obviously-truthful": "proofs.properties.obvious:ObviouslyTruthful",
    "group-truthful": "proofs.properties.coalitions:GroupTruthful",
    "false-name-proof": "proofs.properties.false_names:FalseNameProof",
    "monotone": "proofs.properties.fairness:Monotone",
    "anonymous": "proofs.properties.fairness:Anonymous",
    "envy-free": "proofs.properties.fairness:EnvyFree",
    "balanced": "proofs.properties.budget:Balanced",
    "no-deficit-realised": "proofs.properties.budget:NoDeficitRealised",
    "truthful-realised": "proofs.properties.realised:TruthfulRealised",
    "truthful-agents-realised": "proofs.properties.realised:TruthfulAgentsRealised",
    "individually-rational-realised": "proofs.properties.realised:RationalRealised",
    "agents-rational-realised": "proofs.properties.realised:AgentsRationalRealised",
    "no-deficit-in-any-run": "proofs.properties.realised:NoDeficitInAnyRun",
    "approximation": "proofs.properties.budget:Approximation",
    "bayesian-truthful": "proofs.properties.bayesian:BayesianTruthful",
    "interim-rational": "proofs.properties.bayesian:InterimRational",
    "split-proof": "proofs.properties.split_batches:SplitProof",
}


def find_property(name: str, **parameters: object) -> Property:
    """The property of a shipped name, or of `module:Class`, built with these parameters.

    Args:
        name: parameters may stand in it as well, as literals: `group-truthful(members=3, transfers=True)`.

    Raises:
        AuditError: no such name, module or class, or it is no property.

    Example:
        >>> find_property("approximation(ratio='2/3')").name
        'approximation(2/3)'
    """
    of_kind(name, str, "name", "the name of a property, such as 'truthful'")
    name, bracket, arguments = name.partition("(")
    if bracket:
        parameters = {**_literals(f"{name}({arguments}"), **parameters}
    if ":" not in name and name not in _SHIPPED:
        raise AuditError(f"no property {name!r}; shipped: {', '.join(_SHIPPED)}; yours: my_module:MyProperty")
    try:
        built = load_object(_SHIPPED.get(name, name), **parameters)
    except (MechanismError, TypeError, ValueError) as error:
        if isinstance(error, AuditError):
            raise
        raise AuditError(f"property {name}: {error}") from error
    if not isinstance(built, OutcomeProperty | DeviationProperty | ExpectedProperty):
        raise AuditError(
            f"{name} has no `name` with check(outcome, truth) or compare(truth, misreport, honest, deviating)"
        )
    if not isinstance(built.name, str):
        raise AuditError(f"{name} calls itself {built.name!r}; a report needs a string")
    return built


def _literals(call: str) -> dict[str, object]:
    name, _, arguments = call.partition("(")
    try:
        parsed = ast.parse(f"_({arguments}", mode="eval").body
        assert isinstance(parsed, ast.Call) and not parsed.args
        return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in parsed.keywords}
    except (SyntaxError, ValueError, AssertionError) as error:
        raise AuditError(f"property {call}: expected {name}(parameter=literal, ...)") from error


def property_name(prop: Property) -> str:
    """The name by which `find_property` finds this property's class in another process."""
    home = f"{type(prop).__module__}:{type(prop).__qualname__}"
    return next((name for name, shipped in _SHIPPED.items() if shipped == home), home)
