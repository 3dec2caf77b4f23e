"""`iemas fleet up`, `status`, `down`: the servers of a fleet without a gateway in front of them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from experiments.commands.serving.fleet import app, told_faults

if TYPE_CHECKING:
    from runtime.gateway.serving.keeping import State

__all__ = ["app"]

_DOWN_WITHIN_S = 30.0

File = Annotated[Path, typer.Argument(help="The fleet, e.g. fleet.toml; docs/fleet.md has the format.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("up")
def up(
    file: File,
    within: Annotated[float, typer.Option(help="Seconds until every server must be up.", min=1)] = 600.0,
    as_json: Json = False,
) -> None:
    """Launch the servers that a fleet's file launches, and leave them running; `iemas serve` then uses them.

    A keeper holds them, starts anew what dies, and writes NAME.log of each into the folder .FILE.up beside the file.
    They end with `iemas fleet down`, or with the keeper, however it ends. Ctrl-C before all are up takes all down.

    Example: iemas fleet up fleet.toml && iemas serve fleet.toml
    """
    fleet = told_faults(file, as_json)
    from runtime.gateway.serving.keeping import folder_of, read_state

    names = [agent.name for agent in fleet.agents if agent.url is None and agent.simulated is None]
    if not names:
        _fail(f"{file} launches no server: its agents are at URLs, or simulated")
    if read_state(file) is not None:
        _fail(f"the fleet of {file} is up already; `iemas fleet status {file}` shows it")
    folder = folder_of(file)
    folder.mkdir(exist_ok=True)
    with (folder / "keeper.log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "experiments.cli", "fleet", "keep", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        state = _wait_until_up(file, keeper, time.monotonic() + within)
    except BaseException:
        keeper.send_signal(signal.SIGTERM)
        keeper.wait(_DOWN_WITHIN_S)
        raise
    _show(file, state, as_json)


def _wait_until_up(file: Path, keeper: "subprocess.Popen[bytes]", until: float) -> "State":
    from runtime.gateway.serving.keeping import folder_of, read_state

    said = ""
    while True:
        if keeper.poll() is not None:
            _fail(f"the keeper ended:\n{(folder_of(file) / 'keeper.log').read_text(errors='replace').strip()}")
        state = read_state(file)
        if state is not None:
            states = {name: each.state for name, each in state.agents.items()}
            if set(states.values()) == {"up"}:
                return state
            failed = [f"{name}: {state.agents[name].error} (see {state.agents[name].log})" for name in states
                      if states[name] == "failed"]  # fmt: skip
            if failed or time.monotonic() > until:
                _fail("not all came up, so all are taken down: " + "; ".join(failed or [f"{states}"]))
            line = ", ".join(f"{name} {each}" for name, each in states.items())
            if line != said:
                typer.secho(line, err=True, dim=True)
                said = line
        time.sleep(0.2)


@app.command("keep", hidden=True)
def keep_servers(file: File) -> None:
    """The keeper itself: what `up` starts."""
    fleet = told_faults(file, False)
    from runtime.gateway.serving.engines import make_engine
    from runtime.gateway.serving.keeping import folder_of, keep

    folder = folder_of(file)
    launched = [j for j, agent in enumerate(fleet.agents) if agent.url is None and agent.simulated is None]
    engines = [make_engine(fleet, j, logs=folder, progress=lambda line: print(line, flush=True)) for j in launched]
    asyncio.run(keep(file, engines))


@app.command("status")
def status(file: File, as_json: Json = False) -> None:
    """Show the servers of a fleet that is up. Exit code 1 if one of them is not, 2 if the fleet is down.

    Example: iemas fleet status fleet.toml
    """
    from runtime.gateway.serving.keeping import read_state

    state = read_state(file)
    if state is None:
        if as_json:
            typer.echo(json.dumps({"up": False, "agents": {}}))
        _fail(f"the fleet of {file} is down; `iemas fleet up {file}` starts it")
    _show(file, state, as_json)
    if any(each.state != "up" for each in state.agents.values()):
        raise typer.Exit(1)


@app.command("down")
def down(file: File) -> None:
    """Stop every server of a fleet that is up; returns once none of them runs.

    Example: iemas fleet down fleet.toml
    """
    from runtime.gateway.serving.keeping import read_state

    state = read_state(file)
    if state is None:
        typer.echo(f"the fleet of {file} is down already")
        return
    os.kill(state.pid, signal.SIGTERM)
    until = time.monotonic() + _DOWN_WITHIN_S
    while state.alive:
        if time.monotonic() > until:
            # Servers die with their keeper.
            os.kill(state.pid, signal.SIGKILL)
        time.sleep(0.05)
    typer.echo(f"stopped {', '.join(state.agents)}")


def _show(file: Path, state: "State", as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        agents = {name: asdict(each) for name, each in state.agents.items()}
        typer.echo(json.dumps({"up": True, "keeper": state.pid, "agents": agents}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("agent", "is", "for", "address", "process", "log", title=f"Servers of {file}, kept by {state.pid}")
    for name, each in state.agents.items():
        seconds = f"{time.time() - each.since_s:.0f} s"
        told = each.state + (f": {each.error}" if each.error else "")
        table.add_row(name, told, seconds, each.url or "", str(each.pid or ""), each.log)
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _fail(message: str) -> NoReturn:
    typer.secho(f"iemas: {message}", fg="red", err=True)
    raise typer.Exit(2)
