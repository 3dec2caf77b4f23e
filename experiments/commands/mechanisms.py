"""`iemas mechanisms`: which rule keeps which promise, on which markets, and the smallest market where it does not."""

from typing import TYPE_CHECKING, Annotated

import typer

from experiments.commands.audit import _PatientBar

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.matrix import Cell, Row
    from proofs import Counterexample

_LEGEND = (
    "kept n/n: promised, and held on all n spaces that the rule accepts; fails on k/n: not promised, refuted on k;\n"
    "in part: promised on a domain and kept there, refuted on k spaces outside it.\n"
    "A finite grid proves nothing about values off the grid."
)


def mechanisms(
    rule: Annotated[str | None, typer.Option(help="This rule alone: vcg, pay-as-bid, paper-router, ...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Audit every shipped rule over small grids and print rules by properties, with a counterexample per failure.

    Exit code 1 if a promise is broken, 2 if the question makes no sense.

    Example: iemas mechanisms --rule vcg
    """
    from rich.console import Console

    from experiments.matrix import examine, rows, smallest

    chosen = rows(rule)
    total = sum(grid.profiles for row in chosen for grid in row.spaces)
    examined: list[tuple[Row, tuple[Cell, ...], list[Counterexample | None]]] = []
    done = 0
    with _PatientBar(Console(stderr=True)) as bar:
        for row in chosen:

            def advance(profiles: int) -> None:
                nonlocal done
                done += profiles
                bar(done, total)

            cells = examine(row, advance)
            examined.append((row, cells, [smallest(cell, row.mechanism) for cell in cells]))
    if as_json:
        _print_json(examined)
    else:
        _print_table(examined, Console())
    if any(cell.broken for _, cells, _ in examined for cell in cells):
        raise typer.Exit(1)


def _print_table(
    examined: "list[tuple[Row, tuple[Cell, ...], list[Counterexample | None]]]", console: "Console"
) -> None:
    from rich.markup import escape
    from rich.table import Table

    from experiments.matrix import PROPERTIES
    from mechanisms.promises import Domain

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False, highlight=False)

    table = Table(title="rules by properties", title_justify="left")
    table.add_column("rule")
    for prop in PROPERTIES:
        table.add_column(prop.name)
    for row, cells, _ in examined:
        table.add_row(escape(str(row)), *(_coloured(cell) for cell in cells))
    console.print(table)
    say(_LEGEND)
    spaces = dict.fromkeys(str(grid) for row, _, _ in examined for grid in row.spaces)
    say("\nspaces:")
    for space in spaces:
        say(f"  {space}")
    for row, cells, found in examined:
        for cell, counterexample in zip(cells, found, strict=True):
            if cell.promise is not None and (cell.broken or cell.promise is not Domain.EVERYWHERE):
                say(f"\n{row} promises {cell.prop.name} on {cell.promise}" + (": BROKEN" if cell.broken else ""))
            if counterexample is not None:
                say(f"\n{row}: {counterexample}")


def _print_json(examined: "list[tuple[Row, tuple[Cell, ...], list[Counterexample | None]]]") -> None:
    import json

    typer.echo(
        json.dumps(
            [
                {
                    "rule": row.rule,
                    "allocator": row.allocator,
                    "property": cell.prop.name,
                    "promised": cell.promise,
                    "broken": bool(cell.broken),
                    "spaces": [
                        {"space": str(grid), "status": str(finding.status), "worst": finding.worst}
                        for grid, finding in cell.findings
                    ],
                    "counterexample": None if counterexample is None else counterexample.as_dict(),
                }
                for row, cells, found in examined
                for cell, counterexample in zip(cells, found, strict=True)
            ],
            indent=2,
        )
    )


def mark(cell: "Cell") -> str:
    """How a cell prints: `kept 7/7`, `fails on 3/7`, `in part, fails on 2/7`, or `BROKEN on 1/7`."""
    tried, failed = len(cell.findings), len(cell.refuted)
    if cell.broken:
        return f"BROKEN on {len(cell.broken)}/{tried}"
    if failed:
        return f"{'' if cell.promise is None else 'in part, '}fails on {failed}/{tried}"
    return f"{'holds' if cell.promise is None else 'kept'} {tried}/{tried}"


def _coloured(cell: "Cell") -> str:
    colour = "bold red" if cell.broken else "red" if cell.promise is None else "yellow" if cell.refuted else "green"
    return f"[{colour}]{mark(cell)}[/]"
