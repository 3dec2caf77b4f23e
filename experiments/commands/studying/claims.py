"""`iemas claims`: is every figure of README and docs somebody's to print again?"""

import json
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Figures on pages, and the commands that print them.")


@app.command()
def check(
    run: Annotated[
        bool, typer.Option("--run", help="Also run the commands of the values that are registered.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Fail on a figure that no claim covers, was changed by hand, or is not what its picture or its command has now.

    Example: iemas claims check --run
    """
    from dataclasses import asdict

    from rich.console import Console

    from experiments.progress import progress_bar
    from experiments.studies.claims import checking, registry

    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("commands", total=None, visible=run)
        found = checking.check(
            registry.read(),
            run=run,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1))
    else:
        for fault in found.faults:
            typer.secho(fault, fg="red")
        again = f", {found.values} of them printed again" if run else ""
        typer.echo(f"{found.figures} figures in {found.sections} sections{again}: {len(found.faults)} faults")
    raise typer.Exit(1 if found.faults else 0)


@app.command()
def update(page: Annotated[str, typer.Argument(help="README.md, or docs/PAGE.md.")]) -> None:
    """Take a page's figures as they stand, once their commands have printed them, and draw its pictures again.

    Example: iemas claims update docs/contests.md
    """
    from experiments.studies.claims import checking, registry

    for line in checking.update(registry.read(), page):
        typer.echo(line)
