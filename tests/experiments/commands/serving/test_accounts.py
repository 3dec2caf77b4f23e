"""`iemas account`, `iemas key` and `iemas ledger`: what they change, what they refuse, what they print."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from runtime import Ledger
from runtime.accounts.holders import Holders, digest_of
from runtime.errors import LedgerError


def run(where: str, *words: str) -> Any:
    at = words.index("--") if "--" in words else len(words)
    result = CliRunner().invoke(app, [*words[:at], "--ledger", where, "--json", *words[at:]])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_account_from_its_making_to_its_statement(where: str) -> None:
    made = run(where, "account", "create", "alice", "--limit", "5", "--prefer", "worth=2")
    assert made == {"name": "alice", "balance": "0", "held": "0", "limit": "5", "preferences": {"worth": 2.0}}
    assert run(where, "account", "credit", "alice", "2.000001", "--ref", "one")["balance"] == "2.000001"
    with pytest.raises(LedgerError, match="reference one was entered before"):
        run(where, "account", "credit", "alice", "2", "--ref", "one")
    with Ledger(where) as books:
        books.hold("r", bidder="alice", agent="a", charge=3_000_000)
        books.settle("r", cost=1_000_000)
        books.hold("s", bidder="alice", agent="a", charge=500_000)
    with pytest.raises(LedgerError, match="would owe more than its limit"):
        run(where, "account", "limit", "alice", "1")
    with pytest.raises(LedgerError, match="would owe more than its limit"):
        run(where, "account", "credit", "alice", "--", "-4")
    assert run(where, "account", "limit", "alice", "none")["limit"] is None
    assert run(where, "account", "prefer", "alice", "worth=3")["preferences"] == {"worth": 3.0}
    [listed] = run(where, "account", "list")
    assert (listed["balance"], listed["held"]) == ("-0.999999", "0.5")
    told = run(where, "ledger", "balances")
    assert set(told) == {"accounts", "held", "requests"}
    assert told["held"] == {"requests": 1, "amount": "0.5"} and told["requests"] == {"settled": 1, "released": 0}
    assert {name: row["balance"] for name, row in told["accounts"].items()} == {
        "alice": "-0.999999",
        "agent:a": "1",
        ":auctioneer": "2",
        ":outside": "-2.000001",
    }
    lines = run(where, "ledger", "statement", "alice")["lines"]
    assert [(line["kind"], line["amount"], line["balance"]) for line in lines] == [
        ("credit", "2.000001", "2.000001"),
        ("charge", "-3", "-0.999999"),
    ]
    assert run(where, "ledger", "statement", "alice", "--last", "1")["lines"] == lines[1:]


def test_a_key_is_shown_once_and_kept_as_its_hash_alone(where: str) -> None:
    run(where, "account", "create", "alice")
    made = run(where, "key", "create", "alice", "--name", "laptop", "--requests-minute", "3", "--spend-day", "1.5")
    key = made["key"]
    assert key.startswith("sk-iemas-") and len(key) == len("sk-iemas-") + 43
    [listed] = run(where, "key", "list", "alice")
    assert listed == {name: value for name, value in made.items() if name != "key"}
    assert listed["limits"] == {
        "requests_minute": 3,
        "tokens_minute": None,
        "concurrency": None,
        "spend_day": "1.5",
    }
    with Holders(where) as holders:
        number, [known] = holders.known_keys()
        assert known.digest == digest_of(key) and known.account == "alice" and known.requests_minute == 3
        if not where.startswith("postgresql"):
            assert key.encode() not in b"".join(file.read_bytes() for file in Path(where).parent.iterdir())
        with pytest.raises(LedgerError, match="a key is called laptop already"):
            holders.create_key("alice", "laptop")
        with pytest.raises(LedgerError, match="no account is called bob"):
            holders.create_key("bob")
        assert holders.changes() == number
        assert run(where, "key", "revoke", "laptop")["revoked"]
        assert holders.changes() > number and holders.known_keys()[1] == []
    with pytest.raises(LedgerError, match="no key is called desk"):
        run(where, "key", "revoke", "desk")


@pytest.mark.parametrize(
    "words, said",
    [
        (("account", "create", "a b"), "is no name"),
        (("account", "create", "a", "--prefer", "wort=2"), "with one of worth"),
        (("account", "create", "a", "--prefer", "worth=-2"), "with one of worth"),
        (("account", "create", "a", "--limit", "-3"), "0 or more credits"),
        (("account", "create", "a", "--limit", "much"), "is no number of credits"),
        (("account", "credit", "a", "0.0000001"), "smallest amount"),
        (("account", "list"), "there are no books at"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, [*words, "--ledger", str(tmp_path / "books.db")], env={"COLUMNS": "200"})
    assert result.exit_code != 0
    assert said in result.output + str(result.exception)


@pytest.mark.parametrize(
    "words",
    [
        *(("account", command) for command in ("create", "list", "credit", "limit", "prefer")),
        *(("key", command) for command in ("create", "revoke", "list")),
        *(("ledger", command) for command in ("balances", "statement")),
    ],
)
def test_every_command_shows_an_example(words: tuple[str, ...]) -> None:
    assert f"Example: iemas {' '.join(words)}" in CliRunner().invoke(app, [*words, "--help"]).output
