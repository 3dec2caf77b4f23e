"""`iemas top`: what a gateway is doing, live, in the terminal."""

import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Group

_EVENTS = "/iemas/v1/events"
_PIPE_WIDTH = 140
#: Seconds without a word after which a gateway is taken to be gone; it says something every second.
_SILENCE_S = 15.0
#: What shows the course of things, low to high.
_LEVELS = "▁▂▃▄▅▆▇█"
_WIDTH = 40


def top(
    url: Annotated[str, typer.Argument(help="Where `iemas serve` listens.")] = "http://127.0.0.1:8080",
    once: Annotated[bool, typer.Option("--once", help="Print how it stands, and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON every second; with --once a single one.")
    ] = False,
    key_env: Annotated[
        str, typer.Option(help="Variable that holds a key, for a gateway that asks for one.")
    ] = "IEMAS_KEY",
) -> None:
    """Show agents' health, requests inside, rounds, matches, prices, hits, waits and what was declined.

    Example: iemas top http://127.0.0.1:8080 --once
    """
    from rich.console import Console
    from rich.live import Live

    if once or as_json:
        console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
        for state in states(url, os.environ.get(key_env)):
            if as_json:
                typer.echo(json.dumps(state))
                sys.stdout.flush()
            else:
                console.print(shown(url, state, console.width))
            if once:
                return
        return
    screen = Console()
    with Live(console=screen, auto_refresh=False, screen=sys.stdout.isatty()) as live:
        try:
            for state in states(url, os.environ.get(key_env)):
                live.update(shown(url, state, screen.width), refresh=True)
        except KeyboardInterrupt:
            return


def states(url: str, key: str | None) -> Iterator[dict[str, Any]]:
    """How a gateway stands: `agents`, `totals`, and `points`, one a second.

    Raises:
        StudyError: nobody answers there, or somebody who is no gateway or wants a key.
    """
    import httpx

    from experiments.errors import StudyError

    headers = {} if not key else {"authorization": f"Bearer {key}"}
    points: list[dict[str, Any]] = []
    try:
        timeout = httpx.Timeout(_SILENCE_S, connect=5.0)
        with httpx.stream("GET", url.rstrip("/") + _EVENTS, headers=headers, timeout=timeout) as answer:
            if answer.status_code == 401:
                raise StudyError(f"{url} asks for a key; put one into IEMAS_KEY, or name its variable with --key-env")
            if answer.status_code != 200:
                raise StudyError(f"{url} answers {answer.status_code} at {_EVENTS}; is it `iemas serve`?")
            for kind, said in _events(answer.iter_bytes()):
                points = said["history"] if kind == "hello" else [*points, said["point"]][-300:]
                yield {"points": points, "agents": said["agents"], "totals": said["totals"]}
    except StudyError:
        # It is a ValueError too, and says what is wrong already.
        raise
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StudyError(f"{url} cannot be reached: {str(error) or type(error).__name__}") from None
    except (ValueError, KeyError) as error:
        raise StudyError(f"{url} says what no gateway says at {_EVENTS}: {error!r}") from None


def _events(pieces: Iterator[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    text = b""
    for piece in pieces:
        text += piece
        *whole, text = text.split(b"\n\n")
        for event in whole:
            kind, data = event.decode().split("\n", 1)
            yield kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


#: Figures of an agent, and those that a terminal of fewer columns than `_WIDE` goes without.
_FIGURES = ("running", "in line", "served", "failed", "KV hit", "first token", "error", "price", "charges")
_WIDE, _SPARED = 104, ("failed", "error", "charges")


def shown(url: str, state: dict[str, Any], width: int = _PIPE_WIDTH) -> "Group":
    """One screen of so many columns."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    points, totals = state["points"], state["totals"]
    head = Text.assemble(
        (url, "bold"),
        f"  {totals['arrived']:,} requests, {totals['served']:,} served, {totals['failed']:,} failed, "
        f"{totals['abandoned']:,} hung up; surplus {totals['surplus']:,.4g} credits",
    )
    declined = ", ".join(f"{count:,} {code}" for code, count in totals["declined"].items())
    course = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, field, unit in (
        ("rounds", "rounds", "/s"),
        ("matches", "matches", "/s"),
        ("declined", "declined", "/s"),
        ("price", "price", "credits"),
        ("KV hits", "hit", "%"),
        ("predicted", "said_hit", "%"),
        ("first token", "wait_p50", "s"),
        ("95 %", "wait_p95", "s"),
        ("running", "running", ""),
        ("waiting", "waiting", ""),
    ):
        seen = [one[field] for one in points[-_WIDTH:]]
        last = next((value for value in reversed(seen[-10:]) if value is not None), None)
        factor = 100 if unit == "%" else 1
        told = "-" if last is None else f"{factor * last:,.4g} {unit}"
        course.add_row(Text(name, "dim"), told, Text(line(seen), "cyan"))
    kept = [heading for heading in _FIGURES if width >= _WIDE or heading not in _SPARED]
    rows = [_figures(one) for one in state["agents"]]
    agents = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    needed = {heading: max(len(heading), *(len(row[heading]) for row in rows), 0) for heading in kept}
    # A name may be cut short, a figure may not.
    room = width - sum(needed.values()) - 2 * len(needed) - 4
    agents.add_column("agent", no_wrap=True, overflow="ellipsis", max_width=max(room, 8))
    for heading in kept:
        agents.add_column(heading, justify="right", no_wrap=True, min_width=needed[heading])
    for one, row in zip(state["agents"], rows, strict=True):
        up = Text.assemble(("● ", "green" if one["up"] else "red"), one["name"], ("" if one["up"] else " out", "red"))
        agents.add_row(up, *(row[heading] for heading in kept))
    return Group(head, Text(f"declined: {declined}", "dim"), Text(), course, agents)


def _figures(one: dict[str, Any]) -> dict[str, str]:
    """An agent's figures by their headings."""
    counts = [f"{one[name]:,}" for name in ("running", "waiting", "served", "failed")]
    measured = [_percent(one["hit"]), _plain(one["wait"], " s"), _percent(one["latency_error"])]
    return dict(zip(_FIGURES, [*counts, *measured, _plain(one["price"]), _plain(one["charges"])], strict=True))


def line(values: list[float | None]) -> str:
    """The course of a figure, the highest of it a full block, a gap where nothing was measured.

    Example:
        >>> line([0, 1, None, 4])
        '▁▃ █'
    """
    most = max((value for value in values if value is not None), default=0) or 1
    return "".join(
        " " if value is None else _LEVELS[min(int(value / most * len(_LEVELS)), len(_LEVELS) - 1)] for value in values
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _plain(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:,.4g}{unit}"
