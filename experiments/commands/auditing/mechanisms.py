"""`iemas mechanisms`: which rule keeps which promise, on which markets, and the smallest market where it does not."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.commands.patience import PatientBar

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.studies.matrix import Cell, Evidence, Examined

_LEGEND = (
    "kept n/n: promised, or entailed by what is promised, and held on all n scopes that the rule accepts;\n"
    "fails k/n: not promised, refuted on k; in part: promised on a domain and kept there, refuted on k scopes outside\n"
    "it; holds n/n: not promised, and not refuted on the few scopes that a slow solver is tried on; refused\n"
    "n/n: the rule declines this allocator on all n scopes, and promises nothing over it; -: not asked.\n"
    "A finite grid proves nothing about values off the grid."
)

_PIPE_WIDTH = 120


def mechanisms(
    rule: Annotated[str | None, typer.Option(help="This rule alone: vcg, pay-as-bid, on-delivery, ...")] = None,
    allocator: Annotated[str | None, typer.Option(help="Every rule over this one: min-cost-flow, greedy, ...")] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Every rule over every allocator besides.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.  [default: one per core]")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a page.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Audit every shipped rule over small scopes and print rules by properties, with a counterexample per failure.

    Each rule over the allocators that suit it; --pairs or --allocator for all the others. Exit code 1 if a promise is
    broken, 2 if the question makes no sense.

    Example: iemas mechanisms --rule vcg --allocator greedy
    """
    from rich.console import Console

    from experiments.studies.matrix import examined, rows

    chosen = rows(rule, allocator, pairs)
    total, done = sum(row.steps for row in chosen), 0
    with PatientBar(Console(stderr=True)) as bar:

        def advance(steps: int) -> None:
            nonlocal done
            done += steps
            bar(done, total)

        found = list(examined(chosen, workers, advance))
    if as_json:
        _print_json(found)
    elif markdown:
        typer.echo("\n".join(_markdown(found)))
    else:
        _print_tables(found, Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH))
    if any(cell.broken for one in found for cell in one.cells):
        raise typer.Exit(1)


def mark(cell: "Cell") -> str:
    """How a cell prints: `kept 7/7`, `fails 3/7`, `in part, fails 2/7`, `BROKEN 1/7`, `refused 9/9`.

    It is `-` where nothing was tried.
    """
    tried, failed = len(cell.trials), len(cell.refuted)
    if not tried:
        return "-"
    if cell.broken:
        return f"BROKEN {len(cell.broken)}/{tried}"
    if failed:
        return f"{'' if cell.promise is None else 'in part, '}fails {failed}/{tried}"
    return f"{'refused' if cell.why else 'holds' if cell.promise is None else 'kept'} {tried}/{tried}"


def _tables(found: "Sequence[Examined]") -> "Iterator[tuple[str, list[str], list[tuple[str, list[Cell]]]]]":
    """Title, properties, and the rows that were asked about any of them."""
    from experiments.studies.matrix import TABLES

    for table in TABLES:
        rows = []
        for one in found:
            cells = {cell.prop: cell for cell in one.cells}
            if set(table.properties) <= set(cells) and any(cells[name].trials for name in table.properties):
                rows.append((one.row, [cells[name] for name in table.properties]))
        if rows:
            yield table.title, list(table.properties), rows


def _failures(found: "Sequence[Examined]") -> "Iterator[tuple[str, Cell, Evidence | None]]":
    """Every cell to explain: it fails somewhere, its promise is not about every market, or it is a refusal."""
    from mechanisms.promises import Domain

    for one in found:
        for cell, evidence in zip(one.cells, one.evidence, strict=True):
            partial = cell.promise is not None and cell.promise is not Domain.EVERYWHERE
            if evidence is not None or cell.why or (partial and cell.trials):
                yield one.row, cell, evidence


def _promise(row: str, cell: "Cell") -> str:
    from mechanisms.promises import Domain

    if cell.why and not cell.broken:
        return f"{row} is refused: {cell.why}"
    if cell.promise is None or (cell.promise is Domain.EVERYWHERE and not cell.broken):
        return ""
    return f"{row} promises {cell.prop} on {cell.promise}" + (": BROKEN" if cell.broken else "")


def _scopes(found: "Sequence[Examined]") -> list[str]:
    return list(dict.fromkeys(trial.scope for one in found for cell in one.cells for trial in cell.trials))


def _print_tables(found: "Sequence[Examined]", console: "Console") -> None:
    from rich.markup import escape
    from rich.table import Table

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False, highlight=False)

    for title, properties, rows in _tables(found):
        table = Table(title=title, title_justify="left")
        table.add_column("rule")
        for name in properties:
            # Long names break at their hyphens, or a narrow terminal would cut them.
            table.add_column(name.replace("-", "-\n"))
        for row, cells in rows:
            table.add_row(escape(row), *(_coloured(cell) for cell in cells))
        console.print(table)
        say("")
    say(_LEGEND)
    say("\nscopes:")
    for scope in _scopes(found):
        say(f"  {scope}")
    for row, cell, evidence in _failures(found):
        for text in (_promise(row, cell), "" if evidence is None else f"{row}: {evidence.text}"):
            if text:
                say(f"\n{text}")


def _markdown(found: "Sequence[Examined]") -> Iterator[str]:
    for title, properties, rows in _tables(found):
        yield from (f"## {title.capitalize()}", "", f"| rule | {' | '.join(properties)} |")
        yield "|---" * (len(properties) + 1) + "|"
        yield from (f"| {row} | {' | '.join(map(mark, cells))} |" for row, cells in rows)
        yield ""
    yield from (_LEGEND, "", "## Scopes", "", *(f"- {scope}" for scope in _scopes(found)), "", "## Failures", "")
    for row, cell, evidence in _failures(found):
        promise = _promise(row, cell)
        yield from (f"{promise}.", "") if promise else ()
        yield from (f"**{row}**: {evidence.text}".replace("\n", "  \n"), "") if evidence is not None else ()


def _print_json(found: "Sequence[Examined]") -> None:
    import json

    from experiments.studies.matrix import TABLES

    titles = {name: table.title for table in TABLES for name in table.properties}
    typer.echo(
        json.dumps(
            [
                {
                    "row": one.row,
                    "rule": one.rule,
                    "table": titles[cell.prop],
                    "property": cell.prop,
                    "promised": cell.promise,
                    "mark": mark(cell),
                    "broken": bool(cell.broken),
                    "refusal": cell.why or None,
                    "spaces": [
                        {
                            "space": trial.scope,
                            "promised": trial.inside,
                            "status": str(trial.status),
                            "worst": trial.worst,
                        }
                        for trial in cell.trials
                    ],
                    "counterexample": None if evidence is None else {"shown": evidence.text, **evidence.data},
                }
                for one in found
                for cell, evidence in zip(one.cells, one.evidence, strict=True)
            ],
            indent=2,
        )
    )


def _coloured(cell: "Cell") -> str:
    if not cell.trials:
        return "[dim]-[/]"
    if cell.why and not cell.broken:
        return f"[dim]{mark(cell)}[/]"
    colour = "bold red" if cell.broken else "red" if cell.promise is None else "yellow" if cell.refuted else "green"
    return f"[{colour}]{mark(cell)}[/]"
