"""A study and its audit as tables for the terminal: the report's figures and marks, at any width."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.reports.charts import Study
from experiments.results.columns import BEST, NONE, Cell
from experiments.results.results import DemoResult
from proofs import Finding, Report, Scope, Status, Suite

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

#: A longer name of a policy is folded.
_NAME = 22

#: What is printed: figure, heading, and unit.
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


def policy_tables(result: DemoResult, width: int) -> "list[Table]":
    """One row per policy, means over seeds; as many tables beside each other's columns as the width asks for.

    Args:
        width: of the terminal, in characters. Nothing is cut off: figures that do not fit go into a table below.
    """
    study = Study(result)
    cells = [study.cells(figure) for figure, _, _ in _COLUMNS]
    left = min(_NAME, max(map(len, ("policy", *result.policies)))) + 2
    tables: list[list[int]] = [[]]
    used = left
    for index, (_, heading, unit) in enumerate(_COLUMNS):
        needed = 1 + max(len(heading), len(unit), *(len(one.text) + 2 * one.best for one in cells[index].values()))
        if tables[-1] and used + needed > width:
            tables.append([])
            used = left
        tables[-1].append(index)
        used += needed
    return [
        _policy_table(study, columns, cells, first=k == 0, last=k == len(tables) - 1)
        for k, columns in enumerate(tables)
    ]


def _policy_table(
    study: Study, columns: list[int], cells: list[dict[str, Cell]], *, first: bool, last: bool
) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    result = study.result

    title = Text(
        "simulated engines: speed fitted, answer quality assumed" if result.simulated else "real engines", "bold"
    )
    if result.despite_audit:
        refuted = ", ".join(finding.property.name for finding in result.audit.refuted) or "nothing"
        title.append(f"\nSERVED DESPITE A FAILED AUDIT: {refuted} refuted", "bold white on red")
    if result.contradictions:
        failed = ", ".join(dict.fromkeys(one.property for one in result.contradictions))
        title.append(f"\nCONTRADICTED WHILE SERVING: {failed}", "bold white on red")
        title.append("".join(f"\n{one}" for one in result.contradictions), "red")
    seeds = f"means of {len(result.seeds)} seeds; " if study.several_seeds else ""
    caption = f"{seeds}median, p95: wait for the first token; {BEST} best as printed; {NONE} no such figure"
    table = Table(
        title=title if first else None,
        title_justify="left",
        caption=Text(caption, "dim") if last else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("policy", overflow="fold", max_width=_NAME)
    for _, heading, unit in (_COLUMNS[index] for index in columns):
        table.add_column(f"{heading}\n{unit}", justify="right", no_wrap=True)
    for policy in result.policies:
        chosen = policy == study.chosen
        table.add_row(
            Text(policy, "bold" if chosen else ""),
            *(
                _cell(by_policy[policy].text, by_policy[policy].best)
                for by_policy in (cells[index] for index in columns)
            ),
        )
    return table


def audit_table(report: Report, contradicted: Sequence[str] = ()) -> "Table":
    """One row per property, the scope above, counterexamples below.

    Args:
        report: of the audit.
        contradicted: names of properties that failed while the mechanism served.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"{report.subject}\n{_outline(report.scope)}"),
        title_justify="left",
        title_style="",
        caption=_evidence(report),
        caption_justify="left",
        caption_style="",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("property", overflow="fold")
    table.add_column("finding", no_wrap=True)
    for heading in ("cases", "seconds", "worst, micro-units"):
        table.add_column(heading, justify="right", overflow="fold")
    for finding in report.findings:
        table.add_row(
            Text(finding.property.name),
            _status(finding, finding.property.name in contradicted),
            f"{finding.cases:,}",
            f"{finding.seconds:.2f}",
            f"{finding.worst:,}",
        )
    return table


def _cell(text: str, best: bool) -> "Text":
    from rich.text import Text

    return Text(f"{BEST} {text}", "bold") if best else Text(text, "dim" if text == NONE else "")


def _status(finding: Finding, contradicted: bool) -> "Text":
    from rich.text import Text

    if contradicted and finding.counterexample is None:
        return Text(f"{finding.status}, but CONTRADICTED\nwhile serving", "bold red")
    return Text(finding.status, _STYLES[finding.status])


def _outline(scope: Scope) -> str:
    return scope.outline if isinstance(scope, Suite) else str(scope)


def _evidence(report: Report) -> "Text | None":
    from rich.text import Text

    parts = [
        Text(f"{finding.property.name}: {finding.note}", "yellow")
        for finding in report.findings
        if finding.counterexample is None and isinstance(report.scope, Suite) and _is_partial(finding, report.scope)
    ]
    parts += [Text(str(finding.counterexample), "red") for finding in report.refuted]
    return Text("\n\n").join(parts) if parts else None


def _is_partial(finding: Finding, suite: Suite) -> bool:
    return not finding.cases or (isinstance(finding.scope, Suite) and len(finding.scope.grids) < len(suite.grids))
