"""`iemas data`: which data there are, get them, and look what a file holds."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Dialogue files: list the official ones, fetch them, show what a file is.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command("list")
def list_files(as_json: AsJson = False) -> None:
    """List the official files: name, size, licence, and whether they are on this machine.

    Example: iemas data list
    """
    from experiments.data import OFFICIAL, cache_folder

    folder = cache_folder()
    rows = [
        {
            "name": file.name,
            "path": str(folder / file.path),
            "fetched": (folder / file.path).exists(),
            "bytes": file.size,
            "licence": file.licence,
            "origin": file.origin,
            "url": file.url,
            "sha256": file.sha256,
            "checksum_from": file.checksum_from,
        }
        for file in OFFICIAL
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    _print_table(
        ("name", "MB", "here", "checksum", "licence"),
        [
            (
                file.name,
                f"{file.size / 1e6:.1f}" if file.size else "?",
                "yes" if row["fetched"] else "no",
                "known" if file.sha256 else "first use",
                file.licence,
            )
            for file, row in zip(OFFICIAL, rows, strict=True)
        ],
    )
    typer.echo(f"Files go to {folder}. The dialogues called `shipped` (Apache-2.0) are always there.")


@app.command("fetch")
def fetch_file(
    name: Annotated[str, typer.Argument(help="A name from `iemas data list`.")],
    dest: Annotated[Path | None, typer.Option("--dest", help="Folder to put it in; the cache by default.")] = None,
) -> None:
    """Download one official file, check its SHA-256, and make sure that it loads.

    Example: iemas data fetch coqa-dev
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from experiments.data import fetch, load
    from experiments.data.catalogue import named

    file = named(name)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(name, total=file.size)
        path = fetch(name, dest, lambda done, total: bars.update(bar, completed=done, total=total))
    corpus = load(path)
    typer.echo(f"{path}\n{corpus.title}\nlicence: {file.licence}")
    if file.sha256 is None:
        typer.echo(
            f"Nobody publishes a checksum of {name}: {corpus.sha256} was recorded beside the file when it was first "
            "seen, and is enforced from then on."
        )
    else:
        typer.echo(f"SHA-256 {corpus.sha256} is the expected one ({file.checksum_from}).")


@app.command("show")
def show_file(
    path: Annotated[str, typer.Argument(help="A file, a fetched name, or `shipped`.")], as_json: AsJson = False
) -> None:
    """Show what a file is: layout, dialogues, turns, words, licence.

    Example: iemas data show shipped
    """
    from experiments.data import load, locate

    corpus = load(locate(path))
    facts: dict[str, str | int] = {
        "title": corpus.title,
        "layout": corpus.layout,
        "dialogues": len(corpus.dialogues),
        "turns": corpus.turns,
        "turns with gold answers": corpus.graded_turns,
        "words": corpus.words,
        "licence": corpus.licence,
        "origin": corpus.origin,
        "sha256": corpus.sha256,
    }
    if as_json:
        typer.echo(json.dumps({key.replace(" ", "_"): value for key, value in facts.items()}, indent=2))
    else:
        _print_table(("", ""), [(key, str(value)) for key, value in facts.items()])


def _print_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_header=any(head))
    for title in head:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console().print(table)
