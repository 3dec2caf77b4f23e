"""`iemas audit-policy`: can anyone gain by misreporting to the policy that serves?"""

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.commands.patience import PatientBar

if TYPE_CHECKING:
    from experiments.audits import LiveReport, PolicyReport
    from runtime import Policy

#: What can be named without a module.
SHIPPED = ("auction", "paper-auction")


def audit_policy(
    name: Annotated[
        str, typer.Argument(help="auction, paper-auction, or yours: my_policies:Mine, a class or an instance")
    ],
    mechanism: Annotated[
        str, typer.Option(help="Of a shipped policy: vcg, pay-as-bid, my_rules:HalfPrice, ...")
    ] = "vcg",
    allocator: Annotated[str | None, typer.Option(help="Of a shipped policy: greedy, ...")] = None,
    live: Annotated[
        int | None,
        typer.Option(
            min=1, help="Try so many misreports in rounds of running simulated worlds, in place of the states."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Ask a policy's own decide under every report on small fleets with a past, and score misreports at a reference.

    Exit code 1 if a claim is refuted, 3 if none is but one stays UNKNOWN, 2 if the policy cannot be audited. What is
    `not claimed` (several reports over two rounds, second names, halves) is printed and fails nothing.

    Example: iemas audit-policy auction --mechanism pay-as-bid
    """
    from rich.console import Console

    from experiments import audits

    # Whatever the policy prints must not end up in the JSON.
    with redirect_stdout(sys.stderr), PatientBar(Console(stderr=True)) as bar:
        policy = _found(name, mechanism, allocator)
        report: PolicyReport | LiveReport
        report = audits.probe_live(policy, triples=live) if live else audits.audit_policy(policy, progress=bar)
    typer.echo(report.to_json() if as_json else str(report))
    if report.refuted:
        raise typer.Exit(1)
    if not report.passed and not live:
        raise typer.Exit(3)


def _found(name: str, mechanism: str, allocator: str | None) -> "Policy":
    from experiments.audits import find_policy
    from mechanisms import find_mechanism
    from runtime import Auction, PaperAuction

    if name in SHIPPED:
        made: Policy = (Auction if name == "auction" else PaperAuction)(find_mechanism(mechanism, allocator))
        return made
    if ":" not in name:
        raise typer.BadParameter(f"no policy {name!r}; there are: {', '.join(SHIPPED)}; yours: my_policies:Mine")
    if mechanism != "vcg" or allocator is not None:
        raise typer.BadParameter("--mechanism and --allocator are for shipped policies; yours has its own")
    return find_policy(name)
