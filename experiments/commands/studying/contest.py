"""`iemas contest`: policies against each other in simulated worlds, paired by seed, with intervals."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

#: A pipe has no width of its own, and the table needs some.
_PIPE_WIDTH = 200


def contest(
    policy: Annotated[
        list[str] | None,
        typer.Option(help="One of `iemas demo`'s, `oracle`, or yours: mine:Policy; repeatable.  [default: all rivals]"),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="`shipped`, a fetched name or a file; repeatable, all of one world.  [default: shipped]"),
    ] = None,
    rate: Annotated[
        list[float] | None,
        typer.Option(min=1e-6, help="Dialogues that begin per second; repeatable, each a world.  [default: 0.5]"),
    ] = None,
    preset: Annotated[str, typer.Option(help="differing, varied or paper, as in `iemas demo`.")] = "differing",
    preferences: Annotated[
        str | None, typer.Option(help="Your bidders: mine:draw, a function of a numpy Generator.")
    ] = None,
    correlation: Annotated[
        list[float] | None,
        typer.Option(
            min=-1,
            max=1,
            help="Of worth and delay cost of bidders who differ; repeatable, each a world of its own.  [default: 0]",
        ),
    ] = None,
    dialogues: Annotated[int, typer.Option(min=1, help="Dialogues of each file.")] = 20,
    turns: Annotated[int, typer.Option(min=1, help="Turns of each dialogue.")] = 12,
    warm_up: Annotated[
        int,
        typer.Option(min=0, help="Graded dialogues of each file, its last, that agents have answered before."),
    ] = 0,
    slots: Annotated[
        int | None,
        typer.Option(min=1, help="Requests that an agent may serve at once.  [default: its engine's own]"),
    ] = None,
    delay: Annotated[
        str,
        typer.Option(help="Until when waits count: first-token or last-token. Runs are the same, and not played anew."),
    ] = "first-token",
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions.")] = 5,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.  [default: as many as cores]")] = None,
    out: Annotated[Path, typer.Option(help="File of finished runs: what it holds is not played again.")] = Path(
        "runs/contest.jsonl"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Play every policy in every world at every seed, and print what each was worth and whether a difference is one.

    All meet the same conversations. Intervals are a bootstrap's over seeds and conversations; engines are simulated,
    skills assumed. Below each table stands who got the welfare, by what answers are worth to bidders. Stop it and start
    it again as you like: with the same --out it goes on where it was.

    Bidders report, and every policy forecasts, waits to the first token; --delay last-token judges the same runs by
    waits to the last one.

    --warm-up keeps dialogues out of the contest, from which the auction and its informed rivals learn beforehand which
    model answers right; policies of your own and paper-auction do not.

    Several worlds end in a table of what is gained in each.

    Example: iemas contest --policy iemas --policy mine:Policy --policy random --rate 0.5 --rate 2
    """
    from rich.console import Console

    from experiments.progress import progress_bar
    from experiments.studies.arena import contest as arena
    from experiments.studies.arena.table import across, as_dict, decile_tables, tables

    worlds = [
        arena.World(
            tuple(data or ("shipped",)),
            each,
            preset,
            slots=slots,
            dialogues=dialogues,
            turns=turns,
            preferences=preferences,
            correlation=together,
            warm_up=warm_up,
        )
        for each in dict.fromkeys(rate or [0.5])
        for together in dict.fromkeys(correlation or [0.0])
    ]
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("runs", total=None)
        found = arena.contest(
            worlds,
            range(seeds),
            policy or (),
            delay=delay,
            kept=out,
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        typer.echo(json.dumps(as_dict(found), indent=1))
        return
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    for world in worlds:
        for table in (*tables(found, world, console.width), *decile_tables(found, world, console.width)):
            console.print(table)
    for table in across(found, console.width):
        console.print(table)
