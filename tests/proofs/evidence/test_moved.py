"""Evidence written by version 0.1.0 is still read, and says the same."""

import json
from pathlib import Path

import pytest

from mechanisms import find_mechanism
from mechanisms.rules.paper import PaperRouter
from proofs import Counterexample

RECORDED = json.loads(Path(__file__).with_name("version_0_1_0.json").read_text())


def named(record: dict[str, object]) -> str:
    case = record["json"]
    return str(case["property"]["name"]) if isinstance(case, dict) else "several rounds"


@pytest.mark.parametrize("record", [record for record in RECORDED if record["expression"]], ids=named)
def test_an_old_expression_still_has_its_amount(record: dict[str, object]) -> None:
    assert eval(str(record["expression"])) == record["amount"]


@pytest.mark.parametrize("record", [record for record in RECORDED if record["json"]], ids=named)
def test_an_old_file_still_reads_as_the_same_counterexample(record: dict[str, object]) -> None:
    found = Counterexample.from_json(json.dumps(record["json"]))
    again = Counterexample.from_json(found.to_json())
    assert found.amount == again.amount == record["amount"]
    assert (found.misreport, found.deviating) == (again.misreport, again.deviating)
    assert found.truth.values.tolist() == again.truth.values.tolist()
    assert not {"lie", "lying"} & set(json.loads(found.to_json()))


def test_an_old_module_is_found_under_its_old_name() -> None:
    assert type(find_mechanism("mechanisms.paper:PaperRouter")) is PaperRouter
