"""`iemas replay`: recorded traffic under other policies, on simulated engines."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

_PIPE_WIDTH = 200


def replay(
    trace: Annotated[Path, typer.Argument(help="What `iemas serve --record TRACE` wrote.")],
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="One of `iemas demo`'s, or yours: mine:Policy; repeatable, all are compared with the first.  "
            "[default: iemas, cache-aware, round-robin]"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Play a recorded trace under one policy after the other, and print what each would have come to.

    The same requests come at the same moments, with the same reports and beginnings in common; engines are simulated,
    skills assumed.

    Example: iemas replay trace.jsonl --policy iemas --policy cache-aware
    """
    from rich.console import Console

    from experiments.progress import progress_bar
    from experiments.studies.replay.runs import replay as play
    from experiments.studies.replay.table import as_dict, recorded_line, tables
    from runtime.traces.reading import read_trace

    read = read_trace(trace)
    if read.cut_off:
        typer.secho(f"iemas: the last line of {trace} was cut off and is left out", fg="yellow", err=True)
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("requests", total=None)
        found = play(read, policy or (), lambda done, total: bar.update(task, completed=done, total=total))
    if as_json:
        typer.echo(json.dumps(as_dict(found), indent=1))
        return
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    for table in tables(found, console.width):
        console.print(table)
    console.print(recorded_line(found), style="dim", highlight=False)
