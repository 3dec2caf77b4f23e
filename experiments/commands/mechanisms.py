"""`iemas mechanisms`: which rule keeps which promise, on which markets, and the smallest market where it does not."""

from typing import TYPE_CHECKING, Annotated

import typer

from experiments.commands.audit import _PatientBar

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.matrix import Cell, Row
    from proofs import Counterexample

_LEGEND = (
    "n/m: the property holds on n of the m spaces that the rule accepts; ! marks the spaces where it fails.\n"
    "A promise is kept on every space of its domain. A finite grid proves nothing about values off the grid."
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
            if cell.promise is not None:
                say(f"\n{row} promises {cell.property.name} on {cell.promise}" + (": BROKEN" if cell.broken else ""))
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
                    "property": cell.property.name,
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
    """How a cell prints: `kept 8/8`, `kept on its domain, 2/8!`, `fails 3/8!`, or `BROKEN`; holding spaces first."""
    tried, failed = len(cell.findings), len(cell.refuted)
    spaces = f"{tried - failed}/{tried}{'!' * bool(failed)}"
    if cell.broken:
        return f"BROKEN {spaces}"
    if cell.promise is None:
        return f"fails {spaces}" if failed else f"holds {spaces}"
    return f"kept in part {spaces}" if failed else f"kept {spaces}"


def _coloured(cell: "Cell") -> str:
    colour = "bold red" if cell.broken else "red" if cell.promise is None else "yellow" if cell.refuted else "green"
    return f"[{colour}]{mark(cell)}[/]"
