"""`iemas audit`: can anyone gain by misreporting to this mechanism, and does the auctioneer lose money?"""

import multiprocessing
import os
import sys
import tempfile
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.auditing.answer import Answer, answered
from experiments.commands.auditing.paper import Paper
from experiments.commands.auditing.question import Question
from experiments.commands.patience import PatientBar

#: Options that say which markets; without one of them the suite of small scopes is meant.
_OF_SCOPE = (
    "bidders",
    "agents",
    "values",
    "costs",
    "capacity",
    "requests_per_bidder",
    "owners",
    "feasible",
    "private_costs",
    "private_capacities",
    "sample",
    "ties",
    "reals",
    "limit",
)


def audit(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="vcg, pay-as-bid, posted-price, or yours: my_rules:HalfPrice")],
    allocator: Annotated[
        str | None, typer.Option(help="greedy, brute-force, ..., or yours: my_rules:MyAllocator")
    ] = None,
    bidders: Annotated[
        int, typer.Option(help="Players. Without any option about markets: a suite of small grids.")
    ] = 3,
    agents: Annotated[int, typer.Option(help="Agents that serve.")] = 2,
    values: Annotated[
        str | None,
        typer.Option(help="Values of a pair, in micro-units: 0..3 or 0,2,5; by default 0..3, sampled 0..1000."),
    ] = None,
    costs: Annotated[
        str,
        typer.Option(help="Cost of serving, in micro-units: one, one per agent, 1,2, or a row per request, 1,2/0,3."),
    ] = "0",
    capacity: Annotated[
        str, typer.Option(help="Requests that an agent serves: one number, or one per agent, 1,2.")
    ] = "1",
    requests_per_bidder: Annotated[int, typer.Option(help="Requests of each player.")] = 1,
    owners: Annotated[
        str | None,
        typer.Option(help="Who owns each request, 0,0,1; in place of --bidders and --requests-per-bidder."),
    ] = None,
    feasible: Annotated[
        str | None, typer.Option(help="Which agents may serve a request: a row of 0 and 1 for each, 11,01.")
    ] = None,
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
    reruns: Annotated[
        int | None, typer.Option(min=1, help="Profiles of a grid that are asked a second time.  [default: 459]")
    ] = None,
    time_limit: Annotated[
        float, typer.Option(min=0.001, help="Stop code of yours that does not move on for so many seconds.")
    ] = 300.0,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Exit code 0, not 3, where nothing is refuted but not all is known.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    save: Annotated[Path | None, typer.Option(help="Also write the JSON here, for python -m proofs.replay.")] = None,
) -> None:
    """Find a misreport that pays, an honest bidder who loses, a deficit, or prove that this scope has none.

    Exit code 1 if anything is refuted, 3 if nothing is but something stays UNKNOWN, 2 if the question makes no sense or
    the audited code raises, ends its process or does not move on, 130 if interrupted.

    Example: iemas audit vcg --allocator greedy --bidders 2 --values 0..3
    """
    from rich.console import Console

    given = _given(context)
    _require_sense(given, reals=reals, sample=sample, guided=guided, ties=ties, certificates=certificates)
    suite = not given & set(_OF_SCOPE)
    if suite and resume is not None:
        raise typer.BadParameter(
            "a file keeps one grid; say which one, with --bidders, --values or the like", param_hint="--resume"
        )
    if ray and workers != 1:
        raise typer.BadParameter("--workers are processes here, --ray is a cluster; give one", param_hint="--ray")
    if second_opinion and not reals:
        raise typer.BadParameter("cvc5 is asked about all real values; give --reals", param_hint="--second-opinion")
    if save is not None:
        _probe_file(save)
    if certificates is not None:
        _probe_folder(certificates)
    question = Question(
        name=name,
        allocator=allocator,
        suite=suite,
        bidders=bidders,
        agents=agents,
        values=values,
        costs=costs,
        capacity=capacity,
        requests_per_bidder=requests_per_bidder,
        owners=owners,
        feasible=feasible,
        private_costs=private_costs,
        private_capacities=private_capacities,
        properties=tuple(properties or ()),
        sample=sample,
        seed=seed,
        guided=guided,
        ties=ties,
        reals=reals,
        second_opinion=second_opinion,
        workers=workers,
        ray=ray,
        resume=None if resume is None else str(resume),
        symmetry=symmetry,
        limit=limit,
        reruns=reruns,
        allow_unknown=allow_unknown,
        save=None if save is None else str(save),
        paper=Paper.of(Console()),
    )
    # Here too, so that an option that makes no sense is said before anything begins.
    question.scope()
    try:
        answer = _answer(question, time_limit)
    except KeyboardInterrupt:
        for child in multiprocessing.active_children():
            child.kill()
        grid = not (suite or reals or sample is not None)
        kept = "; give --resume FILE to keep what was run" if grid else ""
        kept = kept if resume is None else f"; {resume} keeps what was run"
        typer.secho(f"interrupted{kept}", fg="yellow", err=True)
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(answer.report)
    else:
        sys.stdout.write(answer.page)
    if save is not None:
        _write(save, answer.report + "\n", "--save")
    if certificates is not None:
        for prop, certificate in answer.certificates.items():
            _write(certificates / f"{prop}.json", certificate + "\n", "--certificates")
    if answer.code:
        raise typer.Exit(answer.code)


