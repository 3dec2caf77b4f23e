"""`Lottery`: an outcome that is drawn, with integer weights; `LotteryMechanism`, which draws; `Mixture` of sure ones.

A mechanism that draws lots can keep promises that no sure one keeps (Nisan and Ronen 2001; Lavi and Swamy 2011), on
average over its draws. Averages are exact: weights are integers and every amount a `Fraction`.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

from allocation import Market
from allocation.market import as_market
from mechanisms.errors import MechanismError
from mechanisms.mechanism import DirectMechanism
from mechanisms.outcome import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Lottery:
    """Outcomes of one market, each drawn with the probability of its share of the weights.

    Args:
        outcomes: at least one, all of the same reported market.
        weights: one integer > 0 per outcome.

    Raises:
        MechanismError: no outcomes, not one weight each, a weight that is no integer > 0, or markets that differ.

    Example:
        >>> from allocation import MinCostFlow
        >>> from mechanisms import VCG, Mechanism, PayAsBid
        >>> market = Market(values=[[5], [3]], costs=[[0], [0]], capacities=[1])
        >>> sure = [Mechanism(MinCostFlow(), rule).run(market) for rule in (VCG(), PayAsBid())]
        >>> Lottery(tuple(sure), (1, 2)).bidder_utilities()
        {0: Fraction(2, 3), 1: Fraction(0, 1)}
    """

    outcomes: tuple[Outcome, ...]
    weights: tuple[int, ...]

    def __post_init__(self) -> None:
        _require_lists(("outcomes", self.outcomes), ("weights", self.weights))
        if not self.outcomes or len(self.outcomes) != len(self.weights):
            raise MechanismError(f"{len(self.outcomes)} outcomes and {len(self.weights)} weights; give one weight each")
        for weight in self.weights:
            if isinstance(weight, bool) or not isinstance(weight, int) or weight <= 0:
                raise MechanismError(f"weight {weight!r}; expected integers > 0: leave impossible outcomes out")
        for outcome in self.outcomes:
            if not isinstance(outcome, Outcome):
                raise MechanismError(f"{outcome!r} is no Outcome; write Outcome(market, allocation, payments)")
        first = self.outcomes[0].reported
        if any(outcome.reported is not first and outcome.reported != first for outcome in self.outcomes):
            raise MechanismError("the outcomes of a lottery are of different markets; draw them all for one report")

    @property
    def total(self) -> int:
        """Sum of the weights."""
        return sum(self.weights)

    @property
    def reported(self) -> Market:
        """The market that was reported."""
        return self.outcomes[0].reported

    @property
    def welfare(self) -> Fraction:
        """Welfare as reported, on average, in micro-units."""
        return self._mean([outcome.welfare for outcome in self.outcomes])

    @property
    def surplus(self) -> Fraction:
        """What the auctioneer keeps on average, in micro-units; negative is a deficit."""
        return self._mean([outcome.surplus for outcome in self.outcomes])

    def bidder_utilities(self, truth: Market | None = None) -> dict[int, Fraction]:
        """Value received minus charges for each bidder on average, in micro-units, under the true market.

        Args:
            truth: the market of true values; defaults to the reported one (everybody truthful).
        """
        each = [outcome.bidder_utilities(truth) for outcome in self.outcomes]
        return {bidder: self._mean([utilities[bidder] for utilities in each]) for bidder in each[0]}

    def _mean(self, amounts: list[int]) -> Fraction:
        return Fraction(sum(w * amount for w, amount in zip(self.weights, amounts, strict=True)), self.total)


@runtime_checkable
class LotteryMechanism(Protocol):
    """Anything that turns a reported market into a lottery; the same lottery for the same market, always."""

    def draw(self, market: Market) -> Lottery:
        """The lottery from which allocation and payments are drawn."""
        ...


@dataclass(frozen=True, slots=True)
class Mixture:
    """A lottery over mechanisms, decided before anybody reports.

    Over truthful mechanisms it is truthful in every draw, which is more than truthful in expectation.

    Args:
        mechanisms: at least one.
        weights: one integer > 0 each.

    Raises:
        MechanismError: as `Lottery`, or something that has no `run`.

    Example:
        >>> from allocation import MinCostFlow
        >>> from mechanisms import VCG, Mechanism, PayAsBid
        >>> mixed = Mixture((Mechanism(MinCostFlow(), VCG()), Mechanism(MinCostFlow(), PayAsBid())), (1, 1))
        >>> mixed.draw(Market(values=[[5], [2]], costs=[[0], [0]], capacities=[1])).surplus
        Fraction(7, 2)
    """

    mechanisms: tuple[DirectMechanism, ...]
    weights: tuple[int, ...]

    def __post_init__(self) -> None:
        _require_lists(("mechanisms", self.mechanisms), ("weights", self.weights))
        if not self.mechanisms or len(self.mechanisms) != len(self.weights):
            raise MechanismError(
                f"{len(self.mechanisms)} mechanisms and {len(self.weights)} weights; give one weight each"
            )
        for mechanism in self.mechanisms:
            if isinstance(mechanism, type) or not isinstance(mechanism, DirectMechanism):
                raise MechanismError(f"{mechanism!r} has no run(market); mix mechanisms, such as Mechanism(...)")
        for weight in self.weights:
            if isinstance(weight, bool) or not isinstance(weight, int) or weight <= 0:
                raise MechanismError(f"weight {weight!r}; expected integers > 0: leave impossible mechanisms out")

    def draw(self, market: Market) -> Lottery:
        """What each mechanism decides; raises as they do."""
        as_market(market)
        return Lottery(tuple(mechanism.run(market) for mechanism in self.mechanisms), self.weights)

    def __str__(self) -> str:
        total = sum(self.weights)
        parts = zip(self.mechanisms, self.weights, strict=True)
        return ", ".join(f"{mechanism} with {Fraction(weight, total)}" for mechanism, weight in parts)


def _require_lists(*parts: tuple[str, object]) -> None:
    for name, part in parts:
        if not isinstance(part, tuple | list):
            raise MechanismError(f"{name} = {part!r}; expected a tuple of them")
