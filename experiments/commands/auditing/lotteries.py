"""`iemas audit` of a mechanism that draws lots: the claims of `audit_lotteries`, printed as any other finding is."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from experiments.commands.auditing.answer import HELD, REFUTED, UNDECIDED, Answer
from experiments.commands.auditing.paper import coloured, sheet_of
from experiments.commands.auditing.question import Question

if TYPE_CHECKING:
    from proofs.lotteries.audit import LotteryReport

#: What `audit_lotteries` has no use for, and the option that asks for it.
_UNUSED: dict[str, Callable[[Question], bool]] = {
    "--allocator": lambda asked: asked.allocator is not None,
    "--reals": lambda asked: asked.reals,
    "--sample": lambda asked: asked.sample is not None,
    "--ties": lambda asked: asked.ties != "first",
    "--private-costs": lambda asked: asked.private_costs is not None,
    "--private-capacities": lambda asked: asked.private_capacities is not None,
    "--workers": lambda asked: asked.workers != 1,
    "--ray": lambda asked: asked.ray,
    "--resume": lambda asked: asked.resume is not None,
    "--symmetry": lambda asked: asked.symmetry,
    "--reruns": lambda asked: asked.reruns is not None,
}


def draws_lots(question: Question) -> bool:
    """Whether the name stands for an object with `draw`, and without `run`.

    Raises:
        MechanismError: it stands for nothing.
    """
    from mechanisms import DirectMechanism, LotteryMechanism, load_object

    if ":" not in question.name:
        return False
    found = load_object(question.name)
    return isinstance(found, LotteryMechanism) and not isinstance(found, DirectMechanism)


def answered_of_lottery(question: Question) -> Answer:
    """Audit, in this process.

    Raises:
        AuditError: the question makes no sense of a lottery, or the code under audit misbehaves or ends the process.
        Exception: what the audited code raises.
    """
    import proofs
    from proofs.audit import SMALL
    from proofs.lotteries.claims import CLAIMS

    for option, given in _UNUSED.items():
        if given(question):
            raise proofs.AuditError(f"{question.name} draws lots; leave {option} out: lotteries are audited on a grid")
    # A suite is of many grids; lotteries are audited on one.
    scope = SMALL if question.suite else question.scope()
    assert isinstance(scope, proofs.Grid)
    report = proofs.audit_lotteries(question.name, scope, question.properties or CLAIMS)
    statuses = [finding.status for finding in report.findings]
    unknown = proofs.Status.UNKNOWN in statuses and not question.allow_unknown
    code = REFUTED if proofs.Status.REFUTED in statuses else UNDECIDED if unknown else HELD
    return Answer(_page(report, question), report.to_json(), {}, code)


def _page(report: "LotteryReport", question: Question) -> str:
    from rich.markup import escape
    from rich.table import Table

    sheet, console = sheet_of(question.paper)

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False, highlight=False)

    table = Table(title=escape(report.subject), title_justify="left")
    for column in ("claim", "finding"):
        table.add_column(column)
    for column in ("cases", "seconds", "worst, micro-units"):
        table.add_column(column, justify="right")
    for finding in report.findings:
        table.add_row(
            escape(finding.claim.name),
            coloured(finding.status),
            f"{finding.cases:,}",
            f"{finding.seconds:.2f}",
            str(finding.worst),
        )
    say(str(report.scope))
    console.print(table)
    grounds: dict[str, list[str]] = {}
    for finding in report.findings:
        if finding.counterexample is None and finding.note:
            grounds.setdefault(finding.note, []).append(finding.claim.name)
    for ground, names in grounds.items():
        say(f"{', '.join(names)}: {ground}")
    for finding in report.findings:
        if finding.counterexample is not None:
            say(f"\n{finding.counterexample}\n{finding.note}; to see it again:")
            say(finding.counterexample.expression(question.name))
    if question.save is not None:
        say(f"\nsaved; replay with: python -m proofs.replay {question.save}")
    return sheet.getvalue()
