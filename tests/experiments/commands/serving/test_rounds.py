"""`iemas ledger rounds`, `show` and `audit`: what they print, and by which exit code they end."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.errors import StudyError
from runtime import Ledger
from runtime.accounts.archive import Archive
from runtime.errors import LedgerError
from runtime.referees import referee
from tests.runtime.referees.played import play
from tests.runtime.referees.test_audit import SETTLED, forge


def run(where: str, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["ledger", *words, "--ledger", where])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> str:
    where = str(tmp_path_factory.mktemp("played") / "books.db")
    play(where, requests=16)
    return where


def test_rounds_are_listed_shown_and_exported(played: str, tmp_path: Path) -> None:
    listed = json.loads(run(played, "rounds", "--json"))
    assert [one["number"] for one in listed] == list(range(1, len(listed) + 1)) and len(listed) > 3
    assert json.loads(run(played, "rounds", "--limit", "2", "--json")) == listed[-2:]
    assert json.loads(run(played, "rounds", "--since", "1h", "--json")) == listed
    assert json.loads(run(played, "rounds", "--since", "2100-01-01", "--json")) == []
    assert "vcg" in run(played, "rounds")
    shown: dict[str, Any] = json.loads(run(played, "show", "1", "--json"))
    assert shown["seal"] == listed[0]["seal"] and shown["record"]["round"] == 1
    assert {one["request"] for one in shown["entries"]} <= set(shown["record"]["requests"])
    request = shown["record"]["requests"][0]
    assert request in run(played, "show", request)
    file = tmp_path / "rounds.jsonl"
    assert json.loads(run(played, "rounds", "--export", str(file), "--json"))["rounds"] == len(listed)
    counts, faults = referee.check(file.read_text().splitlines())
    assert (counts["rounds"], faults) == (len(listed), [])


def test_an_audit_tells_its_counts_and_by_its_exit_code_what_it_found(played: str, tmp_path: Path) -> None:
    told = json.loads(run(played, "audit", "--sample-misreports", "2", "--seed", "3", "--json"))
    assert told["holds_up"] and told["faults"] == [] and told["mechanisms"] == {"VCG over MinCostFlow": told["rounds"]}
    assert (told["sampled"], told["seed"]) == (2, 3) and told["misreports"] > 50
    assert "HOLDS: every round is what the rules say" in run(played, "audit")
    where = str(tmp_path / "forged.db")
    Path(where).write_bytes(Path(played).read_bytes())
    forge(where, f"UPDATE endings SET charge = charge - 1 WHERE request = {SETTLED}")
    said = run(where, "audit", code=1)
    assert "REFUTED: 2 faults" in said and "settlement: charge" in said
    assert not json.loads(run(where, "audit", "--json", code=1))["holds_up"]


def test_no_rounds_are_no_verdict(tmp_path: Path, played: str) -> None:
    where = str(tmp_path / "empty.db")
    Ledger(where).close()
    with pytest.raises(StudyError, match="0 rounds are kept in these books, none of them an auction"):
        run(where, "audit")
    with pytest.raises(StudyError, match="since 2100-01-01"):
        run(played, "audit", "--since", "2100-01-01")
    with pytest.raises(LedgerError, match="there are no books at"):
        run(str(tmp_path / "none.db"), "audit")
    with pytest.raises(LedgerError, match="no round 99 is kept"):
        run(played, "show", "99")


def test_what_is_no_time_is_told_so(played: str) -> None:
    result = CliRunner().invoke(app, ["ledger", "audit", "--since", "yesterday", "--ledger", played])
    assert result.exit_code == 2 and "'yesterday' is no time" in result.output.replace("\n", " ")


def test_rounds_are_found_by_whatever_a_request_is_called(where: str) -> None:
    with Ledger(where) as ledger:
        for name in ("a%b", "a_b", "axb"):
            ledger.keep(json.dumps({"requests": [name]}), 1.0)
    with Archive(where) as books:
        assert [row.number for row in books.find("a_b")] == [2]
        assert [row.number for row in books.find("a%b")] == [1]
