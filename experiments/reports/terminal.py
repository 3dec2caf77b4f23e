"""A study and its audit as tables for the terminal; the report's figures and marks, at 110 columns."""

from typing import TYPE_CHECKING

from experiments.reports.charts import Study
from experiments.results.columns import BEST, NONE
from experiments.results.results import StudyResult
from proofs import Finding, Report, Status

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

#: What fits: figure, heading, and unit.
_COLUMNS = (
    ("requests", "served", ""),
    ("declined", "decl.", ""),
    ("hit_rate", "KV hit", "%"),
    ("latency_median", "median", "s"),
    ("latency_p95", "p95", "s"),
    ("cost_per_request", "cost", "credits"),
    ("right", "right", "%"),
    ("welfare", "welfare", "credits"),
    ("payments", "charges", "credits"),
    ("surplus", "surplus", "credits"),
    ("latency_nmae", "NMAE", "latency"),
)

_STYLES = {Status.PROVED: "green", Status.VERIFIED: "green", Status.REFUTED: "bold red", Status.UNKNOWN: "yellow"}


def policy_table(result: StudyResult) -> "Table":
    """One row per policy, means over seeds."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    study = Study(result)
    title = Text(
        "simulated engines: speed fitted, answer quality assumed" if result.simulated else "real engines", "bold"
    )
    if result.despite_audit:
        refuted = ", ".join(finding.property.name for finding in result.audit.refuted)
        title.append(f"\nSERVED DESPITE A FAILED AUDIT: {refuted} refuted", "bold white on red")
    seeds = f"means of {len(result.seeds)} seeds; " if study.several_seeds else ""
    caption = f"{seeds}median, p95: wait for the first token; {BEST} best as printed; {NONE} no such figure"
    table = Table(
        title=title,
        title_justify="left",
        caption=Text(caption, "dim"),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("policy", overflow="fold", max_width=22)
    for _, heading, unit in _COLUMNS:
        table.add_column(f"{heading}\n{unit}", justify="right", no_wrap=True)
    cells = [study.cells(figure) for figure, _, _ in _COLUMNS]
    for policy in result.policies:
        chosen = policy == study.chosen
        table.add_row(
            Text(policy, "bold" if chosen else ""),
            *(_cell(by_policy[policy].text, by_policy[policy].best) for by_policy in cells),
        )
    return table


def audit_table(report: Report) -> "Table":
    """One row per property, the scope above, counterexamples below."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"{report.subject}\n{report.scope}"),
        title_justify="left",
        title_style="",
        caption=_evidence(report.refuted),
        caption_justify="left",
        caption_style="",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("property")
    table.add_column("finding")
    for heading in ("cases", "seconds", "worst, micro-units"):
        table.add_column(heading, justify="right")
    for finding in report.findings:
        table.add_row(
            Text(finding.property.name),
            Text(finding.status, _STYLES[finding.status]),
            f"{finding.cases:,}",
            f"{finding.seconds:.2f}",
            f"{finding.worst:,}",
        )
    return table


def _cell(text: str, best: bool) -> "Text":
    from rich.text import Text

    return Text(f"{BEST} {text}", "bold") if best else Text(text, "dim" if text == NONE else "")


def _evidence(refuted: tuple[Finding, ...]) -> "Text | None":
    from rich.text import Text

    return Text("\n\n".join(str(finding.counterexample) for finding in refuted), "red") if refuted else None
