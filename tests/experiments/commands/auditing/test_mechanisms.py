import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from experiments.commands.auditing.mechanisms import mark, mechanisms
from experiments.studies.matrix import TABLES, rows
from experiments.studies.matrix.rules import OF_BIDDERS, RuleRow
from mechanisms import MechanismError
from mechanisms.promises import Domain, entailed

pytestmark = pytest.mark.usefixtures("replayed_here")


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(mechanisms)
    return app


def test_the_matrix_of_one_rule_with_its_smallest_counterexample(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--rule", "paper-router"])
    assert result.exit_code == 0, result.output
    assert "paper-router: truthful fails: bidder 0 reports [0] instead of [2] and gains 1" in result.output
    assert "paper-router: no-deficit fails: the auctioneer takes 0, pays 1 and loses 1" in result.output
    assert "paper-router: individually-rational fails" in result.output and "fails 2/2" in result.output
    assert "paper-router: truthful-agents fails: agent 0 reports costs" in result.output
    titles = (
        "bidders may misreport",
        "agents may misreport about costs and capacity",
        "on average over a uniform prior",
    )
    assert all(title in result.output for title in titles) and "over two and three rounds" not in result.output


def test_agv_is_honest_on_average_alone(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--rule", "expected-externality"])
    assert result.exit_code == 0, result.output
    assert "expected-externality: truthful-both fails" in result.output
    assert "expected-externality: bayesian-truthful fails" not in result.output
    assert "expected-externality: interim-rational fails: bidder 0" in result.output


def test_settlements_are_rows_with_their_own_properties(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--rule", "on-prediction"])
    assert result.exit_code == 0, result.output
    assert "no-deficit-in-any-run fails: the auctioneer loses 1 where request 0 costs 2 and succeeds" in result.output
    assert "costs off by -1 or 1, success 3/4" in result.output


def test_markdown_has_every_table_and_failure(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--rule", "vickrey", "--markdown"])
    assert result.exit_code == 0, result.output
    assert (
        "| vickrey over by-value | kept 3/3 | kept 3/3 | kept 3/3 | fails 3/3 | in part, fails 2/3 |" in result.output
    )
    assert "**vickrey over by-value**: truthful-agents fails: agent 0 reports" in result.output
    assert "vickrey over by-value promises efficient on markets in which" in result.output


def test_marks_tell_kept_from_partly_kept_and_broken() -> None:
    [row] = rows("vickrey")
    cells = {cell.prop: cell for cell in row.examine(lambda steps: None)}
    marks = [mark(cells[name]) for name in ("truthful", "balanced", "efficient")]
    assert marks == ["kept 3/3", "fails 3/3", "in part, fails 2/3"]
    efficient, truthful = cells["efficient"], cells["truthful"]
    boast = replace(
        efficient,
        promise=Domain.EVERYWHERE,
        trials=tuple(replace(trial, inside=True) for trial in efficient.trials),
    )
    assert mark(boast) == "BROKEN 2/3" and mark(replace(efficient, promise=None)) == "fails 2/3"
    assert mark(replace(truthful, promise=None)) == "holds 3/3" and mark(replace(truthful, trials=())) == "-"


def test_json_has_everything_the_tables_have(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--rule", "vickrey", "--json"])
    assert result.exit_code == 0, result.output
    cells = {cell["property"]: cell for cell in json.loads(result.output)}
    shown = {name for table in TABLES[:3] for name in table.properties}
    assert set(cells) == shown and {cell["table"] for cell in cells.values()} == {table.title for table in TABLES[:3]}
    assert cells["truthful"]["promised"] == "every market" and cells["truthful"]["counterexample"] is None
    efficient = cells["efficient"]
    assert [(space["status"], space["promised"]) for space in efficient["spaces"]] == [
        ("REFUTED", False),
        ("VERIFIED", True),
        ("REFUTED", False),
    ]
    assert efficient["counterexample"]["amount"] > 0 and not efficient["broken"]
    assert efficient["mark"] == "in part, fails 2/3" and efficient["counterexample"]["shown"].startswith("efficient")


def test_one_rule_over_one_allocator(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--rule", "posted-price", "--allocator", "random", "--markdown"])
    assert result.exit_code == 0, result.output
    assert "| posted-price over random | kept 13/13 | fails 5/13 |" in result.output
    assert "over first-come" not in result.output


def test_every_pair_of_a_rule_with_the_reason_where_it_is_refused(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--rule", "vickrey", "--pairs", "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert "vickrey over by-value" in result.output and "the rule declines the allocator" in result.output
    assert "│ vickrey over greedy          │ refused 26/26 │" in result.output
    reason = "vickrey over greedy is refused: Vickrey prices what ByValue() allocates, not Greedy; use VCG there"
    assert f"\n{reason}\n" in result.output


def test_a_refusal_is_told_in_json_and_markdown(command: typer.Typer) -> None:
    asked = ["--rule", "clearing-price", "--allocator", "greedy"]
    [cell] = json.loads(CliRunner().invoke(command, [*asked, "--json"]).output)
    assert (cell["property"], cell["mark"], cell["broken"]) == ("refused", "refused 26/26", False)
    assert cell["refusal"].startswith("Greedy proves no optimality") and cell["counterexample"] is None
    shown = CliRunner().invoke(command, [*asked, "--markdown"]).output
    assert "| clearing-price over greedy | refused 26/26 |" in shown
    assert "clearing-price over greedy is refused: Greedy proves no optimality" in shown


def test_the_page_on_rules_shows_what_is_promised_over_random() -> None:
    page = (Path(__file__).parents[4] / "docs" / "rules.md").read_text().splitlines()
    shown = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in page if " over random |" in line}
    audited = {str(row): row for row in rows(allocator="random") if isinstance(row, RuleRow)}
    assert list(shown) == list(audited)
    for name, cells in shown.items():
        kept = entailed(audited[name].promises)
        assert [cell.startswith(" kept") for cell in cells] == [prop.name in kept for prop in OF_BIDDERS], name


def test_an_unknown_allocator_is_an_error(command: typer.Typer) -> None:
    with pytest.raises(MechanismError, match="no allocator 'gredy' in the matrix; it has min-cost-flow"):
        CliRunner().invoke(command, ["--allocator", "gredy"], catch_exceptions=False)


def test_an_unknown_rule_is_an_error(command: typer.Typer) -> None:
    with pytest.raises(MechanismError, match="no rule 'vgc'"):
        CliRunner().invoke(command, ["--rule", "vgc"], catch_exceptions=False)
