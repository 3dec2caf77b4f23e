"""The `iemas` command."""

import os
import sys
import traceback
from typing import Annotated

import typer

from experiments.commands.auditing.audit import audit
from experiments.commands.auditing.mechanisms import mechanisms
from experiments.commands.auditing.policy import audit_policy
from experiments.commands.failures import one_line
from experiments.commands.preparing import data, model, record
from experiments.commands.preparing.calibrate import calibrate
from experiments.commands.serving import accounts, rounds, servers
from experiments.commands.serving.serve import serve
from experiments.commands.serving.top import top
from experiments.commands.streams import harden
from experiments.commands.studying import claims
from experiments.commands.studying.contest import contest
from experiments.commands.studying.demo import demo
from experiments.commands.studying.latency import latency
from experiments.commands.studying.replay import replay
from experiments.commands.studying.routers import routers
from experiments.commands.studying.study import study

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Truthful auctions for routing LLM requests: audit a mechanism, then serve with it.",
)
app.command()(demo)
app.command()(study)
app.command()(contest)
app.command()(audit)
app.command()(audit_policy)
app.command()(mechanisms)
app.command()(calibrate)
app.command()(latency)
app.command()(serve)
app.command()(replay)
app.command()(routers)
app.command()(top)
app.add_typer(data.app, name="data")
app.add_typer(model.app, name="model")
app.add_typer(record.app, name="record")
app.add_typer(claims.app, name="claims")
app.add_typer(servers.app, name="fleet")
app.add_typer(accounts.account_app, name="account")
app.add_typer(accounts.key_app, name="key")
app.add_typer(accounts.ledger_app, name="ledger")
accounts.ledger_app.command("rounds")(rounds.list_rounds)
accounts.ledger_app.command("show")(rounds.show_round)
accounts.ledger_app.command("audit")(rounds.audit_rounds)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"iemas {version('iemas')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Options of the command itself."""


def main() -> None:
    """Run the command; an error becomes one line on standard error and exit code 2, never the 1 of a refutation."""
    harden()
    try:
        app(color=False if os.environ.get("NO_COLOR") else None)
    except Exception as error:
        if os.environ.get("IEMAS_TRACEBACK"):
            traceback.print_exc()
        typer.secho(f"iemas: {one_line(error)}", fg="red", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
