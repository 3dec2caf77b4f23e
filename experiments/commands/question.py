"""`Question`: what `iemas audit` was asked, as plain data; `Answer`: what it prints, writes and exits with.

Both travel as JSON, so that a question about code that is not ours can be answered in another process.
"""

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from proofs import Property, Report, Scope
    from proofs.evidence.engine import Engine, Progress
    from proofs.grids.workers import Pool

#: Exit codes of `iemas audit`, beside 2 for a question that makes no sense and 130 for an interrupted one.
HELD, REFUTED, UNDECIDED = 0, 1, 3

#: More numbers than this are no list of one per agent.
_MANY = 10_000

_Integers: TypeAlias = "int | list[int] | list[list[int]]"


@dataclass(frozen=True, slots=True)
class Paper:
    """What is printed on: width in characters, and colours as rich names them."""

    width: int = 80
    terminal: bool = False
    colours: str | None = None
    encoding: str = "utf-8"

    @classmethod
    def of(cls, console: "Console") -> "Paper":
        """The paper of a console."""
        colours = None if console.no_color else console.color_system
        return cls(console.width, console.is_terminal, colours, console.encoding)


@dataclass(frozen=True, slots=True)
class Question:
    """The options of `iemas audit`, as they were written; None where not given.

    `suite`: no option says which markets, so the suite of small scopes is meant.
    """

    name: str
    allocator: str | None = None
    suite: bool = False
    bidders: int = 3
    agents: int = 2
    values: str | None = None
    costs: str = "0"
    capacity: str = "1"
    requests_per_bidder: int = 1
    owners: str | None = None
    feasible: str | None = None
    private_costs: str | None = None
    private_capacities: str | None = None
    properties: tuple[str, ...] = ()
    sample: int | None = None
    seed: int = 0
    guided: bool = False
    ties: str = "first"
    reals: bool = False
    second_opinion: bool = False
    workers: int = 1
    ray: bool = False
    resume: str | None = None
    symmetry: bool = False
    limit: int = 1_000_000
    reruns: int | None = None
    allow_unknown: bool = False
    save: str | None = None
    paper: Paper = Paper()

    @property
    def foreign(self) -> bool:
        """Whether it is about code that is not ours: something named `module:object`."""
        names = (self.name, self.allocator or "", *self.properties)
        return any(":" in name.partition("(")[0] for name in names)

    def scope(self) -> "Scope":
        """The markets that are meant.

        Raises:
            BadParameter: an option is malformed.
            AuditError: no scope has these terms; the message speaks of options.
        """
        import proofs

        try:
            return self._scope()
        except proofs.AuditError as error:
            raise proofs.AuditError(in_options(str(error))) from error

    def _scope(self) -> "Scope":
        import proofs
        from proofs.scopes.suite import SUITE

        if self.suite:
            return SUITE
        costs, capacities = _rows(self.costs, "--costs"), _one_or_many(self.capacity, "--capacity")
        owners = None if self.owners is None else list(_integers(self.owners, "--owners"))
        bidders = self.bidders if owners is None else len(set(owners))
        feasible = None if self.feasible is None else _mask(self.feasible)
        hidden_costs = None if self.private_costs is None else _integers(self.private_costs, "--private-costs")
        hidden_rooms = (
            None if self.private_capacities is None else _integers(self.private_capacities, "--private-capacities")
        )
        if self.reals:
            return proofs.Reals(
                bidders=bidders,
                agents=self.agents,
                capacities=capacities,
                box=None if self.values is None else _ends(_integers(self.values, "--values")),
                costs=costs,
                owners=owners or [bidder for bidder in range(bidders) for _ in range(self.requests_per_bidder)],
            )
        if self.sample is None:
            return proofs.Grid(
                bidders=bidders,
                agents=self.agents,
                values=_integers("0..3" if self.values is None else self.values, "--values"),
                costs=costs,
                capacities=capacities,
                owners=owners,
                feasible=feasible,
                requests_per_bidder=self.requests_per_bidder,
                private_costs=hidden_costs,
                private_capacities=hidden_rooms,
                limit=self.limit,
                ties=self.ties,
            )
        return proofs.Sample(
            bidders=bidders,
            agents=self.agents,
            values=_ends(_integers("0..1000" if self.values is None else self.values, "--values")),
            costs=costs,
            capacities=capacities,
            owners=owners,
            feasible=feasible,
            requests_per_bidder=self.requests_per_bidder,
            private_costs=None if hidden_costs is None else _ends(hidden_costs),
            private_capacities=None if hidden_rooms is None else _ends(hidden_rooms),
            draws=self.sample,
            seed=self.seed,
        )

    def claims(self) -> "Sequence[Property | str]":
        """What is examined."""
        from proofs import ALL
        from proofs.properties.agents import AgentsRational, TruthfulAgents
        from proofs.reals.encoding import PROVABLE

        if self.properties:
            return self.properties
        if self.reals:
            return PROVABLE
        two_sided = self.private_costs is not None or self.private_capacities is not None
        return (*ALL, TruthfulAgents(), AgentsRational()) if two_sided else ALL


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


