"""`iemas calibrate`: measure a real vLLM server, and fit the simulated engine's step time to it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress
    from rich.table import Table

    from experiments.studies.calibration import Conversation, Fit, Run
    from runtime import Engine


def calibrate(
    model: Annotated[
        str | None, typer.Option(help="Launch vLLM with it: a name of `iemas model list`, a folder or a hub id.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Measure this vLLM server instead.")] = None,
    fit_only: Annotated[Path | None, typer.Option(help="Measure nothing: fit the runs of this file.")] = None,
    runs: Annotated[
        Path, typer.Option(help="File for the measured runs; bursts that it holds are not measured again.")
    ] = Path("calibration.jsonl"),
    save: Annotated[Path | None, typer.Option(help="Write the step time here, as JSON for a simulated fleet.")] = None,
    label: Annotated[
        str | None, typer.Option(help="What is measured, for the tables to be simulated; by default the model's name.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 32,
    max_num_seqs: Annotated[int, typer.Option(min=1, help="The server's limit of requests at once.")] = 16,
    max_num_batched_tokens: Annotated[int, typer.Option(min=1, help="The server's limit of tokens a step.")] = 2048,
) -> None:
    """Time bursts of 1, 2, 4 and 8 requests on a vLLM server, and fit the simulator's step time to them.

    Takes a few minutes, and wants an otherwise idle machine. Stop it and start it again as you like: with the same
    --runs it goes on where it was.

    Example: iemas calibrate --model smollm2-135m --save my-machine.json
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from experiments.studies.calibration import Run, fit

    if sum(given is not None for given in (model, url, fit_only)) != 1:
        raise typer.BadParameter("give one of --model, --url and --fit-only")
    for path in (runs, save):
        if path is not None and not path.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.parent}")
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        measured = Run.load(fit_only) if fit_only is not None else _measured(model, url, runs, max_tokens, bar)
        task = bar.add_task(f"fit {len(measured)} runs", total=1.0)
        found = fit(
            measured,
            fitted_to=label or "",
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens,
            progress=lambda fraction: bar.update(task, completed=fraction),
        )
    console.print(_coefficients(found))
    console.print(_errors(found))
    console.print(str(found.step_time), highlight=False)
    if save is not None:
        save.write_text(found.step_time.to_json(), encoding="utf-8")
        console.print(f"Written to {save}; runtime.calibration({str(save)!r}) reads it.", highlight=False)


def _measured(model: str | None, url: str | None, path: Path, max_tokens: int, bar: "Progress") -> "list[Run]":
    """The runs in the file, after all bursts that it lacked were measured and appended to it."""
    import asyncio

    from experiments.errors import CalibrationError
    from experiments.studies.calibration import Run, plan
    from experiments.worlds.fleets import connected_fleet, launched_fleet

    known = Run.load(path) if path.exists() else []
    done = {one.burst for one in known}
    missing = {number: burst for number, burst in enumerate(plan(), start=1) if number not in done}
    if not missing:
        return known
    task = bar.add_task("vLLM", total=len(done) + len(missing), completed=len(done))
    if model is not None:
        engines, _ = launched_fleet([model], lambda doing: bar.update(task, description=doing))
    else:
        engines, _ = connected_fleet([str(url)], slots=8)

    def check(found: str) -> None:
        if known and known[0].model != found:
            raise CalibrationError(
                f"{path} holds runs of {known[0].model}, not of {found}; give another file as --runs"
            )

    def note(burst: "list[Run]") -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(one.to_json() for one in burst))
        bar.update(task, advance=1, description=f"burst {burst[0].burst}")

    return known + asyncio.run(_measure(engines[0], missing, max_tokens, check, note))


async def _measure(
    engine: "Engine",
    bursts: "dict[int, list[Conversation]]",
    max_tokens: int,
    check: "Callable[[str], None]",
    note: "Callable[[list[Run]], None]",
) -> "list[Run]":
    from experiments.studies.calibration import measure
    from runtime import Message, Request, running

    found = []
    async with running([engine]) as infos:
        check(infos[0].model)
        # The first request of all is slow, whatever it asks.
        await engine.generate(Request("first", "calibration", (Message("user", "Hello."),), 4))
        for number, burst in bursts.items():
            runs = await measure(engine, burst, number, max_tokens)
            note(runs)
            found += runs
    return found


def _coefficients(found: "Fit") -> "Table":
    from rich.table import Table

    step = found.step_time
    table = Table("seconds", "", title="Step time")
    for what, value in (
        ("a step", step.base_s),
        ("+ a prompt token", step.prompt_token_s),
        ("+ a pair of tokens in a prompt", step.attention_pair_s),
        ("+ a sequence", step.sequence_s),
        ("+ a token before one that is generated", step.context_token_s),
        ("a request, once", step.overhead_s),
    ):
        table.add_row(f"{value:.3g}", what)
    return table


def _errors(found: "Fit") -> "Table":
    import numpy as np
    from rich.table import Table

    table = Table("sent at once", "runs", "first token", "(worst)", "latency", "(worst)", title="Error, held out")
    errors = np.abs(found.errors)
    for size in (*np.unique(found.sent_at_once), None):
        chosen = errors if size is None else errors[found.sent_at_once == size]
        middle, worst = np.median(chosen, axis=0), chosen.max(axis=0)
        figures = (f"{figure:.0%}" for figure in (middle[0], worst[0], middle[1], worst[1]))
        table.add_row("any" if size is None else str(size), str(len(chosen)), *figures)
    return table
