import json
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from experiments.commands.mechanisms import mark, mechanisms
from experiments.matrix import examine, rows
from mechanisms import MechanismError
from mechanisms.promises import Domain


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(mechanisms)
    return app


def test_the_matrix_of_one_rule_with_its_smallest_counterexample(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--rule", "paper-router"])
    assert result.exit_code == 0, result.output
    assert "paper-router: truthful fails: bidder 0 reports [0] instead of [2] and gains 1" in result.output
    assert "paper-router: no-deficit fails: the house takes 0, pays 1 and loses 1" in result.output
    assert "paper-router: individually-rational fails" in result.output and "fails on 2/2" in result.output


def test_marks_tell_kept_from_partly_kept_and_broken() -> None:
    [row] = rows("vickrey")
    cells = examine(row)
    assert [mark(cell) for cell in cells] == ["kept 2/2"] * 3 + ["in part, fails on 1/2"]
    boast = replace(cells[3], promise=Domain.EVERYWHERE)
    assert mark(boast) == "BROKEN on 1/2" and mark(replace(boast, promise=None)) == "fails on 1/2"
    assert mark(replace(cells[0], promise=None)) == "holds 2/2"


def test_json_names_promise_spaces_and_evidence(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--rule", "vickrey", "--json"])
    assert result.exit_code == 0, result.output
    cells = {cell["property"]: cell for cell in json.loads(result.output)}
    assert cells["truthful"]["promised"] == "every market" and cells["truthful"]["counterexample"] is None
    assert [space["status"] for space in cells["efficient"]["spaces"]] == ["REFUTED", "VERIFIED"]
    assert cells["efficient"]["counterexample"]["amount"] > 0 and not cells["efficient"]["broken"]


def test_an_unknown_rule_is_an_error(command: typer.Typer) -> None:
    with pytest.raises(MechanismError, match="no rule 'vgc'"):
        CliRunner().invoke(command, ["--rule", "vgc"], catch_exceptions=False)