class _Sheet(io.StringIO):
    """Text in memory that says which encoding it will be written in."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


def sheet_of(paper: Paper) -> "tuple[io.StringIO, Console]":
    """Text in memory, and the console that writes it for this paper."""
    from rich.console import Console

    sheet = _Sheet(paper.encoding)
    console = Console(
        file=sheet,
        width=paper.width,
        force_terminal=paper.terminal,
        color_system=paper.colours,  # type: ignore[arg-type]
        no_color=paper.colours is None,
        legacy_windows=False,
    )
    return sheet, console


def coloured(status: str) -> str:
    """The status in its colour, as rich has it in a table."""
    colour = {"REFUTED": "bold red", "UNKNOWN": "yellow"}.get(status, "green")
    return f"[{colour}]{status}[/]"


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


#: What a scope calls its parameters -> the option that sets it.
_OPTIONS = {
    "requests_per_bidder": "--requests-per-bidder",
    "private_capacities": "--private-capacities",
    "private_costs": "--private-costs",
    "capacities": "--capacity",
    "feasible": "--feasible",
    "bidders": "--bidders",
    "agents": "--agents",
    "values": "--values",
    "owners": "--owners",
    "costs": "--costs",
    "draws": "--sample",
    "seed": "--seed",
    "ties": "--ties",
    "box": "--values",
}


def in_options(message: str) -> str:
    """A scope's complaint in the words of the command line: `--bidders`, where Python has `bidders = 0`."""
    for name, option in _OPTIONS.items():
        message = re.sub(rf"(?<![-\w]){name}(?= (?:=|\[|reach|repeat|holds|is empty|of shape|must))", option, message)
    for ours, theirs in (
        ("a Grid or Sample", "a grid, or --sample N"),
        (", or Sample(...)", ", or --sample N"),
        ("raise limit", "raise --limit"),
        (", limit ", ", --limit "),
    ):
        message = message.replace(ours, theirs)
    return message


def _integers(text: str, option: str) -> Sequence[int]:
    """`0..3` or `0,2,5`, at least one."""
    first, dots, last = text.partition("..")
    try:
        if dots and int(first) <= int(last):
            return range(int(first), int(last) + 1)
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r}; expected integers such as 0..3 or 0,2,5", param_hint=option) from None


def _ends(values: Sequence[int]) -> tuple[int, int]:
    """The least and the greatest; of a range without listing it."""
    ends = (values[0], values[-1]) if isinstance(values, range) else values
    return min(ends), max(ends)


def _one_or_many(text: str, option: str) -> int | list[int]:
    numbers = _integers(text, option)
    if isinstance(numbers, range) and numbers[-1] - numbers[0] >= _MANY:
        raise typer.BadParameter(f"{text!r}; expected one integer, or one per agent", param_hint=option)
    return numbers[0] if len(numbers) == 1 else list(numbers)


def _rows(text: str, option: str) -> _Integers:
    """One integer, one per agent, or rows of one per agent: `0,2/3,1`, a row per request."""
    if "/" not in text:
        return _one_or_many(text, option)
    rows = [list(_integers(row, option)) for row in text.split("/")]
    if len({len(row) for row in rows}) > 1:
        raise typer.BadParameter(f"{text!r}; expected rows of equally many integers", param_hint=option)
    return rows


def _mask(text: str) -> list[list[bool]]:
    """`11,01`: a row per request, a digit per agent."""
    rows = text.split(",")
    if not set(text) <= {"0", "1", ","} or len({len(row) for row in rows}) > 1 or not rows[0]:
        raise typer.BadParameter(
            f"{text!r}; expected a row of 0 and 1 per request, a digit per agent, such as 11,01",
            param_hint="--feasible",
        )
    return [[digit == "1" for digit in row] for row in rows]
