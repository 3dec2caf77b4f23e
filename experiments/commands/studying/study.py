"""`iemas study`: a study of a file or one that ships; a finished one again; and what changed between two results."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from experiments.studies.findings.exhibits.exhibit import Exhibit
    from experiments.studies.study.keeping.kept import Kept
    from experiments.studies.study.telling.diff import Diff
    from experiments.studies.study.telling.result import StudyResult

#: A pipe has no width of its own, and the table needs some.
_PIPE_WIDTH = 190


def study(
    name: Annotated[
        str, typer.Argument(help="A file of yours, study.toml, or a study that ships (`list` names them).")
    ],
    results: Annotated[
        list[Path] | None, typer.Argument(help="After `diff`: two files result.json. After `show`: one, or its folder.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help='How many, or which: "0..9".  [default: as the study says]')] = None,
    policy: Annotated[
        list[str] | None, typer.Option(help="Instead of the study's: iemas, iemas+knn, mine:Policy; repeatable.")
    ] = None,
    workers: Annotated[str | None, typer.Option(help="Processes, or `ray`.  [default: as many as cores]")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of result.json, report.html and runs.jsonl, which is gone on from.  [runs/NAME]"),
    ] = None,
    despite_audit: Annotated[
        bool, typer.Option("--despite-audit", help="Run a mechanism whose audit failed, and say so.")
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option(help="Also draw it: FILE.svg, and beside it FILE.json with the figures that are drawn."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Run a study: every policy in every cell at every seed, mechanisms audited first, differences with intervals.

    Stop it and start it again as you like: finished runs are kept. `iemas study list` shows the studies that ship,
    `iemas study diff A B` what changed from one result.json to another, `iemas study show runs/NAME` a finished one
    again.

    Example: iemas study quality --seeds 0..9 --picture quality.svg
    """
    from experiments.studies.findings.exhibits.pictured import svg_path

    drawn = None if picture is None else svg_path(picture)
    if drawn is not None and name in ("list", "diff"):
        raise typer.BadParameter(f"--picture {picture}: a picture is of one study; `show` draws a finished one")
    if name == "list":
        _list(as_json)
    elif name == "diff":
        _diff(results or [], as_json)
    elif name == "show":
        _show(results or [], drawn, as_json)
    elif results:
        raise typer.BadParameter(f"{results[0]}: one study at a time; two results go after `diff`, one after `show`")
    else:
        _run(name, seeds, policy, workers, out, despite_audit, drawn, as_json)


def _run(
    name: str,
    seeds: str | None,
    policy: list[str] | None,
    workers: str | None,
    out: Path | None,
    despite_audit: bool,
    picture: Path | None,
    as_json: bool,
) -> None:
    from dataclasses import replace

    from experiments.errors import StudyError
    from experiments.studies.findings.catalogue import QUESTIONS
    from experiments.studies.study.file import SHIPPED, read_study
    from experiments.studies.study.study import seeds_of

    if workers is not None and workers != "ray" and not workers.isdecimal():
        raise StudyError(f"--workers {workers}: expected a number of processes, or `ray`")
    count = int(workers) if workers is not None and workers.isdecimal() else workers
    drawn = None if seeds is None else seeds_of(int(seeds) if seeds.isdecimal() else seeds)
    if name in QUESTIONS:
        if policy or despite_audit:
            raise StudyError(f"{name} is a question of its own: it takes no --policy and no --despite-audit")
        _answer(name, drawn, count, out, picture, as_json)
        return
    shipped = sorted(path.stem for path in SHIPPED.glob("*.toml"))
    if not name.endswith(".toml") and name not in shipped:
        known = ", ".join([*shipped, *QUESTIONS])
        raise StudyError(f"no study {name!r}; there are: {known}, or a file of yours, study.toml")
    made = read_study(name)
    changed: dict[str, object] = {}
    if drawn is not None:
        changed["seeds"] = drawn
    if policy:
        changed["policies"] = policy
    if despite_audit:
        changed["despite_audit"] = True
    made = replace(made, **changed) if changed else made  # type: ignore[arg-type]
    if out is None and (Path(made.name).name != made.name or made.name in ("", ".", "..")):
        raise StudyError(f"a study called {made.name!r} is no folder of runs/; name one with --out")
    folder = out or Path("runs") / made.name
    with _kept(folder) as kept:
        found = made.run(workers=count, kept=kept)
    found.save(folder / "result.json")
    page = found.report(folder / "report.html")
    _print(found, picture, as_json, f"{page} shows it with plots; {folder / 'result.json'} is for `iemas study diff`.")


