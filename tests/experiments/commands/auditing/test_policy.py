import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import experiments.audits.audit as audits
from experiments.audits import suite
from experiments.commands.auditing.policy import audit_policy


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr(audits, "suite", lambda: suite()[:2])
    monkeypatch.setattr(audits, "two_rounds", tuple)
    monkeypatch.setattr(audits, "suite_outside", tuple)
    app = typer.Typer()
    app.command()(audit_policy)
    return app


def test_the_auction_passes_and_pay_as_bid_does_not(command: typer.Typer) -> None:
    passed = CliRunner().invoke(command, ["auction"])
    assert passed.exit_code == 0, passed.output
    assert "truthful" in passed.output and "VERIFIED" in passed.output
    refuted = CliRunner().invoke(command, ["auction", "--mechanism", "pay-as-bid", "--json"])
    assert refuted.exit_code == 1
    found = {one["property"]: one for one in json.loads(refuted.stdout)["findings"]}
    assert found["truthful"]["status"] == "REFUTED" and "gains" in found["truthful"]["counterexample"]["text"]


def test_a_policy_of_ones_own(command: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_policies.py").write_text(
        "from mechanisms import find_mechanism\nfrom runtime import Auction\n"
        "mine = Auction(find_mechanism('vcg'), name='mine')\n"
    )
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, ["my_own_policies:mine"])
    assert result.exit_code == 0 and "policy mine" in result.output


def test_what_cannot_be_audited_is_said(command: typer.Typer) -> None:
    unknown = CliRunner().invoke(command, ["cleverest"])
    assert unknown.exit_code == 2 and "paper-auction" in unknown.output
    both = CliRunner().invoke(command, ["tests.experiments.audits.mutants:Plain", "--allocator", "greedy"])
    assert both.exit_code == 2
    assert "Example: iemas audit-policy" in CliRunner().invoke(command, ["--help"]).output


def test_live_rounds(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["auction", "--live", "60"])
    assert result.exit_code == 0 and "0 gain beyond the stated prediction error" in result.output
