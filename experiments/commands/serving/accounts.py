"""`iemas account`, `iemas key`, `iemas ledger`: who may ask, for how much, and what became of it."""

import json
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

_PIPE_WIDTH = 120
_MICROS = 1_000_000

Books = Annotated[
    str,
    typer.Option("--ledger", metavar="PATH_OR_URL", envvar="IEMAS_LEDGER", help="The books, as [server] names them."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Name = Annotated[str, typer.Argument(metavar="ACCOUNT")]
Preferred = Annotated[
    list[str] | None,
    typer.Option(
        "--prefer", metavar="FIGURE=NUMBER", help="What its requests are worth where they do not say: worth=2."
    ),
]

account_app = typer.Typer(no_args_is_help=True, help="Accounts of a gateway's books: bidders, with credit and limits.")
key_app = typer.Typer(no_args_is_help=True, help="Keys of accounts; an account's keys are one bidder.")
ledger_app = typer.Typer(no_args_is_help=True, help="What the books say.")


@account_app.command("create")
def create_account(
    name: Name,
    limit: Annotated[str, typer.Option(help="Credits that it may owe; `none` is no limit.")] = "0",
    prefer: Preferred = None,
    ledger: Books = "iemas.db",
    as_json: AsJson = False,
) -> None:
    """Make an account; by default it pays in advance.

    Example: iemas account create alice --limit 5 --prefer worth=2
    """
    most, preferences = _limit(limit), _figures(prefer)
    with _holders(ledger, make=True) as holders:
        made = holders.create_account(name, limit=most, preferences=preferences)
    _tell_accounts([made], as_json, one=True)


@account_app.command("list")
def list_accounts(ledger: Books = "iemas.db", as_json: AsJson = False) -> None:
    """Accounts, their balances and limits.

    Example: iemas account list --json
    """
    with _holders(ledger) as holders:
        found = holders.accounts()
    _tell_accounts(found, as_json)


@account_app.command("credit")
def credit(
    name: Name,
    amount: Annotated[str, typer.Argument(help="Credits that come in; after `--`, a negative number goes out.")],
    reference: Annotated[str | None, typer.Option("--ref", help="Of the payment: entered once, however often.")] = None,
    note: Annotated[str | None, typer.Option(help="For its statement.")] = None,
    ledger: Books = "iemas.db",
    as_json: AsJson = False,
) -> None:
    """Add credits to an account.

    Example: iemas account credit alice 25 --ref invoice-17
    """
    micros = _micros(amount)
    with _holders(ledger) as holders:
        changed = holders.credit(name, micros, reference=reference, note=note)
    _tell_accounts([changed], as_json, one=True)


@account_app.command("limit")
def limit_account(
    name: Name,
    limit: Annotated[str, typer.Argument(help="Credits that it may owe; `none` is no limit.")],
    ledger: Books = "iemas.db",
    as_json: AsJson = False,
) -> None:
    """Set what an account may owe.

    Example: iemas account limit alice 5
    """
    most = _limit(limit)
    with _holders(ledger) as holders:
        changed = holders.limit(name, most)
    _tell_accounts([changed], as_json, one=True)


@account_app.command("prefer")
def prefer_account(
    name: Name,
    figures: Annotated[list[str], typer.Argument(metavar="FIGURE=NUMBER...", help="All of them, such as worth=2.")],
    ledger: Books = "iemas.db",
    as_json: AsJson = False,
) -> None:
    """Set what an account's requests are worth where they do not say.

    Example: iemas account prefer alice worth=2 delay_cost=0.01
    """
    preferences = _figures(figures)
    with _holders(ledger) as holders:
        changed = holders.prefer(name, preferences)
    _tell_accounts([changed], as_json, one=True)


@key_app.command("create")
def create_key(
    account: Name,
    name: Annotated[str | None, typer.Option(help="Of the key, in logs; by default the account's and digits.")] = None,
    requests_minute: Annotated[int | None, typer.Option(help="Requests a minute.", min=1)] = None,
    tokens_minute: Annotated[int | None, typer.Option(help="Tokens a minute, of prompts and answers.", min=1)] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests at once.", min=1)] = None,
    spend_day: Annotated[str | None, typer.Option(help="Credits a day (UTC).")] = None,
    ledger: Books = "iemas.db",
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, once: the books keep its SHA-256 alone.

    Example: iemas key create alice --name alice-laptop --requests-minute 60
    """
    spend = None if spend_day is None else _micros(spend_day)
    if spend is not None and spend < 0:
        raise typer.BadParameter("give 0 or more credits", param_hint="--spend-day")
    with _holders(ledger) as holders:
        key, made = holders.create_key(
            account,
            name,
            requests_minute=requests_minute,
            tokens_minute=tokens_minute,
            concurrency=concurrency,
            spend_day=spend,
        )
    typer.echo(json.dumps({"key": key, **_key(made)}, indent=1) if as_json else key)


@key_app.command("revoke")
def revoke_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `iemas key list` has it.")],
    ledger: Books = "iemas.db",
    as_json: AsJson = False,
) -> None:
    """Have a key open nothing any more; gateways notice within a second.

    Example: iemas key revoke alice-laptop
    """
    with _holders(ledger) as holders:
        revoked = holders.revoke(name)
    _tell_keys([revoked], as_json, one=True)


@key_app.command("list")
def list_keys(
    account: Annotated[str | None, typer.Argument(metavar="ACCOUNT", help="Whose; by default all.")] = None,
    ledger: Books = "iemas.db",
    as_json: AsJson = False,
) -> None:
    """Keys, their limits and what they spent today; never the keys themselves.

    Example: iemas key list alice
    """
    with _holders(ledger) as holders:
        found = holders.keys(account)
    _tell_keys(found, as_json)


@ledger_app.command("balances")
def balances(ledger: Books = "iemas.db", as_json: AsJson = False) -> None:
    """What every account has, the auctioneer's and the agents' among them; all of it adds up to zero.

    Example: iemas ledger balances --json
    """
    with _holders(ledger) as holders:
        told = holders.balances()
    accounts = {name: _amounts(row, "balance", "held", "limit") for name, row in told["accounts"].items()}
    if as_json:
        held = _amounts(told["held"], "amount")
        typer.echo(json.dumps({"accounts": accounts, "held": held, "requests": told["requests"]}, indent=1))
        return
    rows = [(name, row["balance"], row["held"], _none(row["limit"])) for name, row in accounts.items()]
    print_table("Balances, in credits", ("account", "balance", "held", "may owe"), rows)
    requests = told["requests"]
    typer.echo(
        f"{requests['settled']} requests settled, {requests['released']} released, {told['held']['requests']} held"
    )


@ledger_app.command("statement")
def statement(
    name: Name,
    last: Annotated[int | None, typer.Option(help="So many lines, the last.", min=1)] = None,
    ledger: Books = "iemas.db",
    as_json: AsJson = False,
) -> None:
    """What was moved to and from an account.

    Example: iemas ledger statement alice --last 20
    """
    from datetime import UTC, datetime

    with _holders(ledger) as holders:
        found = holders.statement(name, last)
    lines = [
        {**line, "at": datetime.fromtimestamp(line["at_s"], UTC).isoformat(), **_amounts(line, "amount", "balance")}
        for line in found
    ]
    if as_json:
        typer.echo(json.dumps({"account": name, "lines": lines}, indent=1))
        return
    rows = [
        (line["at"][:19], line["kind"], line["request"], line["with"], line["amount"], line["balance"])
        for line in lines
    ]
    print_table(f"Account {name}, in credits", ("at (UTC)", "kind", "request", "with", "amount", "balance"), rows)


def _holders(ledger: str, *, make: bool = False) -> Any:
    try:
        from runtime.accounts.holders import Holders
    except ImportError as error:
        from experiments.errors import StudyError

        raise StudyError(f"accounts need SQLAlchemy; install iemas[gateway] ({error})") from None
    return Holders(ledger, make=make)


def _micros(credits: str) -> int:
    """Credits as written, exactly."""
    try:
        micros = Decimal(credits) * _MICROS
    except InvalidOperation:
        raise typer.BadParameter(f"{credits!r} is no number of credits; write for instance 2.5") from None
    if not micros.is_finite() or micros != int(micros) or abs(micros) > 1 << 60:
        raise typer.BadParameter(f"{credits} credits cannot be booked; a millionth of a credit is the smallest amount")
    return int(micros)


def _limit(credits: str) -> int | None:
    if credits == "none":
        return None
    micros = _micros(credits)
    if micros < 0:
        raise typer.BadParameter("give 0 or more credits, or `none`")
    return micros


def _figures(stated: Iterable[str] | None) -> dict[str, float]:
    from runtime.gateway.fleet.config import Bid

    figures: dict[str, float] = {}
    for each in stated or ():
        figure, _, number = each.partition("=")
        try:
            figures[figure] = float(number)
            Bid.model_validate(figures)
        except ValueError:
            known = ", ".join(Bid.model_fields)
            raise typer.BadParameter(f"{each!r}: write FIGURE=NUMBER, 0 or more, with one of {known}") from None
    return figures


def _amounts(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """A row with some amounts in credits, exactly, as text."""
    from runtime.gateway.serving.passing import credits

    return {**row, **{name: None if row[name] is None else credits(row[name]) for name in names}}


def _none(amount: str | None) -> str:
    return "no limit" if amount is None else amount


def _tell_accounts(accounts: Sequence[dict[str, Any]], as_json: bool, *, one: bool = False) -> None:
    told = [_amounts(each, "balance", "held", "limit") for each in accounts]
    if as_json:
        typer.echo(json.dumps(told[0] if one else told, indent=1))
        return
    rows = [
        (each["name"], each["balance"], each["held"], _none(each["limit"]), _shown(each["preferences"]))
        for each in told
    ]
    print_table("Accounts, in credits", ("account", "balance", "held", "may owe", "prefers"), rows)


def _key(key: dict[str, Any]) -> dict[str, Any]:
    return {**_amounts(key, "spent_today"), "limits": _amounts(key["limits"], "spend_day")}


def _tell_keys(keys: Sequence[dict[str, Any]], as_json: bool, *, one: bool = False) -> None:
    told = [_key(each) for each in keys]
    if as_json:
        typer.echo(json.dumps(told[0] if one else told, indent=1))
        return
    rows = [
        (
            each["name"],
            each["account"],
            "revoked" if each["revoked"] else "valid",
            _shown({name: most for name, most in each["limits"].items() if most is not None}),
            each["spent_today"],
        )
        for each in told
    ]
    print_table("Keys", ("key", "account", "state", "limits", "spent today"), rows)


def _shown(figures: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items())


def print_table(title: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table, as wide as the terminal, or as a page where there is none."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*names, title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)