def _answer(question: Question, time_limit_s: float) -> Answer:
    from rich.console import Console

    from experiments.commands.auditing.child import answered_elsewhere

    with PatientBar(Console(stderr=True)) as bar:
        if question.foreign:
            return answered_elsewhere(question, bar, time_limit_s)
        # Whatever prints must not end up in the JSON.
        with redirect_stdout(sys.stderr):
            return answered(question, bar)


def _given(context: typer.Context) -> set[str]:
    """The options that were written down."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    # By name: newer versions of typer have an enumeration of their own.
    return {name for name, source in sources.items() if source is not None and not source.name.startswith("DEFAULT")}


def _require_sense(
    given: set[str], *, reals: bool, sample: int | None, guided: bool, ties: str, certificates: Path | None
) -> None:
    """Refuse options that exclude each other, or that would be ignored."""
    if reals and sample is not None:
        raise typer.BadParameter("--sample draws markets, --reals covers all of them; give one", param_hint="--reals")
    if guided and sample is None:
        raise typer.BadParameter("it guides random markets; give --sample N", param_hint="--guided")
    if "seed" in given and sample is None:
        raise typer.BadParameter("it is of random markets; give --sample N", param_hint="--seed")
    if certificates is not None and not reals:
        raise typer.BadParameter(
            "certificates are of proofs over all real values; add --reals", param_hint="--certificates"
        )
    if ties != "first" and (reals or sample is not None):
        other = "covers every tie-break anyway" if reals else "knows the allocator's own ties alone"
        raise typer.BadParameter(f"{'--reals' if reals else '--sample'} {other}; leave it out", param_hint="--ties")
    if reals and given & {"private_costs", "private_capacities"}:
        raise typer.BadParameter("agents' private types are for grids and samples", param_hint="--reals")
    if reals and "feasible" in given:
        raise typer.BadParameter("forbidden pairs are for grids and samples", param_hint="--reals")
    for two_sided, public in (("private_costs", "costs"), ("private_capacities", "capacity")):
        if {two_sided, public} <= given:
            raise typer.BadParameter(
                f"it says in place of --{public} what agents are; give one of them",
                param_hint=f"--{two_sided.replace('_', '-')}",
            )
    if "owners" in given and given & {"bidders", "requests_per_bidder"}:
        raise typer.BadParameter(
            "it says how many bidders there are and what each owns; leave --bidders and --requests-per-bidder out",
            param_hint="--owners",
        )
    unlike = "--reals" if reals else "--sample" if sample is not None else None
    for name in ("resume", "symmetry", "limit", "workers", "ray"):
        if unlike is not None and name in given:
            raise typer.BadParameter(f"it is for grids, and {unlike} asks for none", param_hint=f"--{name}")
    if ties != "first" and given & {"resume", "symmetry", "workers", "ray"}:
        raise typer.BadParameter(
            "--workers, --ray, --resume and --symmetry break ties as the allocator does; leave it out",
            param_hint="--ties",
        )


def _probe_file(file: Path) -> None:
    """Refuse, before anything long begins, a file that could not be written."""
    if file.is_dir() or not file.parent.is_dir():
        why = f"{file} is a folder" if file.is_dir() else f"there is no folder {file.parent}"
        raise typer.BadParameter(why, param_hint="--save")
    if file.exists() and not file.is_file():
        return
    try:
        with tempfile.TemporaryFile(dir=file.parent):
            pass
        if file.exists():
            file.open("a").close()
    except OSError as error:
        raise typer.BadParameter(f"cannot write to {file}: {error.strerror}", param_hint="--save") from error


def _probe_folder(folder: Path) -> None:
    """The folder, made and found to be writable before anything long begins."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise typer.BadParameter(f"cannot write to {folder}: {error}", param_hint="--certificates") from error


def _write(file: Path, text: str, option: str) -> None:
    """Write the whole file or nothing of it."""
    from proofs import AuditError

    try:
        if file.exists() and not file.is_file():
            file.write_text(text, encoding="utf-8")
            return
        handle, part = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            Path(part).chmod(0o666 & ~_umask())
            Path(part).replace(file.resolve())
        except BaseException:
            with suppress(OSError):
                Path(part).unlink()
            raise
    except OSError as error:
        raise AuditError(f"{option}: cannot write to {file}: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
