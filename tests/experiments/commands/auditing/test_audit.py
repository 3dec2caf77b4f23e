import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from experiments.commands.auditing.audit import audit
from experiments.commands.patience import PatientBar
from mechanisms import MechanismError
from proofs import AuditError, violation
from proofs.replay import REPLAYED, main

pytestmark = pytest.mark.usefixtures("replayed_here")

SMALL = ["--bidders", "2", "--agents", "2", "--values", "0..2"]


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(audit)
    return app


def test_a_truthful_rule_passes_with_exit_code_0(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["vcg", *SMALL])
    assert result.exit_code == 0, result.output
    assert "2 bidders x 2 agents, values {0..2}, capacities 1,1, costs 0" in result.output
    assert result.output.count("VERIFIED") == 4 and "1,296" in result.output


def test_a_refuted_rule_shows_its_expression_and_exits_with_1(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["vcg", "--allocator", "greedy", "--property", "truthful", *SMALL])
    assert result.exit_code == 1
    assert "bidder 0 reports [0, 1] instead of [1, 1] and gains 1" in result.output
    [expression] = [line for line in result.output.splitlines() if line.startswith("__import__")]
    assert eval(expression) == 1


def test_json_and_a_saved_file_that_replays(command: typer.Typer, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    result = CliRunner().invoke(command, ["pay-as-bid", "--json", "--save", str(file), *SMALL])
    assert result.exit_code == 1
    assert json.loads(result.stdout) == json.loads(file.read_text())
    assert main([str(file)]) == REPLAYED


def test_options_reach_the_scope(command: typer.Typer) -> None:
    options = ["--bidders", "1", "--requests-per-bidder", "2", "--values", "0,4", "--costs", "1,2", "--capacity", "2,1"]
    result = CliRunner().invoke(command, ["vcg", "--json", *options])
    scope = json.loads(result.stdout)["scope"]
    assert scope.startswith(
        "1 bidder with 2 requests x 2 agents, values {0, 4}, capacities 2,1, costs [[1, 2], [1, 2]]"
    )


@pytest.mark.parametrize("more", [[], ["--sample", "40"]])
def test_agents_become_players(command: typer.Typer, more: list[str]) -> None:
    private = ["--private-costs", "0..1", "--private-capacities", "0,2", "--values", "0..2"]
    result = CliRunner().invoke(command, ["vcg", "--bidders", "1", "--json", *private, *more])
    data = json.loads(result.stdout)
    assert "capacities private in {0, 2}" in data["scope"] or "private in {0..2}" in data["scope"]
    statuses = {finding["property"]: finding["status"] for finding in data["findings"]}
    assert result.exit_code == 1 and statuses["truthful-agents"] == "REFUTED" and "agents-rational" in statuses


def test_properties_take_parameters(command: typer.Typer) -> None:
    asked = ["--property", "group-truthful(members=1)", "--property", "approximation(ratio='1/2')"]
    result = CliRunner().invoke(command, ["vcg", "--json", *SMALL, *asked])
    names = [finding["property"] for finding in json.loads(result.stdout)["findings"]]
    assert names == ["group-truthful(1)", "approximation(1/2)"] and result.exit_code == 0


def test_a_guided_search(command: typer.Typer) -> None:
    result = CliRunner().invoke(
        command, ["pay-as-bid", "--guided", "--sample", "9", "--json", "--property", "truthful"]
    )
    assert result.exit_code == 1 and "guided by Hypothesis" in json.loads(result.stdout)["findings"][0]["note"]


def test_a_grid_shared_out_kept_and_reduced(command: typer.Typer, tmp_path: Path) -> None:
    more = ["--resume", str(tmp_path / "sweep.sqlite"), "--symmetry", "--limit", "81", "--workers", "2"]
    result = CliRunner().invoke(command, ["vcg", "--json", *SMALL, *more])
    assert result.exit_code == 0 and (tmp_path / "sweep.sqlite").exists()
    assert "no two bidders are interchangeable" in json.loads(result.stdout)["findings"][0]["note"]
    refused = CliRunner().invoke(command, ["vcg", *SMALL, "--limit", "80"])
    assert isinstance(refused.exception, AuditError) and "limit 80" in str(refused.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ray", "--workers", "2"], "give one"),
        (["--reals", "--private-costs", "0..1"], "for grids and samples"),
        (["--guided"], "give --sample N"),
    ],
)
def test_options_that_exclude_each_other(command: typer.Typer, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(command, ["vcg", *arguments])
    assert result.exit_code == 2 and message in result.output


def test_every_tie_break(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["posted-price", "--ties", "all", "--property", "truthful", *SMALL])
    assert result.exit_code == 1
    assert "ties broken in every way (all)" in result.output
    [expression] = [line for line in result.output.splitlines() if line.startswith("__import__")]
    assert expression.endswith(", ties='all')") and eval(expression) == 1


def test_markets_with_ties_can_be_left_out(command: typer.Typer) -> None:
    options = ["posted-price", "--ties", "refuse", "--property", "truthful", *SMALL]
    # Untied are 6 of bidder 0's 9 types, those with a favourite, times 6 of bidder 1's, who wants what is left.
    shown = CliRunner().invoke(command, options)
    assert shown.exit_code == 0 and "truthful: 45 of 81 profiles tie and are left out" in shown.output
    data = json.loads(CliRunner().invoke(command, [*options, "--json"]).stdout)
    assert "markets with ties left out (refuse)" in data["scope"]
    assert data["findings"][0]["note"] == "45 of 81 profiles tie and are left out"


def test_json_shows_the_ties_of_a_counterexample(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["pay-as-bid", "--ties", "all", "--property", "truthful", "--json", *SMALL])
    assert json.loads(result.stdout)["findings"][0]["counterexample"]["ties"] == "all"


@pytest.mark.parametrize("scope", [["--reals"], ["--sample", "5"]])
def test_ties_are_a_matter_of_grids(command: typer.Typer, scope: list[str]) -> None:
    assert CliRunner().invoke(command, ["vcg", "--ties", "all", *scope]).exit_code == 2


def test_sampling(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["pay-as-bid", "--sample", "5", "--seed", "7", "--bidders", "6", "--json"])
    data = json.loads(result.stdout)
    assert result.exit_code == 1
    assert data["scope"].startswith("5 random markets of 6 bidders") and "seed 7" in data["scope"]
    assert {finding["status"] for finding in data["findings"]} == {"REFUTED", "UNKNOWN"}


def test_a_strangers_rule_in_a_file_of_his_own(
    command: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules_of_a_stranger.py").write_text(
        "from mechanisms import VCG, Payments\n"
        "class HalfPrice:\n"
        "    def charge(self, market, allocation, allocator):\n"
        "        exact = VCG().charge(market, allocation, allocator)\n"
        "        return Payments(exact.charges // 2, exact.receipts)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    result = CliRunner().invoke(command, ["rules_of_a_stranger:HalfPrice", "--json", *SMALL])
    assert result.exit_code == 1, result.output
    truthful = json.loads(result.stdout)["findings"][0]
    assert truthful["note"] == "replayed in a fresh process"
    misreport = truthful["counterexample"]
    assert misreport["amount"] == violation(
        "truthful",
        "rules_of_a_stranger:HalfPrice",
        bidder=misreport["misreport"]["bidder"],
        misreport=misreport["misreport"]["rows"],
        **misreport["truth"],
    )


@pytest.mark.parametrize("option", ["--values", "--costs", "--capacity"])
def test_malformed_numbers_exit_with_2(command: typer.Typer, option: str) -> None:
    assert CliRunner().invoke(command, ["vcg", option, "many"]).exit_code == 2


def test_a_file_that_cannot_be_saved_is_refused_before_the_audit(command: typer.Typer, tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["vcg", "--save", str(tmp_path / "nowhere" / "found.json")])
    assert result.exit_code == 2 and "there is no folder" in result.output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["vcg", "--values", "0..40"], AuditError),
        (["vcg", "--property", "fair"], AuditError),
        (["vcg", "--ties", "some"], AuditError),
        (["vickrey", "--agents", "2"], MechanismError),
    ],
)
def test_senseless_questions_raise_typed_errors(
    command: typer.Typer, arguments: list[str], error: type[Exception]
) -> None:
    assert isinstance(CliRunner().invoke(command, arguments).exception, error)


def test_the_bar_waits_before_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    times = iter([0.0, 1.0, 3.0, 4.0])
    console = Console(force_terminal=True, width=100)
    with PatientBar(console, clock=lambda: next(times)) as bar:
        bar(1, 8)
        assert capsys.readouterr().out == ""
        bar(3, 8)
        bar(4, 8)
    assert "1/s, 4 s left" in capsys.readouterr().out


def test_help_has_an_example(command: typer.Typer) -> None:
    assert "iemas audit vcg --allocator greedy" in CliRunner().invoke(command, ["--help"]).output


def test_reruns_are_counted_and_what_they_are_worth_is_printed(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["vcg", "--values", "0..3", "--reruns", "40", "--json"])
    note = json.loads(result.stdout)["findings"][0]["note"]
    assert result.exit_code == 0 and note.startswith("40 of 4,096 profiles asked through run_many, and through run")
    assert note.endswith("with probability 32.6 %")


def test_what_is_proved_says_of_what(command: typer.Typer) -> None:
    result = CliRunner().invoke(
        command, ["vcg", "--reals", "--bidders", "2", "--agents", "1", "--property", "truthful"]
    )
    assert result.exit_code == 0
    assert "truthful: PROVED of the description, the object AGREES (" in result.output
