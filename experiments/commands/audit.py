"""`iemas audit`: can anyone gain by misreporting to this mechanism, and does the auctioneer lose money?"""

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console
    from rich.progress import Progress, TaskID

    from proofs import Finding, Report, Scope
    from proofs.evidence.engine import Engine
    from proofs.grids.workers import Pool

#: A progress bar for anything shorter would only flicker.
_PATIENCE_S = 2.0

#: More numbers than this are no list of one per agent.
_MANY = 10_000


def audit(
    name: Annotated[str, typer.Argument(help="vcg, pay-as-bid, posted-price, or yours: my_rules:HalfPrice")],
    allocator: Annotated[
        str | None, typer.Option(help="greedy, brute-force, ..., or yours: my_rules:MyAllocator")
    ] = None,
    bidders: Annotated[int, typer.Option(help="Players.")] = 3,
    agents: Annotated[int, typer.Option(help="Agents that serve.")] = 2,
    values: Annotated[
        str | None,
        typer.Option(help="Values of a pair, in micro-units: 0..3 or 0,2,5; by default 0..3, sampled 0..1000."),
    ] = None,
    costs: Annotated[str, typer.Option(help="Cost of serving, in micro-units: one, or one per agent, 1,2.")] = "0",
    capacity: Annotated[
        str, typer.Option(help="Requests that an agent serves: one number, or one per agent, 1,2.")
    ] = "1",
    requests_per_bidder: Annotated[int, typer.Option(help="Requests of each player.")] = 1,
    private_costs: Annotated[
        str | None, typer.Option(help="Agents are players too: what their cost may be, 0..2; in place of --costs.")
    ] = None,
    private_capacities: Annotated[
        str | None, typer.Option(help="The same of their capacities, 0..2; in place of --capacity.")
    ] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            help="truthful, efficient, 'group-truthful(members=2, transfers=True)', my_rules:Fair, ...; repeatable.",
        ),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="Draw this many random markets, in place of all on the grid.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random markets.")] = 0,
    guided: Annotated[
        bool, typer.Option("--guided", help="With --sample: let Hypothesis draw, towards misreports that almost pay.")
    ] = False,
    ties: Annotated[
        str, typer.Option(help="On a grid: first, as the allocator breaks them; all ways; or refuse markets with ties.")
    ] = "first",
    reals: Annotated[
        bool, typer.Option("--reals", help="All real values and every tie-break; within --values' ends if given.")
    ] = False,
    certificates: Annotated[
        Path | None, typer.Option(help="With --reals: write proofs into this folder, for python -m proofs.check.")
    ] = None,
    second_opinion: Annotated[
        bool, typer.Option("--second-opinion", help="With --reals: ask cvc5 too before anything is PROVED.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes that play out a grid; the report is the same.")] = 1,
    ray: Annotated[
        bool, typer.Option("--ray", help="Play it out on the Ray cluster of RAY_ADDRESS, or on one started here.")
    ] = False,
    resume: Annotated[
        Path | None, typer.Option(help="Keep what was run of a grid in this file, and go on from it.")
    ] = None,
    symmetry: Annotated[
        bool, typer.Option("--symmetry", help="Let one of the bidders found interchangeable on a grid stand for all.")
    ] = False,
    limit: Annotated[int, typer.Option(help="Refuse grids of more profiles.")] = 1_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    save: Annotated[Path | None, typer.Option(help="Also write the JSON here, for python -m proofs.replay.")] = None,
) -> None:
    """Find a misreport that pays, an honest bidder who loses, a deficit, or prove that this scope has none.

    Exit code 1 if anything is refuted, 2 if the question makes no sense or the audited code raises, 130 if interrupted.

    Example: iemas audit vcg --allocator greedy --bidders 2 --values 0..3
    """
    from rich.console import Console

    import proofs
    from proofs.properties.agents import AgentsRational, TruthfulAgents
    from proofs.reals.encoding import PROVABLE

    if save is not None and (save.is_dir() or not save.parent.is_dir()):
        why = f"{save} is a folder" if save.is_dir() else f"there is no folder {save.parent}"
        raise typer.BadParameter(why, param_hint="--save")
    if certificates is not None:
        _make_folder(certificates)
    if reals and sample is not None:
        raise typer.BadParameter("--sample draws markets, --reals covers all of them; give one", param_hint="--reals")
    if second_opinion and not reals:
        raise typer.BadParameter("cvc5 is asked about all real values; give --reals", param_hint="--second-opinion")
    if guided and sample is None:
        raise typer.BadParameter("it guides random markets; give --sample N", param_hint="--guided")
    if ties != "first" and (reals or sample is not None):
        other = "covers every tie-break anyway" if reals else "knows the allocator's own ties alone"
        raise typer.BadParameter(f"{'--reals' if reals else '--sample'} {other}; leave it out", param_hint="--ties")
    scope: Scope
    promised = PROVABLE if reals else proofs.ALL
    costs_each, capacities = _one_or_many(costs, "--costs"), _one_or_many(capacity, "--capacity")
    hidden_costs = None if private_costs is None else _integers(private_costs, "--private-costs")
    hidden_rooms = None if private_capacities is None else _integers(private_capacities, "--private-capacities")
    two_sided = hidden_costs is not None or hidden_rooms is not None
    if two_sided and reals:
        raise typer.BadParameter("agents' private types are for grids and samples", param_hint="--reals")
    if two_sided:
        promised = (*promised, TruthfulAgents(), AgentsRational())
    if reals:
        box = None if values is None else _ends(_integers(values, "--values"))
        scope = proofs.Reals(
            bidders=bidders,
            agents=agents,
            capacities=capacities,
            box=box,
            costs=costs_each,
            owners=[bidder for bidder in range(bidders) for _ in range(requests_per_bidder)],
        )
    elif sample is None:
        scope = proofs.Grid(
            bidders=bidders,
            agents=agents,
            values=_integers("0..3" if values is None else values, "--values"),
            costs=costs_each,
            capacities=capacities,
            requests_per_bidder=requests_per_bidder,
            private_costs=hidden_costs,
            private_capacities=hidden_rooms,
            limit=limit,
            ties=ties,
        )
    else:
        bounds = _integers("0..1000" if values is None else values, "--values")
        scope = proofs.Sample(
            bidders=bidders,
            agents=agents,
            values=_ends(bounds),
            costs=costs_each,
            capacities=capacities,
            requests_per_bidder=requests_per_bidder,
            private_costs=None if hidden_costs is None else _ends(hidden_costs),
            private_capacities=None if hidden_rooms is None else _ends(hidden_rooms),
            draws=sample,
            seed=seed,
        )
    pool = _pool(workers, ray)
    try:
        # What the audited code prints must not end up in the JSON.
        with _PatientBar(Console(stderr=True)) as bar, redirect_stdout(sys.stderr):
            report = proofs.audit(
                name,
                scope,
                properties or promised,
                bar,
                allocator=allocator,
                engines=_engines(guided, second_opinion),
                workers=pool,
                resume=resume,
                symmetry=symmetry,
            )
    except SystemExit as error:
        raise proofs.AuditError(f"the code under audit ended the process ({error!r}); let it raise") from error
    except KeyboardInterrupt:
        kept = "; give --resume FILE to keep what was run" if resume is None else f"; {resume} keeps what was run"
        typer.secho(f"interrupted{kept}", fg="yellow", err=True)
        raise typer.Exit(130) from None
    if save is not None:
        save.write_text(report.to_json() + "\n")
    for finding in report.findings:
        if certificates is not None and finding.certificate is not None:
            finding.certificate.write(certificates / f"{finding.property.name}.json")
    if as_json:
        typer.echo(report.to_json())
    else:
        _show(report, Console(), name, allocator, save)
    if report.refuted:
        raise typer.Exit(1)


