"""`iemas serve`: a fleet behind an OpenAI-compatible address."""

import asyncio
import json
import logging
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.commands.serving.fleet import load_checked, told_faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from mechanisms import DirectMechanism
    from runtime import Policy
    from runtime.gateway.door.clients import Keyring
    from runtime.gateway.fleet.config import Fleet
    from runtime.gateway.operators.office import Office


def serve(
    file: Annotated[Path, typer.Argument(help="The fleet, e.g. fleet.toml; docs/fleet.md has the format.")],
    port: Annotated[int | None, typer.Option(help="Listen there instead; 0 takes any free port.", min=0)] = None,
    logs: Annotated[Path | None, typer.Option(help="Folder for NAME.log of each engine that is launched.")] = None,
    log_requests: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Add a line of JSON for every request that ended; - is standard output."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="TRACE", help="Write every request to this new file, without its text, for iemas replay."),
    ] = None,
    record_text: Annotated[bool, typer.Option("--record-text", help="With --record: what was asked too.")] = False,
    despite_audit: Annotated[
        bool, typer.Option("--despite-audit", help="Serve with a mechanism that the audit refuted.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON once requests are taken, for programs.")
    ] = False,
) -> None:
    """Serve a fleet: any OpenAI client that is pointed at it takes part in the auction.

    An auction's mechanism is audited first, over small scopes and in seconds; one that is refuted does not serve.
    SIGTERM takes no more requests and lets those inside end; Ctrl-C breaks them off, each with an error of its own;
    SIGHUP reads the file again and takes over what may change while it runs. Engines that were launched end with it.

    Example: iemas serve docs/fleet.toml --port 8080
    """
    if record_text and record is None:
        raise typer.BadParameter("there is no trace to write it to; add --record TRACE", param_hint="--record-text")
    fleet = told_faults(file, as_json)
    from runtime.gateway.app import Gateway
    from runtime.gateway.operators.watching import Watching
    from runtime.gateway.server import bind, run_gateway
    from runtime.gateway.serving.engines import make_engine, make_engines

    bound = bind(fleet, port)
    engines = make_engines(kept_up(file, fleet), logs=logs, progress=_say)
    log_to(log_requests)
    watching = Watching(fleet, log_requests=log_requests is not None, record=record, record_text=record_text)
    mechanism = examined(fleet, despite_audit)
    serving = make_serving(fleet, engines, mechanism, subscribers=watching.subscribers, expect=watching.expect)
    watching.look_at(serving)
    keyring, office = make_keyring(fleet), make_office(fleet)
    gateway = Gateway(fleet, serving, watching.admin, keyring)

    def ready(url: str) -> None:
        names = [agent.name for agent in fleet.agents]
        if as_json:
            typer.echo(json.dumps({"url": url, "agents": names}))
        else:
            typer.echo(f"{url} serves {', '.join(names)}; models: {', '.join(gateway.names)}")
        sys.stdout.flush()

    make = partial(make_engine, logs=logs, progress=_say)
    run = run_gateway(file, bound, engines, serving, gateway, ready=ready, load=load_checked, make=make, office=office)
    try:
        _runner().run(run)
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(130) from None
    finally:
        watching.close()
        serving.ledger.close()
        for beside in (keyring, office):
            if beside is not None:
                beside.close()


def log_to(file: str | None) -> None:
    """Have the logger `iemas.requests` write its lines there; `-` is standard output, None nowhere.

    Raises:
        StudyError: the file cannot be written.
    """
    from logging.handlers import WatchedFileHandler

    from experiments.errors import StudyError

    logger = logging.getLogger("iemas.requests")
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    if file is None:
        return
    try:
        handler = logging.StreamHandler(sys.stdout) if file == "-" else WatchedFileHandler(file, encoding="utf-8")
    except OSError as error:
        raise StudyError(f"cannot write to --log-requests {file}: {error.strerror}; name another file") from None
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def kept_up(file: Path, fleet: "Fleet") -> "Fleet":
    """A fleet, with the servers that `iemas fleet up` keeps at their addresses."""
    from runtime.gateway.serving.engines import placed
    from runtime.gateway.serving.keeping import read_state

    state = read_state(file)
    servers = {} if state is None else {name: each.url for name, each in state.agents.items() if each.url is not None}
    if servers:
        _say(f"uses the servers that `iemas fleet up` keeps: {', '.join(servers)}")
    return placed(fleet, servers)


def examined(fleet: "Fleet", despite_audit: bool = False) -> "DirectMechanism":
    """The mechanism of a fleet's file, audited if its policy is an auction: the very object that will serve.

    Raises:
        AuditRefusedError: a property that serving needs is refuted, or could not be examined.
        MechanismError: there is no such mechanism.
    """
    from experiments.errors import AuditRefusedError
    from experiments.routers.catalogue import AUCTIONS
    from experiments.studies.demo import lacking
    from mechanisms import find_mechanism
    from proofs import SUITE, audit

    names = fleet.auction
    mechanism = find_mechanism(names.mechanism, names.allocator)
    if names.policy not in AUCTIONS:
        return mechanism
    report = audit(mechanism, SUITE)
    broken = lacking(report)
    if broken and not despite_audit:
        raise AuditRefusedError(report, broken)
    held = ", ".join(f"{name} {found.verdict} in {found.cases:,} cases" for name, found in report.items() if found)
    failed = f"; served all the same though not established: {', '.join(broken)}" if broken else ""
    _say(f"audit of {report.subject}: {held or 'nothing is established'}{failed}")
    return mechanism


def make_serving(fleet: "Fleet", engines: Any, mechanism: "DirectMechanism", **options: Any) -> Any:
    """The auction of a fleet's file over its engines.

    Raises:
        ServingError, StudyError, MechanismError: a name in [auction] stands for nothing.
    """
    from mechanisms.catalogue import find_settlement
    from runtime.accounts.ledger import Ledger
    from runtime.gateway.serving.serving import Serving

    return Serving(
        fleet,
        engines,
        make_policy(fleet, mechanism),
        settlement=find_settlement(fleet.auction.settlement),
        ledger=Ledger(fleet.server.ledger, fleet.server.survives),
        **options,
    )


def make_keyring(fleet: "Fleet") -> "Keyring | None":
    """Keys of the books, where the file wants them."""
    from runtime.gateway.door.clients import Keyring

    if not fleet.server.accounts:
        return None
    from runtime.accounts.holders import Holders

    return Keyring(Holders(fleet.server.ledger), fleet.server.gateways)


def make_office(fleet: "Fleet") -> "Office | None":
    """The admin API, where the file wants one.

    Raises:
        ServingError: its key is not where the file says, or its port is taken.
    """
    door = fleet.server.admin
    if door is None:
        return None
    from runtime.accounts.holders import Holders
    from runtime.gateway.fleet.file import read_secret
    from runtime.gateway.operators.office import Office

    return Office(Holders(fleet.server.ledger), read_secret(door.key, "server.admin.key"), door.host, door.port)


def make_policy(fleet: "Fleet", mechanism: "DirectMechanism") -> "Callable[[], Policy]":
    """Makes the policy that the file names, anew for each hub."""
    from experiments.routers.catalogue import find_policy, policies
    from experiments.studies.demo import find_forecaster

    names = fleet.auction
    make = find_policy(names.policy, policies(mechanism, find_forecaster(names.predictor)))
    return lambda: make(0)


def _runner() -> asyncio.Runner:
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def _say(line: str) -> None:
    typer.secho(line, err=True, dim=True)
