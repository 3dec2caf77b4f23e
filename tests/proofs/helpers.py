"""The definition of truthfulness, pair by pair, as an oracle; and findings without the fresh process of an audit."""

from collections.abc import Iterable

from mechanisms import DirectMechanism
from proofs import ALL, Finding, Grid, Property, Sample
from proofs.grids.exhaustive import Exhaustive
from proofs.samples.random_search import Search


def examined(
    mechanism: DirectMechanism, scope: Grid | Sample, properties: Iterable[Property] = ALL
) -> dict[str, Finding]:
    """What the scope's engine finds: an audit before anything is shrunk or replayed elsewhere."""
    engine = Exhaustive() if isinstance(scope, Grid) else Search()
    findings = engine.examine(mechanism, scope, list(properties), lambda done, total: None)
    return {finding.property.name: finding for finding in findings}


def worst_gain(mechanism: DirectMechanism, grid: Grid) -> tuple[int, int]:
    """(largest gain of any bidder from any misreport, number of pairs tried)."""
    worst = pairs = 0
    for profile in range(grid.profiles):
        truth = grid.market(profile)
        honest = mechanism.run(truth).bidder_utilities(truth)
        for bidder in range(grid.bidders):
            for misreport in grid.misreports(profile, bidder):
                deviating = mechanism.run(misreport.applied(truth)).bidder_utilities(truth)
                worst = max(worst, deviating[bidder] - honest[bidder])
                pairs += 1
    return worst, pairs