def _show(report: "Report", console: "Console", name: str, allocator: str | None, saved: Path | None) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(str(report.subject)), title_justify="left", caption=f"{report.seconds:.1f} s in all")
    for column in ("property", "finding"):
        table.add_column(column)
    for column in ("cases", "seconds", "worst, micro-units"):
        table.add_column(column, justify="right")
    for finding in report.findings:
        table.add_row(
            escape(finding.property.name),
            _coloured(finding),
            f"{finding.cases:,}",
            f"{finding.seconds:.2f}",
            str(finding.worst),
        )

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False, highlight=False)

    say(str(report.scope))
    console.print(table)
    grounds: dict[str, list[str]] = {}
    for finding in report.findings:
        for ground in finding.note.split("; ") if finding.status == "PROVED" else [finding.note]:
            if ground and finding.status != "REFUTED":
                grounds.setdefault(ground, []).append(finding.property.name)
    for ground, names in grounds.items():
        say(f"{', '.join(names)}: {ground}")
    for finding in report.refuted:
        if finding.counterexample is not None:
            say(f"\n{finding.counterexample}\n{finding.note}; to see it again:")
            say(finding.counterexample.expression(name, allocator))
    if saved is not None:
        say(f"\nsaved; replay with: python -m proofs.replay {saved}")


