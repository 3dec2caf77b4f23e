"""`Answer`: what `iemas audit` prints, writes and exits with, as plain data that travels as JSON."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.commands.auditing.paper import coloured, sheet_of
from experiments.commands.auditing.question import Question

if TYPE_CHECKING:
    from proofs import Report
    from proofs.evidence.engine import Engine, Progress
    from proofs.grids.workers import Pool

#: Exit codes of `iemas audit`, beside 2 for a question that makes no sense and 130 for an interrupted one.
HELD, REFUTED, UNDECIDED = 0, 1, 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found: the page to print, the report as JSON, certificates by property, and the exit code."""

    page: str
    report: str
    certificates: dict[str, str]
    code: int


def answered(question: Question, progress: "Progress") -> Answer:
    """Audit, in this process.

    Raises:
        AuditError: the question makes no sense, or the code under audit misbehaves or ends the process.
        Exception: what the audited code raises.
    """
    import proofs

    try:
        report = proofs.audit(
            question.name,
            question.scope(),
            question.claims(),
            progress,
            allocator=question.allocator,
            engines=_engines(question),
            workers=_pool(question),
            resume=None if question.resume is None else Path(question.resume),
            symmetry=question.symmetry,
        )
    except SystemExit as error:
        raise proofs.AuditError(f"the code under audit ended the process ({error!r}); let it raise") from error
    certificates = {
        finding.property.name: json.dumps(finding.certificate.as_dict(), separators=(",", ":"))
        for finding in report.findings
        if finding.certificate is not None
    }
    unknown = any(finding.status is proofs.Status.UNKNOWN for finding in report.findings)
    code = REFUTED if report.refuted else UNDECIDED if unknown and not question.allow_unknown else HELD
    return Answer(_page(report, question), report.to_json(), certificates, code)


def _page(report: "Report", question: Question) -> str:
    from rich.markup import escape
    from rich.table import Table

    sheet, console = sheet_of(question.paper)

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False, highlight=False)

    table = Table(title=escape(str(report.subject)), title_justify="left", caption=f"{report.seconds:.1f} s in all")
    for column in ("property", "finding"):
        table.add_column(column)
    for column in ("cases", "seconds", "worst, micro-units"):
        table.add_column(column, justify="right")
    for finding in report.findings:
        table.add_row(
            escape(finding.property.name),
            coloured(finding.status),
            f"{finding.cases:,}",
            f"{finding.seconds:.2f}",
            str(finding.worst),
        )
    for line in _scope_lines(report):
        say(line)
    console.print(table)
    for finding in report.findings:
        if finding.status == "PROVED":
            say(f"{finding.property.name}: {finding.verdict}")
    grounds: dict[str, list[str]] = {}
    for finding in report.findings:
        for ground in finding.note.split("; ") if finding.status == "PROVED" else [finding.note]:
            if report.parts and finding.status == "VERIFIED":
                ground = "verified on every scope; --json has how many profiles of each were asked twice"
            if ground and finding.status != "REFUTED":
                grounds.setdefault(ground, []).append(finding.property.name)
    for ground, names in grounds.items():
        say(f"{', '.join(names)}: {ground}")
    for finding in report.refuted:
        if finding.counterexample is not None:
            say(f"\n{finding.counterexample}\n{finding.note}; to see it again:")
            say(finding.counterexample.expression(question.name, question.allocator))
    if question.save is not None:
        say(f"\nsaved; replay with: python -m proofs.replay {question.save}")
    return sheet.getvalue()


def _scope_lines(report: "Report") -> Iterator[str]:
    from proofs.scopes.suite import Suite

    if isinstance(report.scope, Suite):
        yield report.scope.outline.partition(":")[0] + ":"
        for name, grid in report.scope.grids.items():
            yield f"  {name}: {grid}"
    else:
        yield str(report.scope)


def _engines(question: Question) -> "Sequence[Engine]":
    from proofs.audit import ENGINES
    from proofs.grids.exhaustive import Exhaustive
    from proofs.reals.symbolic import Symbolic
    from proofs.samples.guided_search import Guided
    from proofs.ties.all_ties import AllTies

    if question.guided:
        return (Guided(),)
    if question.second_opinion:
        return (Symbolic(second_opinion=True),)
    if question.reruns is None:
        return ENGINES
    again = question.reruns
    return [replace(one, reruns=again) if isinstance(one, Exhaustive | AllTies) else one for one in ENGINES]


def _pool(question: Question) -> "int | Pool":
    if not question.ray:
        return question.workers
    from proofs.grids.ray_cluster import RayCluster

    return RayCluster()
