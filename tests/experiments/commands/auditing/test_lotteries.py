"""`iemas audit` of a mechanism that draws lots: a table, JSON, exit codes and replays as for any other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from experiments.cli import app
from experiments.commands.failures import one_line

ONE = ("--bidders", "2", "--agents", "1", "--values", "0..2")

LOTS = """
import os
from allocation import MinCostFlow
from mechanisms import VCG, Lottery, Mechanism, Mixture, PayAsBid

EXACT, DEAR = Mechanism(MinCostFlow(), VCG()), Mechanism(MinCostFlow(), PayAsBid())
FAIR = Mixture((EXACT,), (1,))

class Dear:
    def draw(self, market):
        return Lottery((EXACT.run(market), DEAR.run(market)), (2, 1))
class Exits:
    def draw(self, market):
        os._exit(7)
class Nothing:
    def draw(self, market):
        return None
"""


@pytest.fixture(autouse=True)
def lots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lots.py").write_text(LOTS)
    monkeypatch.chdir(tmp_path)


def audit(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


def test_what_holds_is_a_table_and_exit_code_0() -> None:
    done = audit("lots:FAIR", *ONE)
    assert done.exit_code == 0 and done.stdout.count("VERIFIED") == 5
    assert "truthful-in-expectation" in done.stdout and "2 bidders x 1 agent" in done.stdout


@pytest.mark.slow
def test_what_is_refuted_is_shown_with_its_expression_and_replays() -> None:
    done = audit("./lots.py:Dear", *ONE, "--property", "truthful-in-expectation", "--save", "found.json")
    assert done.exit_code == 1 and "REFUTED" in done.stdout and "in expectation" in done.stdout
    [expression] = [line for line in done.stdout.splitlines() if line.startswith('__import__("proofs")')]
    again = [sys.executable, "-c", f"print({expression})"]
    assert subprocess.run(again, capture_output=True, text=True, check=True).stdout == "1/3\n"
    replayed = subprocess.run(
        [sys.executable, "-m", "proofs.replay", "found.json"], capture_output=True, text=True, check=False
    )
    assert (replayed.returncode, replayed.stdout) == (0, "truthful-in-expectation: happens again, by 1/3\n")
    Path("lots.py").write_text(LOTS.replace("(2, 1)", "(3, 1)"))
    changed = subprocess.run(
        [sys.executable, "-m", "proofs.replay", "found.json"], capture_output=True, text=True, check=False
    )
    assert changed.returncode == 3 and "amount was 1/3, now 1/4" in changed.stderr


def test_json_is_the_report_alone() -> None:
    done = audit("lots:Dear", *ONE, "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 1 and told["mechanism"] == {"is": "Dear", "name": "lots:Dear", "allocator": None}
    assert [found["status"] for found in told["findings"]].count("REFUTED") == 1


def test_a_single_type_is_unknown_and_exit_code_3(audited_here: None) -> None:
    nobody = ("--bidders", "1", "--agents", "1", "--values", "2", "--property", "truthful-in-expectation")
    assert audit("lots:FAIR", *nobody).exit_code == 3
    assert audit("lots:FAIR", *nobody, "--allow-unknown").exit_code == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("lots:Nothing", *ONE), "Nothing returned NoneType on Market"),
        (("lots:FAIR", *ONE, "--allocator", "greedy"), "draws lots; leave --allocator out"),
        (("lots:FAIR", "--sample", "9"), "draws lots; leave --sample out"),
        (("lots:FAIR", "--reals"), "draws lots; leave --reals out"),
        (("lots:FAIR", *ONE, "--workers", "2"), "draws lots; leave --workers out"),
        (("lots:FAIR", *ONE, "--property", "truthful"), "no claim about lotteries is called 'truthful'"),
    ],
)
def test_what_makes_no_sense_is_one_line(asked: tuple[str, ...], said: str, audited_here: None) -> None:
    done = audit(*asked)
    assert isinstance(done.exception, Exception) and done.stdout == ""
    line = one_line(done.exception)
    assert said in line and "\n" not in line


def test_one_that_ends_its_process_is_one_line() -> None:
    line = one_line(audit("lots:Exits", *ONE).exception)
    assert "ended the process of the audit before it could answer: exit status 7" in line and "\n" not in line


def test_who_asks_for_an_audit_of_sure_outcomes_is_told_where_lotteries_are_audited() -> None:
    import proofs
    from mechanisms import MechanismError

    with pytest.raises(MechanismError, match=r"it draws lots.*audit_lotteries"):
        proofs.audit("lots:Dear")
