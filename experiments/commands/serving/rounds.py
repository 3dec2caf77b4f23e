"""`iemas ledger rounds`, `show`, `audit`: the rounds that books keep, and whether they are what the rules say."""

import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.commands.serving.accounts import AsJson, Books, print_table

if TYPE_CHECKING:
    from runtime.accounts.archive import Archive, KeptEntry, KeptRow
    from runtime.referees.kept import Kept
    from runtime.referees.verdict import Verdict

#: Faults that are printed; the others are counted.
_SHOWN = 20
_AGO = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Since = Annotated[
    str | None, typer.Option(metavar="WHEN", help="Rounds since then alone: 7d, 12h, or 2026-05-01T10:00 (UTC).")
]


def list_rounds(
    since: Since = None,
    limit: Annotated[int | None, typer.Option(help="So many, the last; with --export all, else 20.", min=1)] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Write rounds and entries for a referee into this file.")
    ] = None,
    ledger: Books = "iemas.db",
    as_json: AsJson = False,
) -> None:
    """Rounds as they were kept: when, how many asked, how many were served, what they were charged.

    Example: iemas ledger rounds --since 7d --export rounds.jsonl
    """
    since_s = _since(since)
    with _archive(ledger) as archive:
        if export is not None:
            _export(archive, export, since_s, limit, as_json)
            return
        rows = [_summary(row) for row in archive.rounds(since_s, limit or 20)]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    shown = [
        (
            str(one["number"]),
            str(one["at"])[:19],
            str(one["requests"]),
            str(one["served"]),
            str(one["charged"]),
            str(one["mechanism"]),
        )
        for one in rows
    ]
    print_table("Rounds", ("round", "at (UTC)", "requests", "given", "charged", "mechanism"), shown)


def show_round(
    name: Annotated[str, typer.Argument(metavar="ROUND", help="Its number in the books, or a request's id.")],
    ledger: Books = "iemas.db",
    as_json: AsJson = False,
) -> None:
    """A round whole: what was stated, who got whom at which charge, what became of it; with --json, all of it.

    Example: iemas ledger show 17
    """
    from runtime.referees.kept import read

    with _archive(ledger) as archive:
        found = archive.find(name)
        kept = [read(row.record) for row in found]
        entries = [list(archive.entries(requests=list(one.requests))) for one in kept]
    if as_json:
        told = [
            {**_row(row), "record": json.loads(row.record), "entries": [_entry(each) for each in some]}
            for row, some in zip(found, entries, strict=True)
        ]
        typer.echo(json.dumps(told[0] if len(told) == 1 else told, indent=1))
        return
    for row, one, some in zip(found, kept, entries, strict=True):
        _print_round(row, one, some)


def audit_rounds(
    since: Since = None,
    sample_misreports: Annotated[
        int, typer.Option(metavar="N", help="Try every bidder's misreports in N rounds, drawn with --seed.", min=0)
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of the rounds that are drawn.")] = 0,
    ledger: Books = "iemas.db",
    as_json: AsJson = False,
) -> None:
    """Derive kept rounds again, offline: the market, its optimum, each charge, each settlement.

    Exit code 1 if anything is not what the rules say, 2 if there is no auction to look at or the books cannot be read.

    Example: iemas ledger audit --since 1d --sample-misreports 100
    """
    from rich.console import Console

    from experiments.commands.patience import PatientBar
    from experiments.errors import StudyError
    from runtime.referees.audit import audit

    since_s = _since(since)
    with _archive(ledger) as archive, PatientBar(Console(stderr=True)) as bar:
        verdict = audit(archive, since_s=since_s, misreports=sample_misreports, seed=seed, progress=bar)
    if not verdict.auctions and not verdict.faults:
        kept = f"{verdict.rounds} rounds are kept in these books{'' if since is None else f' since {since}'}"
        raise StudyError(
            f"{kept}, none of them an auction; a verdict over nothing is none: keep rounds ([server] rounds), or look "
            "further back"
        )
    if as_json:
        typer.echo(json.dumps(verdict.json(), indent=1))
    else:
        _print_verdict(verdict)
    if verdict.faults:
        raise typer.Exit(1)


def _archive(ledger: str) -> "Archive":
    try:
        from runtime.accounts.archive import Archive
    except ImportError as error:
        from experiments.errors import StudyError

        raise StudyError(f"reading books needs SQLAlchemy; install iemas[gateway] ({error})") from None
    return Archive(ledger)


def _since(when: str | None) -> float | None:
    """Unix time of what was written."""
    if when is None:
        return None
    ago = _AGO.fullmatch(when)
    try:
        if ago is not None:
            return (datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).timestamp()
        moment = datetime.fromisoformat(when)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{when!r} is no time; write 7d, 12h, 30m, or 2026-05-01T10:00 (UTC)", param_hint="--since"
        ) from None


