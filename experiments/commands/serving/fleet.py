"""`iemas fleet`: what a `fleet.toml` means, and what is wrong with it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from runtime.gateway.fleet.config import Agent, Fleet
    from runtime.gateway.fleet.reload import Changes

_PIPE_WIDTH = 120

app = typer.Typer(no_args_is_help=True, help="Fleets as files: who serves, under which names, at which prices.")


@app.callback()
def _fleet() -> None:
    """Commands on a fleet.toml."""


@app.command("check")
def check_fleet(
    file: Annotated[Path, typer.Argument(help="The fleet, e.g. fleet.toml; docs/fleet.md has the format.")],
    against: Annotated[
        Path | None, typer.Option(help="The file that runs now: what could change live, and what needs a restart?")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Check a fleet without starting anything, and print what it means.

    Exit code 2 if it is no fleet, each fault one line. Keys that are not set are told on standard error.

    Example: iemas fleet check fleet.toml
    """
    from runtime.errors import ServingError
    from runtime.gateway.fleet.file import read_secret, secrets_of
    from runtime.gateway.fleet.models import Models
    from runtime.gateway.fleet.reload import changes

    fleet = told_faults(file, as_json)
    running = None if against is None else told_faults(against, as_json)
    unset = []
    for place, secret in secrets_of(fleet).items():
        try:
            read_secret(secret, place)
        except ServingError as error:
            unset.append(str(error))
            typer.secho(f"{file}: {error}", fg="yellow", err=True)
    models = Models.of(fleet)
    names = {name: [fleet.agents[j].name for j in numbers] for name, numbers in models.agents.items()}
    difference = None if running is None else changes(running, fleet)
    if as_json:
        told: dict[str, Any] = {"fleet": fleet.model_dump(mode="json"), "models": names, "unset": unset, "faults": []}
        if difference is not None:
            told["changes"] = {"live": difference.live, "restart": difference.restart}
        typer.echo(json.dumps(told, indent=1))
        return
    from rich.console import Console

    # A pipe has no width of its own, and the tables need some.
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print(_agents(fleet))
    console.print(_names(names, models.kinds))
    for name, text in _sentences(fleet):
        console.print(f"{name:<12}{text}", soft_wrap=True, highlight=False, markup=False)
    if difference is not None:
        console.print(_difference(difference), soft_wrap=True, highlight=False, markup=False)


def told_faults(file: Path, as_json: bool) -> "Fleet":
    """A fleet; of what is wrong with it each fault is told, a line, and the command ends with exit code 2."""
    from runtime.gateway.fleet.file import FleetError

    try:
        return load_checked(file)
    except FleetError as error:
        if as_json:
            typer.echo(json.dumps({"faults": error.lines}, indent=1))
        for line in error.lines:
            typer.secho(line, fg="red", err=True)
        raise typer.Exit(2) from None


def load_checked(file: Path) -> "Fleet":
    """A fleet whose policy and predictor ship, or are somebody's own."""
    from difflib import get_close_matches

    from experiments.routers.catalogue import policies
    from mechanisms import find_mechanism
    from runtime.gateway.fleet.contradictions import Fault
    from runtime.gateway.fleet.file import FleetError, load_fleet

    fleet = load_fleet(file)
    faults = []
    for key, name, known in (
        ("policy", fleet.auction.policy, list(policies(find_mechanism("vcg")))),
        ("predictor", fleet.auction.predictor, ["by-question"]),
    ):
        if name is not None and ":" not in name and name not in known:
            near = get_close_matches(name, known, n=1)
            hint = (
                f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}, or yours, such as mine:Thing"
            )
            faults.append(Fault(f"auction.{key}", f"nothing of this name ships; {hint}", name))
    if faults:
        raise FleetError(file, faults)
    return fleet


def _agents(fleet: "Fleet") -> "Table":
    from rich.table import Column, Table

    numbers = [Column(name, justify="right") for name in ("capacity", "fresh", "cached", "output")]
    table = Table(
        Column("agent", no_wrap=True), "from", "asked for as", *numbers, title="Agents (credits per 1000 tokens)"
    )
    for agent in fleet.agents:
        prices = [f"{1000 * price:g}" for price in (agent.prices.fresh, agent.prices.cached, agent.prices.output)]
        table.add_row(agent.name, _source(agent), ", ".join(agent.names), str(agent.capacity or "its own"), *prices)
    return table


def _source(agent: "Agent") -> str:
    if agent.simulated is not None:
        return f"simulated as {agent.simulated}"
    if agent.url is not None:
        return agent.url
    return f"vllm serve {agent.model}" + (f" on port {agent.port}" if agent.port else "")


def _names(names: dict[str, list[str]], kinds: dict[str, Any]) -> "Table":
    from rich.table import Column, Table

    table = Table(Column("model", no_wrap=True), "is a", "served by", title="Names that clients may ask for")
    for name, agents in names.items():
        table.add_row(name, kinds[name], ", ".join(agents))
    return table


def _sentences(fleet: "Fleet") -> list[tuple[str, str]]:
    """The rest of a file, a line each."""
    server, rounds, auction, limits = fleet.server, fleet.rounds, fleet.auction, fleet.limits
    bidders = dict.fromkeys(key.bidder for key in fleet.keys)
    keys = (
        f"{len(fleet.keys)} of {len(bidders)} bidders ({', '.join(bidders)})"
        if bidders
        else "none: whoever can connect"
    )
    if server.accounts:
        keys = f"those of the books, and {keys}" if bidders else "those of the books"
    tiers = "; ".join(f"{name}: {_figures(bid.figures())}" for name, bid in fleet.service_tiers.items())
    allocator = f" over {auction.allocator}" if auction.allocator else ""
    return [
        ("listens", f"http://{server.host}:{server.port}"),
        ("books", str(server.ledger)),
        ("keys", keys),
        ("default bid", _figures(fleet.preferences.figures())),
        *([("tiers", tiers)] if tiers else []),
        (
            "rounds",
            f"close after {rounds.rules().window_s:g} s or {rounds.max_batch} requests; "
            f"patience {rounds.patience_s:g} s",
        ),
        ("auction", f"{auction.policy}, {auction.mechanism}{allocator}, settled {auction.settlement}"),
        ("limits", f"{limits.requests} requests, {limits.body_bytes} bytes each, {limits.request_s:g} s each"),
    ]


def _figures(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in figures.items()) or "nothing"


def _difference(difference: "Changes") -> str:
    if not (difference.live or difference.restart):
        return "changes     none"
    live = f"live: {', '.join(difference.live)}" if difference.live else ""
    restart = f"needs a restart: {', '.join(difference.restart)}" if difference.restart else ""
    return "changes     " + "; ".join(filter(None, (restart, live)))
