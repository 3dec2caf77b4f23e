"""`iemas demo`: audit a mechanism, serve dialogues with it and with other routers, write a report."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from experiments.commands.preparing.model import DEFAULT_MODELS

if TYPE_CHECKING:
    from rich.progress import Progress

    from experiments.errors import StudyError
    from experiments.studies.demo import Plan
    from experiments.worlds.fleets import PricedEngines
    from proofs import Report


_PIPE_WIDTH = 120
#: A server does not say how many requests it runs at once; vLLM on a CPU of a few cores does well with as many.
_SERVER_SLOTS = 4


class EngineKind(StrEnum):
    """What serves."""

    SIMULATED = "simulated"
    VLLM = "vllm"


def demo(
    mechanism: Annotated[str, typer.Option(help="vcg, pay-as-bid, posted-price, or yours: my_rules:HalfPrice")] = "vcg",
    allocator: Annotated[str | None, typer.Option(help="greedy, or-tools, ..., or yours")] = None,
    settlement: Annotated[
        str, typer.Option(help="Who bears a wrong prediction: on-prediction, on-measurement, on-delivery, or yours.")
    ] = "on-prediction",
    preset: Annotated[
        str,
        typer.Option(
            help="differing: bidders who differ; varied: who hardly do; paper: the published constants for "
            "preferences, tokens and rounds."
        ),
    ] = "differing",
    engine: Annotated[EngineKind, typer.Option(help="Simulated engines, or real vLLM servers.")] = EngineKind.SIMULATED,
    model: Annotated[
        list[str] | None,
        typer.Option(help="With --engine vllm: a name of `iemas model list`, a model folder or a hub id; repeatable."),
    ] = None,
    url: Annotated[
        list[str] | None, typer.Option(help="With --engine vllm: a vLLM server that runs already; repeatable.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="`shipped`, a fetched name, a file, or a folder of files; repeatable. Default: what is there."
        ),
    ] = None,
    dialogues: Annotated[
        int | None, typer.Option(min=1, help="Dialogues of each file.  [default: 20; vllm: 4]")
    ] = None,
    turns: Annotated[int | None, typer.Option(min=1, help="Turns of each dialogue.  [default: 12; vllm: 3]")] = None,
    rate: Annotated[float, typer.Option(min=1e-6, help="Dialogues that begin per second.")] = 0.15,
    bidders: Annotated[
        int | None, typer.Option(min=1, help="Among whom the dialogues are dealt.  [default: the preset's]")
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(min=1, help="A wall: requests that an agent may serve at once.  [default: its engine's own]"),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Repetitions.  [default: 3; vllm: 1]")] = None,
    policy: Annotated[list[str] | None, typer.Option(help="Only this one, or yours: mine:Policy; repeatable.")] = None,
    predictor: Annotated[
        str | None,
        typer.Option(help="What the auction and informed rivals know: by-question, or yours, mine:Model."),
    ] = None,
    preferences: Annotated[
        str | None, typer.Option(help="Your bidders: mine:draw, a function of a numpy Generator.")
    ] = None,
    despite_audit: Annotated[
        bool,
        typer.Option(
            "--despite-audit", help="Serve with a mechanism that the audit refuted, or that fails while it serves."
        ),
    ] = False,
    time_limit: Annotated[
        float,
        typer.Option(min=0.001, help="Stop the audit of code of yours that does not move on for so many seconds."),
    ] = 300.0,
    out: Annotated[
        Path, typer.Option(help="Folder for report.html, results.json, requests.jsonl and the books.")
    ] = Path("runs/demo"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Audit a mechanism, hold real multi-turn dialogues with it and with other routers, and write a report.

    Exit code 1 if the audit refuses the mechanism or what is served contradicts it, 2 on bad input, or if code of yours
    raises, ends the process of its audit or does not move on.

    Example: iemas demo --mechanism vcg --data shipped --seeds 1
    """
    from rich.console import Console

    from experiments.commands.studying.output import OutputFolder
    from experiments.errors import AuditRefusedError, ContradictionError
    from experiments.progress import progress_bar
    from experiments.reports.html import write_report
    from experiments.reports.terminal import audit_table, policy_tables
    from experiments.studies.demo import Plan, check, examine, find_files, serve, simulate

    real = engine is EngineKind.VLLM
    if not real and (model or url):
        raise typer.BadParameter(
            "simulated engines have no model and no address; add --engine vllm",
            param_hint="--model" if model else "--url",
        )
    if model and url:
        raise typer.BadParameter("a server that runs already has its model; give --model or --url", param_hint="--url")
    plan = Plan(
        mechanism=mechanism,
        allocator=allocator,
        settlement=settlement,
        preset=preset,
        despite_audit=despite_audit,
        data=tuple(data or ()),
        dialogues=dialogues or (4 if real else 20),
        turns=turns or (3 if real else 12),
        rate=rate,
        bidders=bidders,
        slots=slots,
        seeds=tuple(range(seeds or (1 if real else 3))),
        policies=tuple(policy or ()),
        predictor=predictor,
        preferences=preferences,
    )
    foreign = any(":" in name for name in (mechanism, allocator or ""))
    # Code of others is not even imported here before a process of its own has audited it.
    check(replace(plan, mechanism="vcg", allocator=None) if foreign else plan)
    for remark in find_files(plan)[1]:
        typer.secho(f"iemas: {remark}", fg="yellow", err=True)
    # A pipe has no width of its own, and the table needs some.
    console = Console(quiet=as_json, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    notes = Console(stderr=True)
    with OutputFolder(out) as output:
        fleet = None
        if real and not foreign:
            with progress_bar(notes) as bar:
                fleet = _real_fleet(model, url, plan, bar)
        try:
            with progress_bar(notes) as bar:
                task = bar.add_task(f"audit of {mechanism}", total=None)

                def moved_on(done: int, total: int) -> None:
                    bar.update(task, completed=done, total=total)

                report = _examined_elsewhere(plan, moved_on, time_limit) if foreign else examine(plan, moved_on)
        except AuditRefusedError as refusal:
            console.print(audit_table(refusal.report))
            _refuse(refusal, refusal.report, as_json)
        console.print(audit_table(report))
        if real and fleet is None:
            with progress_bar(notes) as bar:
                fleet = _real_fleet(model, url, plan, bar)
        plan = replace(plan, books=output.make())
        try:
            with progress_bar(notes) as bar:
                doing = _progress(bar)
                result = simulate(plan, report, doing) if fleet is None else serve(plan, report, fleet, doing)
        except ContradictionError as stop:
            console.print(audit_table(report, [stop.property]))
            _refuse(stop, report, as_json)
        result.save(out)
        page = write_report(result, out / "report.html")
    if as_json:
        typer.echo(json.dumps(result.as_dict(), indent=1))
        return
    for table in policy_tables(result, console.width):
        console.print(table)
    for what, where in (("report", page), ("figures", out / "results.json"), ("requests", out / "requests.jsonl")):
        console.print(f"{what:<9}{where}", soft_wrap=True, highlight=False, markup=False)


def _examined_elsewhere(plan: "Plan", progress: Callable[[int, int], None], time_limit_s: float) -> "Report":
    """`examine`, in a process of its own."""
    from experiments.commands.auditing.child import report_elsewhere
    from experiments.errors import AuditRefusedError
    from experiments.studies.demo import lacking

    report = report_elsewhere(plan.mechanism, plan.allocator, progress, time_limit_s)
    broken = lacking(report)
    if broken and not plan.despite_audit:
        raise AuditRefusedError(report, broken)
    return report


def _refuse(why: "StudyError", report: "Report", as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(json.dumps({"refused": str(why), "audit": json.loads(report.to_json())}, indent=1))
    typer.secho(f"iemas: {why}", fg="red", err=True)
    raise typer.Exit(1) from None


def _progress(bar: "Progress") -> Callable[[str, int, int], None]:
    tasks: dict[str, Any] = {}

    def show(doing: str, done: int, total: int) -> None:
        if doing not in tasks:
            tasks[doing] = bar.add_task(doing, total=total)
        bar.update(tasks[doing], completed=done)

    return show


def _real_fleet(model: list[str] | None, url: list[str] | None, plan: "Plan", bar: "Progress") -> "PricedEngines":
    from experiments.worlds.fleets import connected_fleet, launched_fleet, reach

    if url:
        fleet = connected_fleet(url, plan.slots or _SERVER_SLOTS)
        bar.add_task("servers", total=None)
        reach(fleet[0])
        return fleet
    task = bar.add_task("models", total=None)
    return launched_fleet(model or DEFAULT_MODELS, lambda doing: bar.update(task, description=doing))
