"""`audit_lotteries`: every profile and every misreport of every bidder on a grid, in exact integers.

Each profile is drawn once. Every type's expected utility from every lottery is then a whole number of parts, `common`
to a micro-unit (the least common multiple of the lotteries' total weights), and no float enters.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from time import perf_counter

import numpy as np

from allocation import Market
from mechanisms.lottery import Lottery, LotteryMechanism
from proofs.arguments import several
from proofs.errors import AuditError
from proofs.evidence.evidence import replay_fresh, shrink
from proofs.evidence.finding import Status
from proofs.lotteries.claims import CLAIMS, Claim, TruthfulInExpectation, find_claim
from proofs.lotteries.counterexample import LotteryCounterexample, lottery_mechanism, lottery_of
from proofs.misreports.misreport import Misreport
from proofs.scopes.grid import Grid

#: One in so many profiles is drawn a second time, to catch mechanisms that answer differently; the first one always.
_AGAIN = 8


@dataclass(frozen=True, slots=True, eq=False)
class LotteryFinding:
    """What was found about one claim over a grid. Truthy where it is VERIFIED.

    `worst` is the exact maximum over the grid, in micro-units. The `counterexample` was shrunk, so its market may be
    smaller than the grid's, and replayed as `note` says.
    """

    claim: Claim
    status: Status
    scope: Grid
    cases: int
    seconds: float
    worst: Fraction
    counterexample: LotteryCounterexample | None = None
    note: str = ""

    def __bool__(self) -> bool:
        return self.status is Status.VERIFIED

    def as_dict(self) -> dict[str, object]:
        """Plain lists, numbers and strings, ready for JSON; `worst` as a fraction in a string."""
        return {
            "property": self.claim.name,
            "status": str(self.status),
            "cases": self.cases,
            "seconds": round(self.seconds, 6),
            "worst": str(self.worst),
            "counterexample": None if self.counterexample is None else self.counterexample.as_dict(),
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, eq=False)
class LotteryReport(Mapping[str, LotteryFinding]):
    """The findings of one audit, by name of the claim, in the order in which they were asked for.

    `name` is what the mechanism was found by, where it was found by name.
    """

    subject: str
    scope: Grid
    findings: tuple[LotteryFinding, ...]
    name: str | None = None

    @property
    def passed(self) -> bool:
        """Whether at least one claim was asked about, and all are VERIFIED."""
        return bool(self.findings) and all(self.findings)

    def __getitem__(self, name: str) -> LotteryFinding:
        for finding in self.findings:
            if finding.claim.name == name:
                return finding
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (finding.claim.name for finding in self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def to_json(self) -> str:
        """The report as a JSON object that `python -m proofs.replay` reads."""
        found = [finding.as_dict() for finding in self.findings]
        mechanism = {"is": self.subject, "name": self.name, "allocator": None}
        return json.dumps({"mechanism": mechanism, "scope": str(self.scope), "findings": found}, indent=2)

    def __str__(self) -> str:
        width = max((len(name) for name in self), default=0)
        lines = [self.subject, str(self.scope), ""]
        lines += [f"{name:<{width}}  {found.status:<8}  {found.cases:>9,} cases" for name, found in self.items()]
        for finding in self.findings:
            if finding.counterexample is not None:
                lines += ["", str(finding.counterexample), f"worst seen {finding.worst}; {finding.note}"]
        return "\n".join(lines)


def audit_lotteries(
    mechanism: LotteryMechanism | str, grid: Grid, claims: Iterable[Claim | str] = CLAIMS
) -> LotteryReport:
    """Find out which claims about a mechanism that draws lots hold over a grid.

    Every counterexample is shrunk, then replayed in a fresh process where the mechanism can be written down.

    Args:
        mechanism: an object with `draw(market)`, or `module:object`.
        grid: the bidders' reports; ties are the mechanism's own.
        claims: objects or shipped names.

    Raises:
        AuditError: a malformed question, or a mechanism that misbehaves or draws two lotteries for one market.
        ReplayError: a counterexample does not happen again.

    Example:
        >>> from allocation import MinCostFlow
        >>> from mechanisms import VCG, Mechanism, Mixture
        >>> mixed = Mixture((Mechanism(MinCostFlow(), VCG()),), (1,))
        >>> bool(audit_lotteries(mixed, Grid(2, 1, range(3)))["truthful-in-expectation"])
        True
    """
    if isinstance(claims, str):
        raise AuditError(f"claims = {claims!r} is one string; give a list, [{claims!r}]")
    subject = lottery_mechanism(mechanism)
    if not isinstance(grid, Grid) or grid.ties != "first":
        raise AuditError(f"lotteries are audited over a Grid with ties='first', not over {grid}")
    asked = [find_claim(claim) for claim in several(claims, "claims", "claims or names of them")]
    if len({claim.name for claim in asked}) < len(asked):
        raise AuditError(f"claims {[claim.name for claim in asked]} share a name; a report tells them apart by it")
    lotteries = [lottery_of(subject, grid.market(profile)) for profile in range(grid.profiles)]
    again = range(0, grid.profiles, _AGAIN)
    for profile in again:
        _same(subject, grid.market(profile), lotteries[profile])
    note = f"{len(again)} of {grid.profiles} profiles drawn twice"
    findings = []
    for claim in asked:
        started = perf_counter()
        if isinstance(claim, TruthfulInExpectation):
            cases, worst, case = _best_misreport(lotteries, grid)
        else:
            cases, worst, case = _worst_profile(claim, lotteries, grid)
        witness = None if case is None else LotteryCounterexample.of(claim, subject, *case)
        if case is not None and (witness is None or witness.amount != worst):
            raise _unstable(subject, case[0])
        finding = LotteryFinding(claim, Status.VERIFIED, grid, cases, perf_counter() - started, worst, note=note)
        if witness is not None:
            small = shrink(witness, subject)
            how = replay_fresh(small, subject)
            finding = replace(finding, status=Status.REFUTED, counterexample=small, note=how)
        elif not cases:
            why = "nothing was checked: no bidder has more than one type on this grid"
            finding = replace(finding, status=Status.UNKNOWN, note=why)
        findings.append(finding)
    kind = type(subject)
    called = kind.__name__ if kind.__str__ is object.__str__ else str(subject)
    return LotteryReport(called, grid, tuple(findings), mechanism if isinstance(mechanism, str) else None)


_Case = tuple[Market, Misreport | None]


def _worst_profile(claim: Claim, lotteries: list[Lottery], grid: Grid) -> tuple[int, Fraction, _Case | None]:
    worst, where = Fraction(0), None
    for profile, lottery in enumerate(lotteries):
        assert not isinstance(claim, TruthfulInExpectation)
        found = claim.check(lottery, grid.market(profile))
        if found is not None and found.amount > worst:
            worst, where = found.amount, profile
    return grid.profiles, worst, None if where is None else (grid.market(where), None)


def _best_misreport(lotteries: list[Lottery], grid: Grid) -> tuple[int, Fraction, _Case | None]:
    """(pairs tried, the greatest expected gain, where); the first of several."""
    common = math.lcm(*(lottery.total for lottery in lotteries))
    worst, where = 0, None
    for bidder in range(grid.bidders):
        worth = [_expected(lottery, grid, bidder, common // lottery.total) for lottery in lotteries]
        for profile in range(grid.profiles):
            own = grid.rows(profile)[bidder]
            for report, there in enumerate(grid.deviations(profile, bidder)):
                gain = worth[there][own] - worth[profile][own]
                if gain > worst:
                    worst, where = gain, (profile, bidder, report)
    if where is None:
        return grid.pairs, Fraction(0), None
    profile, bidder, report = where
    misreport = grid.misreport(bidder, report)
    assert isinstance(misreport, Misreport)
    return grid.pairs, Fraction(worst, common), (grid.market(profile), misreport)


def _expected(lottery: Lottery, grid: Grid, bidder: int, scale: int) -> list[int]:
    """Each type's expected utility from a lottery, in parts of a micro-unit; Python's integers never overflow."""
    mine = grid.template.requests_of(bidder)
    bundles = np.array([outcome.allocation.agents[mine] for outcome in lottery.outcomes], np.int64)
    charges = [sum(outcome.payments.charges[mine].tolist()) for outcome in lottery.outcomes]
    return [
        scale * sum(w * (v - paid) for w, v, paid in zip(lottery.weights, row, charges, strict=True))
        for row in grid.bundle_values(bidder, bundles).tolist()
    ]


def _same(mechanism: LotteryMechanism, market: Market, before: Lottery) -> None:
    """Hold the mechanism to the lottery that it drew before, whatever the order of its outcomes."""
    if _odds(lottery_of(mechanism, market)) != _odds(before):
        raise _unstable(mechanism, market)


def _odds(lottery: Lottery) -> dict[tuple[tuple[int, ...], ...], Fraction]:
    odds: dict[tuple[tuple[int, ...], ...], Fraction] = {}
    for outcome, weight in zip(lottery.outcomes, lottery.weights, strict=True):
        rows = (outcome.allocation.agents, outcome.payments.charges, outcome.payments.receipts)
        key = tuple(tuple(row.tolist()) for row in rows)
        odds[key] = odds.get(key, Fraction(0)) + Fraction(weight, lottery.total)
    return odds


def _unstable(mechanism: LotteryMechanism, market: Market) -> AuditError:
    return AuditError(
        f"{type(mechanism).__name__} draws from two lotteries for the same market, {market}; chance belongs into the "
        "lottery's weights, so that the same report always brings the same lottery"
    )
