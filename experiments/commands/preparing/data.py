"""`iemas data`: which data there are, get them, and look what a file or folder holds."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Dialogues, tables of answers, traces: list the official ones, fetch them, show what a file is.",
    no_args_is_help=True,
)

Facts = dict[str, str | int | float | None]

_PIPE_WIDTH = 120

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command("list")
def list_files(as_json: AsJson = False) -> None:
    """List the official files: name, what they hold, size, licence, and whether they are on this machine.

    Example: iemas data list
    """
    from experiments.data import OFFERED, cache_folder
    from experiments.files import find_known, given_folders

    folder, elsewhere = cache_folder(), find_known(OFFERED, given_folders())
    rows = [
        {
            "name": file.name,
            "kind": file.kind.value,
            "path": str(folder / file.path),
            "fetched": all((folder / each.path).exists() for each in (file, *file.parts, *file.beside)),
            "elsewhere": str(elsewhere[file.name]) if file.name in elsewhere else None,
            "bytes": file.size,
            "licence": file.licence,
            "origin": file.origin,
            "url": file.url,
            "sha256": file.sha256,
            "checksum_from": file.checksum_from,
        }
        for file in OFFERED
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    _print_table(
        ("name", "kind", "MB", "here", "checksum", "licence"),
        [
            (
                file.name,
                file.kind.value,
                f"{file.size / 1e6:.1f}" if file.size else "?",
                "yes" if row["fetched"] or row["elsewhere"] else "no",
                "known" if file.sha256 else "first use",
                file.licence,
            )
            for file, row in zip(OFFERED, rows, strict=True)
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

    from experiments.data import fetch
    from experiments.data.catalogue import named

    file = named(name)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(name, total=file.size)
        path = fetch(name, dest, lambda done, total: bars.update(bar, completed=done, total=total))
    facts = _facts(path)
    typer.echo(f"{path}\n{facts['title']}\nlicence: {file.licence}")
    if file.sha256 is None:
        typer.echo(
            f"Nobody publishes a checksum of {name}: {facts['sha256']} was recorded beside the file when it was first "
            "seen, and is enforced from then on."
        )
    else:
        typer.echo(f"SHA-256 {facts['sha256']} is the expected one ({file.checksum_from}).")


@app.command("show")
def show_file(
    path: Annotated[str, typer.Argument(help="A file, a folder of CSV files, a fetched name, or `shipped`.")],
    as_json: AsJson = False,
) -> None:
    """Show what a file is: dialogues, a table of answers or a trace, how much of it, under which licence.

    Example: iemas data show shipped
    """
    from experiments.data import KNOWN, OFFERED, SHIPPED
    from experiments.files import located

    facts = _facts(located(path, (*OFFERED, *KNOWN), {"shipped": SHIPPED}))
    if as_json:
        typer.echo(json.dumps({key.replace(" ", "_"): value for key, value in facts.items()}, indent=2))
    else:
        _print_table(("", ""), [(key, str(value)) for key, value in facts.items()])


def _facts(path: Path) -> Facts:
    """What is in a file of any kind.

    Raises:
        DatasetError: nothing that is known.
    """
    from experiments.answers.loading import holds_answers
    from experiments.traces.loading import holds_trace

    if holds_answers(path):
        return _answers(path)
    if path.is_file() and holds_trace(path):
        return _trace(path)
    from experiments.data import load

    corpus = load(path)
    return {
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


def _answers(path: Path) -> Facts:
    from experiments.answers import load_answers

    table = load_answers(path)
    means = table.scores.mean(axis=0)
    return {
        "title": table.title,
        "layout": table.layout,
        "questions": len(table.questions),
        "topics": len(set(table.topics)),
        **{f"score of {model}": round(float(means[k]), 4) for k, model in enumerate(table.models)},
        "score of the best of each": round(table.oracle, 4),
        "measured": table.measured,
        "licence": table.licence,
        "sha256": table.sha256,
    }


def _trace(path: Path) -> Facts:
    from experiments.traces import load_trace

    trace = load_trace(path)
    stats = trace.stats()
    return {
        "title": trace.title,
        "layout": trace.layout,
        "requests": stats.requests,
        "seconds": round(stats.seconds, 3),
        "requests per second": round(stats.per_s, 3),
        "prompt tokens, mean": round(stats.prompt_tokens, 1),
        "output tokens, mean": round(stats.output_tokens, 1),
        "conversations": stats.conversations,
        "bidders": stats.bidders,
        "tokens that one unbounded cache has": None if stats.hit_ceiling is None else round(stats.hit_ceiling, 4),
        "licence": trace.licence,
        "sha256": trace.sha256,
    }


def _print_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_header=any(head))
    for title in head:
        table.add_column(title, overflow="fold", no_wrap=title == "name")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    # A pipe has no width of its own, and the table needs some.
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)
