"""What can be claimed of a mechanism that draws lots: on average over its draws (in expectation), or of every draw.

Utilities are of the *true* market and exact: a `Fraction` of micro-units, never a float.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Protocol, runtime_checkable

from allocation import Market
from mechanisms.lottery import Lottery
from proofs.errors import AuditError
from proofs.misreports.misreport import Misreport


@dataclass(frozen=True, slots=True)
class ExactViolation:
    """By how many micro-units (> 0, exactly) a claim fails in one case, and the case in words."""

    amount: Fraction
    text: str


@runtime_checkable
class LotteryProperty(Protocol):
    """A claim about one lottery of a market in which everybody tells the truth."""

    @property
    def name(self) -> str:
        """The claim, unique within an audit."""
        ...

    def check(self, lottery: Lottery, truth: Market) -> ExactViolation | None:
        """The violation in this lottery of the truthful market `truth`, or None."""
        ...


@dataclass(frozen=True, slots=True)
class TruthfulInExpectation:
    """No bidder gains on average over the draws by a misreport, whatever the others report (Lavi and Swamy 2011).

    Weaker than truthful in every draw, and what a bidder cares about who minds no risk.
    """

    name: ClassVar[str] = "truthful-in-expectation"

    def compare(
        self, truth: Market, misreport: Misreport, honest: Lottery, deviating: Lottery
    ) -> ExactViolation | None:
        """The deviator's expected gain in true utility, where there is one."""
        bidder = misreport.bidder
        gain = deviating.bidder_utilities(truth)[bidder] - honest.bidder_utilities(truth)[bidder]
        if gain <= 0:
            return None
        return ExactViolation(
            gain, f"{misreport} instead of {misreport.instead_of(truth)} and gains {gain} in expectation"
        )


@dataclass(frozen=True, slots=True)
class RationalInExpectation:
    """No bidder who tells the truth expects to lose over the draws, whatever the others report."""

    name: ClassVar[str] = "individually-rational-in-expectation"

    def check(self, lottery: Lottery, truth: Market) -> ExactViolation | None:
        """The greatest expected loss of a truthful bidder; ties to the first."""
        return _loss(lottery.bidder_utilities(truth), "in expectation")


@dataclass(frozen=True, slots=True)
class RationalInEveryDraw:
    """No bidder who tells the truth ends below zero, whatever is drawn (ex post)."""

    name: ClassVar[str] = "individually-rational-in-every-draw"

    def check(self, lottery: Lottery, truth: Market) -> ExactViolation | None:
        """The greatest loss of a truthful bidder in any draw; ties to the first."""
        losses = [
            _loss({bidder: Fraction(amount) for bidder, amount in outcome.bidder_utilities(truth).items()}, "in a draw")
            for outcome in lottery.outcomes
        ]
        return max(filter(None, losses), key=lambda loss: loss.amount, default=None)


@dataclass(frozen=True, slots=True)
class NoDeficitInExpectation:
    """The auctioneer does not pay out more than it takes in on average over the draws, in any market."""

    name: ClassVar[str] = "no-deficit-in-expectation"

    def check(self, lottery: Lottery, truth: Market) -> ExactViolation | None:
        """The auctioneer's expected loss."""
        loss = -lottery.surplus
        return ExactViolation(loss, f"the auctioneer loses {loss} in expectation") if loss > 0 else None


@dataclass(frozen=True, slots=True)
class NoDeficitInEveryDraw:
    """The auctioneer does not pay out more than it takes in, whatever is drawn (ex post)."""

    name: ClassVar[str] = "no-deficit-in-every-draw"

    def check(self, lottery: Lottery, truth: Market) -> ExactViolation | None:
        """The auctioneer's greatest loss in any draw."""
        loss = Fraction(-min(outcome.surplus for outcome in lottery.outcomes))
        return ExactViolation(loss, f"the auctioneer loses {loss} in a draw") if loss > 0 else None


Claim = TruthfulInExpectation | LotteryProperty

#: Every claim that ships, in the order in which a report shows them.
CLAIMS: tuple[Claim, ...] = (
    TruthfulInExpectation(),
    RationalInExpectation(),
    NoDeficitInExpectation(),
    RationalInEveryDraw(),
    NoDeficitInEveryDraw(),
)

_NAMED: dict[str, Callable[[], Claim]] = {claim.name: type(claim) for claim in CLAIMS}


def find_claim(claim: Claim | str) -> Claim:
    """The claim of a shipped name; an object as it is.

    Raises:
        AuditError: there is no such claim, or the object is none.
    """
    if isinstance(claim, str):
        if claim not in _NAMED:
            raise AuditError(f"no claim about lotteries is called {claim!r}; shipped: {', '.join(_NAMED)}")
        return _NAMED[claim]()
    if not isinstance(claim, TruthfulInExpectation | LotteryProperty):
        raise AuditError(f"{claim!r} is no claim about lotteries; it needs a name and check(lottery, truth)")
    return claim


def _loss(utilities: dict[int, Fraction], when: str) -> ExactViolation | None:
    bidder = min(utilities, key=lambda player: utilities[player], default=None)
    if bidder is None or utilities[bidder] >= 0:
        return None
    return ExactViolation(-utilities[bidder], f"bidder {bidder} tells the truth and loses {-utilities[bidder]} {when}")