def _answer(
    name: str,
    seeds: tuple[int, ...] | None,
    workers: int | str | None,
    out: Path | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    from rich.console import Console

    from experiments.progress import progress_bar
    from experiments.studies.findings.catalogue import QUESTIONS, answer_question

    chosen = tuple(range(QUESTIONS[name].seeds)) if seeds is None else seeds
    folder = out or Path("runs") / name
    with _kept(folder) as kept, progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        found = answer_question(
            name, chosen, workers, lambda done, total: bar.update(task, completed=done, total=total), kept
        )
    path = found.save(folder / "exhibit.json")
    page = found.report(folder / "report.html")
    _print(found, picture, as_json, f"{page} shows it, with a plot where it has one; {path} has it as JSON.")


@contextmanager
def _kept(folder: Path) -> "Iterator[Kept]":
    """The finished runs of a folder; who stops meanwhile is told what is left of it."""
    from experiments.studies.study.keeping.kept import Kept

    kept = Kept(folder / "runs.jsonl")
    try:
        yield kept
    except KeyboardInterrupt:
        if kept.asked:
            done = f"{kept.found + kept.played:,} of {kept.asked:,} runs are in {kept.path}"
            typer.echo(f"iemas: stopped; {done}: the same command goes on from there", err=True)
        raise


def _show(results: list[Path], picture: Path | None, as_json: bool) -> None:
    from experiments.errors import StudyError
    from experiments.studies.findings.exhibits.of_study import read_finished

    if len(results) != 1:
        raise StudyError(f"show takes one finished study, a folder of runs/ or a file in it; found {len(results)}")
    _print(read_finished(results[0]), picture, as_json)


def _print(found: "StudyResult | Exhibit", picture: Path | None, as_json: bool, last: str = "") -> None:
    """Draw it where that is asked for, then tables or JSON."""
    from rich.console import Console

    from experiments.studies.findings.exhibits.exhibit import Exhibit
    from experiments.studies.findings.exhibits.of_study import exhibit_of
    from experiments.studies.findings.exhibits.pictured import draw
    from experiments.studies.study.telling.tables import tables

    if picture is not None:
        draw(found if isinstance(found, Exhibit) else exhibit_of(found), picture)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=1))
        return
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    if isinstance(found, Exhibit):
        console.print(found.table(console.width), highlight=False, markup=False, soft_wrap=True)
    else:
        for table in tables(found, console.width):
            console.print(table)
    said = [last] if last else []
    said += [f"{picture} is its picture; {picture.with_suffix('.json')} has what it is drawn from."] if picture else []
    for line in said:
        console.print(line, highlight=False)


def _list(as_json: bool) -> None:
    import tomllib

    from experiments.studies.findings.catalogue import QUESTIONS
    from experiments.studies.study.file import SHIPPED

    known = {path.stem: path.read_text(encoding="utf-8") for path in sorted(SHIPPED.glob("*.toml"))}
    told = {name: tomllib.loads(text).get("about", "") for name, text in known.items()}
    told |= {name: question.about for name, question in QUESTIONS.items()}
    if as_json:
        typer.echo(json.dumps(told, indent=1))
        return
    for name, about in told.items():
        typer.echo(f"{name:18} {about}")


def _diff(results: list[Path], as_json: bool) -> None:
    from experiments.errors import StudyError
    from experiments.studies.study.telling.diff import diff
    from experiments.studies.study.telling.result import StudyResult

    if len(results) != 2:
        raise StudyError(f"diff takes two files result.json; found {len(results)}")
    found = diff(*(StudyResult.load(path) for path in results))
    if as_json:
        typer.echo(json.dumps(_plain(found), indent=1))
        return
    for one in found.changed:
        said = "the same" if one.alike else str(one.gain)
        typer.echo(f"{one.cell}: {one.policy}: {said}")
    for word, places in (("only in the first", found.gone), ("only in the second", found.new)):
        for cell, policy in places:
            typer.echo(f"{cell}: {policy}: {word}")
    for what, before, after in found.made:
        typer.echo(f"{what}: {before} -> {after}")


def _plain(found: "Diff") -> dict[str, object]:
    from dataclasses import asdict

    return {
        "changed": [
            {"cell": one.cell, "policy": one.policy, "alike": one.alike, **asdict(one.gain)} for one in found.changed
        ],
        "only_first": [list(place) for place in found.gone],
        "only_second": [list(place) for place in found.new],
        "made": [list(one) for one in found.made],
    }
