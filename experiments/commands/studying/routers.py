"""`iemas routers`: learned routers beside the best single model, on a table of answers."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from experiments.studies.routing.study import Compared

#: A pipe has no width of its own, and the table needs some.
_PIPE_WIDTH = 160


def routers(
    table: Annotated[
        str | None,
        typer.Option(help="A table of answers: a file, or a fetched name.  [default: invented topics, no download]"),
    ] = None,
    train: Annotated[int, typer.Option(min=1, help="Questions of the table that are learnt from.")] = 2500,
    test: Annotated[int, typer.Option(min=1, help="Questions of the table that are tested on.")] = 1008,
    fits: Annotated[int, typer.Option(min=1, help="Splits of it, each by a seed of its own.")] = 3,
    embedder: Annotated[
        str, typer.Option(help="minilm (84 MB, fetched once), or hashed: letters alone, no download.")
    ] = "minilm",
    router: Annotated[
        list[str] | None,
        typer.Option(
            help="knn, logistic, mf, router-dc, graph, gmt, or yours: mine:Router; repeatable.  [default: all]"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Train routers that learn which model answers which question well, and print what each is worth.

    Value is the mean score of the answers picked on questions not learnt from, over all fits; gain is against the one
    model that was best in training, with a bootstrap's interval over test questions, paired, and a star where that is
    above zero. A second table has users with a taste, who are invented: no public table has any.

    Example: iemas routers --table llmrouter-train --fits 3
    """
    from rich.console import Console

    from experiments.progress import progress_bar
    from experiments.studies.routing import study
    from experiments.studies.routing.comparison import LEARNED

    # A name that does not exist is said before anything is read or fetched.
    study.choose(router or (), LEARNED)
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("begin", total=None)

        def progress(doing: str, done: int, total: int) -> None:
            bar.update(task, description=doing, completed=done, total=total)

        if table is None:
            first = study.on_invented(fits=fits, routers=router or (), progress=progress)
        else:
            from experiments.answers import load_answers

            answers = load_answers(table)
            found = study.find_embedder(embedder, lambda doing, part: progress(doing, round(100 * part), 100))
            sizes = {"training": train, "test": test, "fits": fits}
            first = study.on_table(answers, found, **sizes, routers=router or (), progress=progress)
        second = study.on_invented(fits=fits, tastes=True, routers=router or (), progress=progress)
    if as_json:
        typer.echo(json.dumps({"questions": first.as_dict(), "users": second.as_dict()}, indent=1))
        return
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    for one in (first, second):
        console.print(one.about, markup=False, highlight=False)
        console.print(_printed(one))
        for remark in one.left_out:
            console.print(remark, markup=False)


def _printed(compared: "Compared") -> "Table":
    from rich import box
    from rich.table import Table

    columns = ("router", "value", "over best-single", "picks the best", "training, CPU s", "decision, us")
    table = Table(box=box.SIMPLE)
    for column in columns:
        table.add_column(column, justify="left" if column == "router" else "right", no_wrap=True)
    for row in compared.rows:
        error = "" if row.error is None else f" ± {row.error:.3f}"
        gain = "" if row.router == "best-single" else f"{row.gain:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
        star = " *" if row.better and row.router != "oracle" else ""
        cost = ("", "") if row.router == "oracle" else (f"{row.training_s:.2f}", f"{row.decision_us:.0f}")
        table.add_row(row.router, f"{row.value:.3f}{error}", gain + star, f"{row.picks:.2f}", *cost)
    return table
