"""`iemas audit --reals`: exit codes, and proofs that end up in files."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from experiments.commands.auditing.audit import audit
from proofs import check

pytestmark = pytest.mark.usefixtures("replayed_here")


@pytest.fixture(scope="module")
def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(audit)
    return app


def test_proofs_are_written_where_they_can_be_checked(command: typer.Typer, tmp_path: Path) -> None:
    asked = ["vcg", "--reals", "--bidders", "2", "--costs", "1", "--certificates", str(tmp_path)]
    result = CliRunner().invoke(command, asked)
    assert result.exit_code == 0 and "every tie-break" in result.output and "PROVED" in result.output
    assert sorted(file.stem for file in tmp_path.iterdir()) == ["individually-rational", "no-deficit", "truthful"]
    for file in tmp_path.iterdir():
        assert check.verify(json.loads(file.read_text())) > 0


def test_a_refutation_exits_with_1(command: typer.Typer) -> None:
    asked = ["pay-as-bid", "--reals", "--bidders", "2", "--agents", "1", "--values", "0..1", "--property", "truthful"]
    result = CliRunner().invoke(command, asked)
    assert result.exit_code == 1 and "all real values in [0, 1]" in result.output and "gains" in result.output


@pytest.mark.parametrize("more", [["--sample", "3"], ["--certificates", "/proc/no/such/folder"]])
def test_senseless_combinations_exit_with_2(command: typer.Typer, more: list[str]) -> None:
    assert CliRunner().invoke(command, ["vcg", "--reals", *more]).exit_code == 2


@pytest.mark.parametrize("second", [False, True])
def test_a_second_opinion_is_asked_for_and_named(command: typer.Typer, second: bool) -> None:
    asked = ["vcg", "--reals", "--bidders", "2", "--agents", "1", "--costs", "1", "--json"]
    result = CliRunner().invoke(command, [*asked, *(["--second-opinion"] if second else [])])
    assert result.exit_code == 0
    for finding in json.loads(result.stdout)["findings"]:
        assert finding["status"] == "PROVED" and ("z3 and cvc5 agree" in finding["note"]) is second


def test_a_second_opinion_about_a_grid_is_refused(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["vcg", "--second-opinion"])
    assert result.exit_code == 2 and "--reals" in result.output
