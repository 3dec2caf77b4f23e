"""`rank`: several mechanisms side by side under one prior: welfare, revenue and what the best misreport gains.

Everything is exact. Regret is ex post: in one market, what a bidder would gain by the best of the reports that exist,
the others' reports fixed. Welfare and revenue are those of truthful reports, as if nobody acted on their regret.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from allocation import Market
from mechanisms import DirectMechanism, LotteryMechanism, Prior, find_mechanism
from proofs.arguments import of_kind
from proofs.errors import AuditError
from proofs.lotteries.counterexample import lottery_of
from proofs.misreports.misreport import Misreport
from proofs.scopes.grid import Grid
from proofs.subject.subject import outcome_of

Unit = Literal["micro-units", "credits"]
Column = Literal["name", "welfare", "revenue", "mean_regret", "worst_regret"]

#: Micro-units in a credit.
_CREDIT = 1_000_000

#: Decimal places up to which a credit is printed as a decimal number, where that is exact.
_PLACES = 12


@dataclass(frozen=True, slots=True)
class Standing:
    """One mechanism under the prior, in micro-units, exact.

    Args:
        name: as it was given.
        welfare: of the true values less costs, on average.
        revenue: what the auctioneer keeps on average, charges less receipts.
        mean_regrets: one per bidder, the gain of their best misreport on average over the prior's states.
        worst_regrets: one per bidder, the greatest in any state.
    """

    name: str
    welfare: Fraction
    revenue: Fraction
    mean_regrets: tuple[Fraction, ...]
    worst_regrets: tuple[Fraction, ...]

    @property
    def mean_regret(self) -> Fraction:
        """The mean over bidders of their mean regrets."""
        return sum(self.mean_regrets, Fraction(0)) / len(self.mean_regrets)

    @property
    def worst_regret(self) -> Fraction:
        """The greatest regret of anybody in any state."""
        return max(self.worst_regrets)

    def as_dict(self) -> dict[str, object]:
        """Plain lists and strings, ready for JSON; amounts in micro-units as fractions, such as "1/3"."""
        return {
            "mechanism": self.name,
            "welfare": str(self.welfare),
            "revenue": str(self.revenue),
            "mean_regret": str(self.mean_regret),
            "worst_regret": str(self.worst_regret),
            "mean_regrets": list(map(str, self.mean_regrets)),
            "worst_regrets": list(map(str, self.worst_regrets)),
        }


@dataclass(frozen=True, slots=True)
class Ranking:
    """Mechanisms side by side; prints itself as a table.

    Args:
        standings: one per mechanism.
        reports: how many reports each bidder has; one alone can have no regret.
        unit: what the table is printed in; what is kept is micro-units.
    """

    standings: tuple[Standing, ...]
    reports: tuple[int, ...]
    unit: Unit = "micro-units"

    def by(self, column: Column) -> "Ranking":
        """Sorted: the most welfare or revenue first, the least regret first, or by name; ties keep their order.

        Raises:
            AuditError: there is no such column.
        """
        if column not in ("name", "welfare", "revenue", "mean_regret", "worst_regret"):
            raise AuditError(f"column {column!r}; expected name, welfare, revenue, mean_regret or worst_regret")
        ordered = sorted(
            self.standings,
            key=lambda standing: getattr(standing, column),
            reverse=column in ("welfare", "revenue"),
        )
        return Ranking(tuple(ordered), self.reports, self.unit)

    def as_dict(self) -> dict[str, object]:
        """Plain lists and strings, ready for JSON; amounts in micro-units."""
        return {"standings": [standing.as_dict() for standing in self.standings], "reports": list(self.reports)}

    def __str__(self) -> str:
        rows = [["mechanism", "welfare", "revenue", "mean regret", "worst regret"]]
        for one in self.standings:
            amounts = (one.welfare, one.revenue, one.mean_regret, one.worst_regret)
            rows.append([one.name, *(_printed(amount, self.unit) for amount in amounts)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, f"in {self.unit}, exact"])


def rank(
    mechanisms: Mapping[str, DirectMechanism | LotteryMechanism] | Iterable[str],
    prior: Prior,
    grid: Grid | None = None,
    *,
    unit: Unit = "micro-units",
) -> Ranking:
    """Welfare, revenue and regret of each mechanism under the prior.

    Args:
        mechanisms: by a name for the table, or shipped names; those that draw lots count on average over their draws.
        prior: the markets, with weights.
        grid: whose reports exist, and who owns which request; default: request i is bidder i's, any pair may be
            matched, and the reports are those that the prior holds possible for that bidder.
        unit: what the table is printed in.

    Raises:
        AuditError: no mechanisms, one of another kind, a unit of another name, or a prior of another shape than the
            grid's.
        MechanismError: a name stands for no mechanism.

    Example:
        >>> prior = Prior.over([Market([[value]], [[0]], [1]) for value in (1, 3)])
        >>> print(rank(["vcg", "pay-as-bid"], prior).by("revenue"))
        mechanism   welfare  revenue  mean regret  worst regret
        pay-as-bid        2        2            1             2
        vcg               2        0            0             0
        in micro-units, exact
    """
    if unit not in ("micro-units", "credits"):
        raise AuditError(f"unit = {unit!r}; expected micro-units or credits")
    if isinstance(mechanisms, str):
        raise AuditError(f"mechanisms = {mechanisms!r} is one string; give a list, [{mechanisms!r}]")
    of_kind(prior, Prior, "prior", "Prior.over(markets)")
    if grid is not None:
        of_kind(grid, Grid, "grid", "Grid(...), or None")
    if not isinstance(mechanisms, Iterable):
        raise AuditError(f"mechanisms = {mechanisms!r}; expected mechanisms by name, or a list of shipped names")
    named = dict(mechanisms) if isinstance(mechanisms, Mapping) else {name: find_mechanism(name) for name in mechanisms}
    if not named:
        raise AuditError("no mechanisms; give at least one")
    for name, mechanism in named.items():
        if isinstance(mechanism, type) or not isinstance(mechanism, DirectMechanism | LotteryMechanism):
            raise AuditError(f"{name}: {mechanism!r} has neither run(market) nor draw(market)")
    states = _states(prior, grid)
    reports = _reports(states, grid)
    standings = tuple(_standing(name, mechanism, states, reports) for name, mechanism in named.items())
    return Ranking(standings, tuple(map(len, reports)), unit)


_States = list[tuple[Market, int]]


def _states(prior: Prior, grid: Grid | None) -> _States:
    n, m = prior.shape
    if grid is not None and grid.template.shape != prior.shape:
        raise AuditError(f"the prior is about markets of shape {prior.shape}, not about {grid}")
    template = Market([[0] * m] * n, [[0] * m] * n, [0] * m) if grid is None else grid.template
    return list(prior.markets(template))


def _reports(states: _States, grid: Grid | None) -> list[list[Misreport]]:
    """For each bidder, every report that exists."""
    if grid is not None:
        return [[Misreport.of(b, rows) for rows in grid.types(b)] for b in range(grid.bidders)]
    players = states[0][0].players
    told = (
        dict.fromkeys(Misreport.of(b, market.values[market.requests_of(b)]) for market, _ in states) for b in players
    )
    return [list(reports) for reports in told]


def _standing(
    name: str, mechanism: DirectMechanism | LotteryMechanism, states: _States, reports: list[list[Misreport]]
) -> Standing:
    total = sum(weight for _, weight in states)
    welfare = revenue = Fraction(0)
    means, worst = [Fraction(0)] * len(reports), [Fraction(0)] * len(reports)
    for truth, weight in states:
        utilities, kept, served = _played(mechanism, truth, truth)
        welfare, revenue = welfare + weight * served, revenue + weight * kept
        for bidder, choices in enumerate(reports):
            earned = max(_played(mechanism, other.applied(truth), truth)[0][bidder] for other in choices)
            # The truth itself need not be among the reports of a grid.
            regret = max(Fraction(0), earned - utilities[bidder])
            means[bidder] += weight * regret
            worst[bidder] = max(worst[bidder], regret)
    return Standing(name, welfare / total, revenue / total, tuple(mean / total for mean in means), tuple(worst))


def _played(
    mechanism: DirectMechanism | LotteryMechanism, market: Market, truth: Market
) -> tuple[dict[int, Fraction], Fraction, Fraction]:
    """(true utilities, surplus, welfare as reported) on average over the draws, if there are any."""
    if isinstance(mechanism, DirectMechanism):
        outcome = outcome_of(mechanism, market)
        utilities = {bidder: Fraction(amount) for bidder, amount in outcome.bidder_utilities(truth).items()}
        return utilities, Fraction(outcome.surplus), Fraction(outcome.welfare)
    lottery = lottery_of(mechanism, market)
    return lottery.bidder_utilities(truth), lottery.surplus, lottery.welfare


def _printed(amount: Fraction, unit: Unit) -> str:
    """A fraction of micro-units; credits as a decimal number where that is exact."""
    if unit == "micro-units":
        return str(amount)
    credit = amount / _CREDIT
    parts = credit * 10**_PLACES
    if parts.denominator != 1:
        return str(credit)
    sign, (whole, rest) = "-" * (parts < 0), divmod(abs(parts.numerator), 10**_PLACES)
    return f"{sign}{whole}.{rest:0{_PLACES}d}".rstrip("0").rstrip(".")