def _export(archive: "Archive", file: Path, since_s: float | None, limit: int | None, as_json: bool) -> None:
    from rich.console import Console

    from experiments.commands.patience import PatientBar
    from experiments.errors import StudyError
    from runtime.referees.export import lines

    kept = archive.count(since_s)
    total, count = kept if limit is None else min(kept, limit), 0
    try:
        with file.open("w", encoding="utf-8") as target, PatientBar(Console(stderr=True)) as bar:
            for line in lines(archive, since_s, limit):
                target.write(line + "\n")
                if '"record":' in line:
                    count += 1
                    bar(count, total)
    except OSError as error:
        raise StudyError(f"cannot write to {file}: {error.strerror}; name another file with --export") from None
    told = {"file": str(file), "rounds": count}
    typer.echo(json.dumps(told) if as_json else f"{count} rounds in {file}")


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _row(row: "KeptRow") -> dict[str, Any]:
    return {"number": row.number, "writer": row.writer, "at": _at(row.at_s), "before": row.before, "seal": row.seal}


def _summary(row: "KeptRow") -> dict[str, Any]:
    from runtime.gateway.serving.passing import credits
    from runtime.referees.kept import read

    kept = read(row.record)
    auction = None if kept.auction is None else kept.rules.get("mechanism")
    return {
        "number": row.number,
        "at": _at(row.at_s),
        "round": kept.round,
        "requests": len(kept.requests),
        "served": int((kept.placed >= 0).sum()),
        "charged": credits(int(kept.charges.sum())),
        "mechanism": auction or "none",
        "seal": row.seal,
    }


def _entry(entry: "KeptEntry") -> dict[str, Any]:
    names = ("request", "attempt", "account", "agent", "charge", "amount", "state", "final", "cost", "receipt")
    return {name: getattr(entry, name) for name in names}


def _print_round(row: "KeptRow", kept: "Kept", entries: Sequence["KeptEntry"]) -> None:
    from runtime.gateway.serving.passing import credits

    ended: dict[str, str] = {}
    for entry in entries:
        ended[entry.request] = entry.state or "held"
    rows = []
    for i, request in enumerate(kept.requests):
        worth, delay, deadline, stake = kept.stated[i].tolist()
        agent = int(kept.placed[i])
        stated = f"{worth:g} - {delay:g}/s"
        stated += f" within {deadline:g} s" if deadline < float("inf") else ""
        stated += f", stake {stake:g}" if stake else ""
        where = kept.agents[agent] if agent >= 0 else "waits" if agent == -2 else "declined"
        rows.append((request, kept.bidders[i], stated, where, credits(int(kept.charges[i])), ended.get(request, "")))
    title = f"Round {row.number}, {_at(row.at_s)[:19]}, seal {row.seal[:12]}"
    print_table(title, ("request", "bidder", "stated", "agent", "charge", "became"), rows)
    typer.echo("rules: " + ", ".join(f"{name} {value}" for name, value in kept.rules.items() if value is not None))


def _print_verdict(verdict: "Verdict") -> None:
    for fault in verdict.faults[:_SHOWN]:
        typer.secho(str(fault), fg="red")
    if len(verdict.faults) > _SHOWN:
        typer.echo(f"... and {len(verdict.faults) - _SHOWN} more; --json has all")
    mechanisms = ", ".join(f"{name} in {count}" for name, count in verdict.mechanisms.items())
    typer.echo(
        f"{verdict.rounds} rounds, {verdict.requests} requests; {mechanisms or 'no auction'}\n"
        f"{verdict.certified} optima certified by their prices, {verdict.repeated} run again, {verdict.unauctioned} "
        f"without an auction\n"
        f"{verdict.holds} holds: {verdict.settled} settled, {verdict.released} released, {verdict.open} open; "
        f"{verdict.refused} decisions not held\n"
        f"{verdict.misreports} misreports tried in {verdict.sampled} rounds (seed {verdict.seed})"
    )
    typer.secho(
        f"REFUTED: {len(verdict.faults)} faults" if verdict.faults else "HOLDS: every round is what the rules say",
        fg="red" if verdict.faults else "green",
    )
    sys.stdout.flush()