def _coloured(finding: "Finding") -> str:
    colour = {"REFUTED": "bold red", "UNKNOWN": "yellow"}.get(finding.status, "green")
    return f"[{colour}]{finding.status}[/]"


def _engines(guided: bool, second_opinion: bool = False) -> "Sequence[Engine]":
    from proofs.audit import ENGINES
    from proofs.reals.symbolic import Symbolic
    from proofs.samples.guided_search import Guided

    if second_opinion:
        return (Symbolic(second_opinion=True),)
    return (Guided(),) if guided else ENGINES


def _pool(workers: int, ray: bool) -> "int | Pool":
    if ray and workers != 1:
        raise typer.BadParameter("--workers are processes here, --ray is a cluster; give one", param_hint="--ray")
    if not ray:
        return workers
    from proofs.grids.ray_cluster import RayCluster

    return RayCluster()


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


def _make_folder(folder: Path) -> None:
    """The folder, made before anything long begins."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"cannot write to {folder}: {error}", param_hint="--certificates") from error


def _one_or_many(text: str, option: str) -> int | list[int]:
    numbers = _integers(text, option)
    if isinstance(numbers, range) and numbers[-1] - numbers[0] >= _MANY:
        raise typer.BadParameter(f"{text!r}; expected one integer, or one per agent", param_hint=option)
    return numbers[0] if len(numbers) == 1 else list(numbers)


class _PatientBar:
    """A progress bar that shows itself only once the wait has become one."""

    def __init__(self, console: "Console", clock: Callable[[], float] = monotonic) -> None:
        self._console = console
        self._clock = clock
        self._started = clock()
        self._first: tuple[float, int] | None = None
        self._bar: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> "_PatientBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        if self._bar is not None:
            self._bar[0].stop()

    def __call__(self, done: int, total: int) -> None:
        now = self._clock()
        # What an earlier run has left is there at the first call, and says nothing about the rate.
        began, before = self._first = self._first or (now, done)
        if self._bar is None:
            if now - self._started < _PATIENCE_S or done == total:
                return
            self._bar = self._shown(total)
        progress, task = self._bar
        rate = (done - before) / max(now - began, 1e-9)
        left = f"{rate:,.0f}/s, {(total - done) / rate:,.0f} s left" if rate else ""
        progress.update(task, completed=done, total=total, rate=left)

    def _shown(self, total: int) -> "tuple[Progress, TaskID]":
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (TextColumn("markets"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
        progress = Progress(*columns, console=self._console, transient=True)
        progress.start()
        return progress, progress.add_task("audit", total=total, rate="")
