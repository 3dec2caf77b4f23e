"""The published router's rule beside the exact one: `python -m experiments.studies.paper_verdicts`."""

from mechanisms import VCG, DirectMechanism, Mechanism
from mechanisms.catalogue import find_allocator
from mechanisms.rules.paper import PaperRouter
from proofs import Grid, Report, audit

#: Agents that could take both requests, of whose capacity the router auctions one each; serving costs a micro-unit.
SCOPE = Grid(bidders=2, agents=2, values=range(5), costs=1, capacities=2)

ROUTER = PaperRouter(slots=1, grain=1)

#: The exact rule sells what there is: the whole capacity of either agent.
EXACT = Mechanism(find_allocator("min-cost-flow"), VCG())


def verdicts() -> str:
    """The scope, a table of findings, and every counterexample with an expression that computes it again."""
    published, exact = audit(ROUTER, SCOPE), audit(EXACT, SCOPE)
    lines = [f"Scope: {SCOPE}.", "", f"| property | {published.subject} | {exact.subject} |", "|---|---|---|"]
    lines += [f"| {name} | {_verdict(published, name)} | {_verdict(exact, name)} |" for name in published]
    for mechanism, report in ((ROUTER, published), (EXACT, exact)):
        lines += _evidence(mechanism, report)
    return "\n".join(lines)


def _verdict(report: Report, name: str) -> str:
    finding = report[name]
    worst = f", by up to {finding.worst}" if finding.worst else ""
    return f"{finding.status}{worst}, {finding.cases:,} cases"


def _evidence(mechanism: DirectMechanism, report: Report) -> list[str]:
    lines = []
    for finding in report.refuted:
        if finding.counterexample is not None:
            lines += ["", f"**{finding.property.name}** fails: {finding.counterexample.text}.", ""]
            lines += ["```python", finding.counterexample.expression(mechanism), "```"]
    return lines


if __name__ == "__main__":
    print(verdicts())
