"""`iemas record`: ask models, and keep what they answered."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.commands.preparing.model import DEFAULT_MODELS

if TYPE_CHECKING:
    from experiments.studies.recording import AnswerFile, GradedQuestion, Recorded
    from runtime import Engine

app = typer.Typer(no_args_is_help=True, help="Ask models, and keep what they answered.")


@app.callback()
def _group() -> None:
    """Ask models, and keep what they answered."""


@app.command()
def answers(
    data: Annotated[str, typer.Option(help="Whose questions: `shipped`, a fetched name, or a file.")] = "shipped",
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Launch vLLM with it: a name of `iemas model list`, a folder or a hub id. With --url: the server's "
            f"name of a model. Repeatable.  [default: {', '.join(DEFAULT_MODELS)}]"
        ),
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option(help="A server that speaks OpenAI's API, for all models or one for each; repeatable."),
    ] = None,
    api_key: Annotated[
        str, typer.Option(help="Environment variable that holds the key of the servers.")
    ] = "IEMAS_API_KEY",
    price: Annotated[
        list[str] | None,
        typer.Option(
            help="Credits of an input and an output token, such as .0006/.03, of each model in turn; repeatable.  "
            "[default: the demonstration's for vLLM, none for servers]"
        ),
    ] = None,
    dialogues: Annotated[int | None, typer.Option(min=1, help="Dialogues of the file.  [default: all]")] = None,
    turns: Annotated[
        int | None, typer.Option(min=1, help="Turns of each dialogue; 1: the first question alone.  [default: all]")
    ] = None,
    context_words: Annotated[int | None, typer.Option(min=1, help="Cut contexts to so many words.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 32,
    at_once: Annotated[int, typer.Option(min=1, help="Questions that every model has at a time.")] = 4,
    on: Annotated[
        str | None,
        typer.Option(help="What served, for the table to say, such as 'vLLM on a CPU'.  [default: vLLM; servers]"),
    ] = None,
    out: Annotated[Path, typer.Option(help="File for the answers; those it holds are not asked again.")] = Path(
        "answers.jsonl"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Ask every model every graded question of a corpus, and write a table of answers for studies.

    Stop it as you like: with the same options it goes on where it was.

    Example: iemas record answers --data shipped --model smollm2-135m --model qwen2.5-coder-0.5b --out answers.jsonl
    """
    from rich.console import Console

    from experiments.answers import load_answers
    from experiments.data import load, locate
    from experiments.progress import progress_bar
    from experiments.studies.recording import AnswerFile, graded_questions, recording_header

    corpus = load(locate(data))
    corpus = corpus if dialogues is None else corpus.first(dialogues)
    corpus = corpus if turns is None else corpus.shortened(turns)
    corpus = corpus if context_words is None else corpus.capped(context_words)
    questions = graded_questions(corpus)
    given = [_price(each) for each in price or ()]
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("models", total=None)

        def show(doing: str) -> None:
            bar.update(task, description=doing)

        engines, names, listed = _fleet(model, url, os.environ.get(api_key), at_once, show)
        if given and len(given) != len(names):
            raise typer.BadParameter(
                f"{len(given)} prices for {len(names)} models; give one for each", param_hint="--price"
            )
        served = on or ("servers" if url else "vLLM")
        header = recording_header(corpus, names, given or listed, max_tokens, served)
        file = AnswerFile(out, header)

        def count(done: int, total: int) -> None:
            bar.update(task, description="questions", completed=done, total=total)

        try:
            done = asyncio.run(_record(engines, names, questions, file, max_tokens, at_once, count))
        except KeyboardInterrupt:
            bar.stop()
            typer.secho(
                f"interrupted; {out} keeps {len(file.done)} of {len(questions)} questions; the same command goes on",
                fg="yellow",
                err=True,
            )
            raise typer.Exit(130) from None
        finally:
            file.close()
    for remark in done.left_out:
        typer.secho(f"iemas: {remark}", fg="yellow", err=True)
    table = load_answers(out)
    means, outputs = table.scores.mean(axis=0), table.outputs
    rows = {
        name: {"score": float(means[k]), "output_tokens": float(outputs[:, k].mean()) if outputs is not None else None}
        for k, name in enumerate(table.models)
    }
    if as_json:
        facts = {"file": str(out), "questions": len(table.questions), "left_out": len(done.left_out), "models": rows}
        typer.echo(json.dumps({**facts, "oracle": table.oracle}, indent=1))
        return
    typer.echo(f"{table.title}\n{table.measured}")
    for name, row in rows.items():
        typer.echo(f"  {name:<30} score {row['score']:.3f}, {row['output_tokens']:.1f} tokens an answer")
    typer.echo(f"  {'the better of each':<30} score {table.oracle:.3f}")


async def _record(
    engines: "Sequence[Engine]",
    names: Sequence[str],
    questions: "Sequence[GradedQuestion]",
    file: "AnswerFile",
    max_tokens: int,
    at_once: int,
    count: Callable[[int, int], None],
) -> "Recorded":
    from experiments.studies.recording import Recorded, record_answers
    from runtime import running

    if all(question.id in file.done for question in questions):
        return Recorded(len(file.done))
    async with running(engines):
        return await record_answers(
            engines, names, questions, file, max_tokens=max_tokens, at_once=at_once, progress=count
        )


def _fleet(
    model: list[str] | None, url: list[str] | None, key: str | None, at_once: int, show: Callable[[str], None]
) -> "tuple[Sequence[Engine], tuple[str, ...], list[tuple[float, float]] | None]":
    """Engines that are not started yet, what to call their models, and credits of their tokens in and out."""
    from experiments.worlds.fleets import launched_fleet
    from runtime.engines.openai.engine import OpenAIEngine

    if not url:
        chosen = model or DEFAULT_MODELS
        _distinct(names := tuple(Path(each).name for each in chosen))
        engines, prices = launched_fleet(chosen, show)
        return engines, names, [(each.fresh, each.output) for each in prices]
    if model and len(url) not in (1, len(model)):
        raise typer.BadParameter(
            f"{len(url)} servers for {len(model)} models; give one for all, or one for each", param_hint="--url"
        )
    where = url * len(model) if model and len(url) == 1 else url
    called = model or [_host(each) for each in url]
    _distinct(tuple(called))
    servers = [
        OpenAIEngine(name, address, key, model=name if model else None, slots=at_once)
        for name, address in zip(called, where, strict=True)
    ]
    return servers, tuple(called), None


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0] or url


def _distinct(names: tuple[str, ...]) -> None:
    if len(set(names)) < len(names):
        raise typer.BadParameter(f"a model is named twice: {', '.join(names)}", param_hint="--model")


def _price(text: str) -> tuple[float, float]:
    reading, _, writing = text.partition("/")
    try:
        found = float(reading), float(writing)
    except ValueError:
        found = (-1.0, -1.0)
    if not all(0 <= each < float("inf") for each in found):
        raise typer.BadParameter(
            f"{text!r} is no price; give credits of a token in and out, such as .0006/.03", param_hint="--price"
        )
    return found
