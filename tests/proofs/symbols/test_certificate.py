"""Certificates prove their claims to a checker that stands alone, and nothing else passes for one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proofs import AuditError, Efficient, IndividuallyRational, NoDeficit, Property, Reals, Truthful, check
from proofs.symbols.certificate import Certificate

CERTIFIED: tuple[Property, ...] = (Truthful(), IndividuallyRational(), NoDeficit())
CHECKER = Path(check.__file__)


def stand_alone(file: Path) -> "subprocess.CompletedProcess[str]":
    """The checker without site-packages, without environment, without our package."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(CHECKER), str(file)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("prop", CERTIFIED, ids=lambda prop: prop.name)
def test_the_checker_needs_nothing_but_the_standard_library(prop: Property, tmp_path: Path) -> None:
    file = tmp_path / "certificate.json"
    Certificate.of(prop, Reals(3, 3).space).write(file)
    checked = stand_alone(file)
    assert checked.returncode == 0 and checked.stdout.startswith(f'PROVED: {{"property": "{prop.name}"')


def test_run_as_a_module_the_checker_begins_again_without_the_package(tmp_path: Path) -> None:
    file = tmp_path / "certificate.json"
    Certificate.of(NoDeficit(), Reals(2, 2).space).write(file)
    told = f"import sys, os; os.execv = lambda *call: print(call[1][1:]); sys.argv[1:] = [{str(file)!r}]"
    script = f"{told}; import runpy; runpy.run_module('proofs.check', run_name='__main__', alter_sys=True)"
    again = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=CHECKER.parents[1]
    )
    assert again.stdout.splitlines()[0] == str(["-I", "-S", str(CHECKER), str(file)])
    checked = [sys.executable, "-m", "proofs.check", str(file)]
    proved = subprocess.run(checked, capture_output=True, text=True, check=False, cwd=CHECKER.parents[1])
    assert proved.returncode == 0 and proved.stdout == stand_alone(file).stdout
    file.write_text("{}")
    refused = subprocess.run(checked, capture_output=True, text=True, check=False, cwd=CHECKER.parents[1])
    assert refused.returncode == 1 and refused.stderr.startswith("refused")


def endless(scope: Reals) -> str:
    """A certificate one of whose numbers is infinite."""
    return json.dumps(Certificate.of(Truthful(), scope.space).as_dict()).replace('"1"', "Infinity", 1)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "no json",
        '{"format": "iemas certificate 1", "claim": {}, "proof": []}',
        "[" * 100_000,
        endless(Reals(2, 1)),
    ],
    ids=["object", "list", "text", "empty", "deep", "infinite"],
)
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "certificate.json"
    file.write_text(text)
    refused = stand_alone(file)
    assert refused.returncode == 1 and refused.stderr.startswith("refused")


def test_the_checker_fits_on_two_screens() -> None:
    assert len(CHECKER.read_text().splitlines()) < 100


@pytest.mark.parametrize("prop", CERTIFIED, ids=lambda prop: prop.name)
@pytest.mark.parametrize(
    "scope", [Reals(1, 1), Reals(2, 2, (2, 1)), Reals(2, 2, owners=(1, 0, 1)), Reals(2, 1, 0)], ids=str
)
def test_certificates_check_at_every_shape(prop: Property, scope: Reals) -> None:
    assert Certificate.of(prop, scope.space).check() > 0


def mutations(value: Any) -> Iterator[Any]:
    """Every copy with one entry changed, removed or doubled."""
    match value:
        case bool() | None:
            return
        case int():
            yield from (value - 1, value + 1, value + 1000, str(value), float(value) + 0.5, None)
        case str():
            yield from (value + "x", "", "2", "-1", "0", "1/2", 1.5, None)
        case list():
            for index, item in enumerate(value):
                yield value[:index] + value[index + 1 :]
                yield value[: index + 1] + value[index:]
                for other in mutations(item):
                    yield [*value[:index], other, *value[index + 1 :]]
        case dict():
            for key, item in value.items():
                rest = {name: part for name, part in value.items() if name != key}
                yield rest
                yield {**rest, key + "x": item}
                for other in mutations(item):
                    yield {**rest, key: other}


@pytest.mark.parametrize("prop", CERTIFIED, ids=lambda prop: prop.name)
def test_no_certificate_survives_a_change_of_any_entry(prop: Property) -> None:
    genuine = Certificate.of(prop, Reals(2, 1).space).as_dict()
    assert check.verify(genuine) > 0
    tried = 0
    for tampered in mutations(genuine):
        if tampered == genuine:
            continue
        tried += 1
        with pytest.raises((ValueError, LookupError, TypeError, AttributeError, ZeroDivisionError)):
            check.verify(tampered)
    assert tried > 80


@pytest.mark.parametrize("prop", CERTIFIED, ids=lambda prop: prop.name)
def test_a_boolean_is_no_number_though_python_counts_with_it(prop: Property) -> None:
    """JSON's true and false compare equal to 1 and 0, so equality does not tell them apart."""
    genuine: Any = Certificate.of(prop, Reals(2, 1).space).as_dict()
    changed = [
        (step, k, place)
        for step, triples in enumerate(genuine["proof"])
        for k, triple in enumerate(triples)
        for place in (0, 1)
        if triple[place] in (0, 1)
    ]
    assert changed
    for step, k, place in changed:
        other = json.loads(json.dumps(genuine))
        other["proof"][step][k][place] = bool(other["proof"][step][k][place])
        with pytest.raises(ValueError, match="no row"):
            check.verify(other)
    for key in ("owners", "capacities"):
        other = json.loads(json.dumps(genuine))
        other["claim"][key][0] = bool(other["claim"][key][0])
        with pytest.raises(ValueError, match="must count from 0"):
            check.verify(other)


def test_a_false_claim_has_no_proof_among_sums_of_rows() -> None:
    """The same rows for fewer slots, for another owner, and for a property that is not theirs."""
    genuine = Certificate.of(Truthful(), Reals(2, 2).space).as_dict()
    for change in ({"capacities": [1, 2]}, {"owners": [0, 0]}, {"property": "efficient"}, {"choice": "greedy"}):
        with pytest.raises(ValueError, match=r"proofs for|add up|claim about"):
            check.verify({**genuine, "claim": {**genuine["claim"], **change}})  # type: ignore[dict-item]


def test_no_certificate_is_made_up_for_other_properties() -> None:
    with pytest.raises(AuditError, match="no certificate of efficient"):
        Certificate.of(Efficient(), Reals(2, 2).space)


def test_a_spoiled_certificate_does_not_check() -> None:
    with pytest.raises(AuditError, match="do not add up"):
        Certificate("truthful", Reals(1, 1).space, (((0, 1),),) * 4).check()


def test_the_written_file_says_what_it_claims(tmp_path: Path) -> None:
    file = tmp_path / "certificate.json"
    certificate = Certificate.of(NoDeficit(), Reals(2, 2, owners=(1, 0, 1)).space)
    certificate.write(file)
    assert json.loads(file.read_text())["claim"] == {**check.SENSE, "property": "no-deficit", "owners": [0, 1, 0],
                                                     "capacities": [1, 1]}  # fmt: skip
