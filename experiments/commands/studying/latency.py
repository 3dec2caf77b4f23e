"""`iemas latency`: what each latency model would have foretold of requests that were served."""

import json
from pathlib import Path
from typing import Annotated

import typer


def latency(
    traces: Annotated[
        list[Path], typer.Argument(help="Files that `iemas demo` wrote: books/POLICY-SEED.latency.jsonl.")
    ],
    depth: Annotated[
        int | None,
        typer.Option(min=1, help="Prompts that the router gave an engine at a time.  [default: all at once]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Replay served requests through the latency models: seconds to first token, foretold at dispatch.

    Several traces are replayed one after the other, as one.

    Example: iemas latency runs/demo/books/iemas-*.latency.jsonl --depth 1
    """
    from rich.console import Console
    from rich.table import Table

    from experiments.studies.latency import joined, load, replayed

    found = replayed(joined([load(path) for path in traces]), depth)
    rows = [
        {
            "model": one.name,
            "requests": len(one.measured),
            "nmae": one.nmae(),
            "nmae_first_117": one.nmae(117),
            "median_absolute_percentage_error": one.median_share(),
            "mean_seconds": float(one.measured.mean()),
        }
        for one in found
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table(title="seconds to first token, foretold at dispatch")
    for column in ("model", "requests", "error / mean", "first 117", "median error", "mean, s"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in rows:
        name, count, nmae, first, share, mean = row.values()
        table.add_row(str(name), str(count), f"{nmae:.3f}", f"{first:.3f}", f"{share:.1%}", f"{mean:.2f}")
    Console().print(table)
