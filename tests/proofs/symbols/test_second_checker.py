"""Two checkers, one written from the page alone, agree on what ships and on everything that was tampered with."""

import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any

import pytest

import mechanisms
from allocation import MinCostFlow
from mechanisms import VCG, Mechanism
from proofs import IndividuallyRational, NoDeficit, Property, Reals, Truthful, audit, check
from proofs.symbols.certificate import About, Certificate
from proofs.symbols.sources import fingerprint
from tests.proofs.symbols.second_checker import RefusedError, accepts

CERTIFIED: tuple[Property, ...] = (Truthful(), IndividuallyRational(), NoDeficit())
ABOUT = About("somebody's", "0" * 64, "on nothing")

SHAPES = [
    *(Reals(bidders, agents) for bidders, agents in product(range(1, 4), range(1, 3))),
    Reals(2, 2, (2, 1)),
    Reals(2, 2, owners=(1, 0, 1)),
    Reals(2, 1, 2, owners=(0, 0, 1)),
    Reals(2, 1, 0),
]


@dataclass(frozen=True)
class Part:
    """A mechanism with a function in a mapping."""

    prices: Mapping[str, Callable[[Any], int]]


def verdict(checker: Any, file: Any) -> int | None:
    try:
        steps: int = checker(file)
    except (RefusedError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        return None
    return steps


def corrupted(genuine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each number changed, each triple dropped, added twice, each obligation dropped; some of many."""
    proof = genuine["proof"]

    def changed(step: int, k: int, place: int, number: object) -> dict[str, Any]:
        """Only what changes is copied: a proof has thousands of triples."""
        triple, triples = [*proof[step][k]], [*proof[step]]
        triple[place], triples[k] = number, triple
        return {**genuine, "proof": [*proof[:step], triples, *proof[step + 1 :]]}

    where = [(step, k) for step, triples in enumerate(proof) for k in range(len(triples))]
    for step, k in where[:: 1 + len(where) // 25]:
        for place, change in [(0, 1), (0, -1), (1, 1), (1, -1), (1, 1000), (0, None), (1, 0.5), (0, True), (1, True)]:
            was = proof[step][k][place]
            yield changed(step, k, place, None if change is None else bool(was) if change is True else was + change)
        for number in ("2", "1/2", "0", "-1", "01", "2/2", "1/1", " 1", "1.0", "", "+1", 1, None):
            yield changed(step, k, 2, number)
        for triples in (proof[step][:k] + proof[step][k + 1 :], proof[step] + [proof[step][k]]):
            yield {**genuine, "proof": [*proof[:step], triples, *proof[step + 1 :]]}
        yield {**genuine, "proof": proof[:step] + proof[step + 1 :]}
    claim = genuine["claim"]
    for key in ("owners", "capacities"):
        for index, number in enumerate(claim[key]):
            for wrong in (number + 1, number - 1, str(number), 9):
                yield {**genuine, "claim": {**claim, key: [*claim[key][:index], wrong, *claim[key][index + 1 :]]}}
        yield {**genuine, "claim": {**claim, key: claim[key][1:]}}
    for name in ("truthful", "individually-rational", "no-deficit", "efficient"):
        yield {**genuine, "claim": {**claim, "property": name}}
    yield {**genuine, "format": "iemas certificate 2"}
    yield {**genuine, "about": {}}
    yield {**genuine, "about": {"mechanism": "", "sources": "", "agreement": 1}}
    yield {**genuine, "more": 1}


@pytest.mark.parametrize("prop", CERTIFIED, ids=lambda prop: prop.name)
@pytest.mark.parametrize("scope", SHAPES, ids=str)
def test_both_checkers_agree(prop: Property, scope: Reals) -> None:
    for about in (None, ABOUT):
        genuine = Certificate.of(prop, scope.space, about).as_dict()
        assert verdict(accepts, genuine) == check.verify(genuine) > 0
    refused = 0
    for tampered in chain(corrupted(genuine)):
        first, second = verdict(check.verify, tampered), verdict(accepts, tampered)
        assert first == second, tampered["claim"]
        refused += first is None
    assert refused > 15


def test_a_proof_in_fractions_is_accepted_by_both() -> None:
    genuine: dict[str, Any] = Certificate.of(NoDeficit(), Reals(2, 1).space).as_dict()
    [first, *_] = genuine["proof"]
    optimum, rival, _one = first[0]
    split = [[optimum, rival, "1/3"], [optimum, rival, "2/3"], *first[1:]]
    genuine["proof"][0] = split
    assert check.verify(genuine) == accepts(genuine)


def test_the_page_alone_does_not_import_the_checker() -> None:
    source = (Path(__file__).parent / "second_checker.py").read_text()
    assert {line for line in source.splitlines() if line.startswith(("import", "from"))} == {
        "import re", "from fractions import Fraction", "from typing import Any",
    }  # fmt: skip


def test_a_certificate_names_the_mechanism_and_the_comparison() -> None:
    vcg = Mechanism(MinCostFlow(), VCG())
    found = audit(vcg, Reals(2, 1), ["truthful"])["truthful"].certificate
    assert found is not None and found.about is not None
    assert "VCG" in found.about.mechanism and found.about.sources == fingerprint(vcg)
    assert "AGREES with its description on" in found.about.agreement
    assert accepts(found.as_dict()) == check.verify(found.as_dict())


def sources(*modules: tuple[str, Path]) -> str:
    """The checksum of the page: modules by name, then the rooms that decide, by path."""
    home = Path(mechanisms.__file__).parents[1]
    rooms = [path for room in ("allocation", "mechanisms") for path in (home / room).rglob("*.py")]
    parts = [(name, path) for name, path in sorted(modules)]
    parts += sorted((path.relative_to(home).as_posix(), path) for path in rooms)
    return hashlib.sha256(
        b"".join(name.encode() + b"\0" + path.read_bytes() + b"\0" for name, path in parts)
    ).hexdigest()


@pytest.mark.parametrize("imports", ["import helper_of_mine", "from helper_of_mine import LESS"])
@pytest.mark.parametrize("where", ["at the top", "in a function"])
def test_a_helper_that_changes_is_another_certificate(
    imports: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helper_of_mine.py").write_text("LESS = 0\n")
    within = f"class Mine:\n    def less(self):\n        {imports}\n"
    rule = tmp_path / "rule_with_help.py"
    rule.write_text(within if where == "in a function" else f"{imports}\nclass Mine:\n    pass\n")
    for gone in ("rule_with_help", "helper_of_mine"):
        monkeypatch.delitem(sys.modules, gone, raising=False)
    mine = importlib.import_module("rule_with_help").Mine()
    before = fingerprint(mine)
    assert before == sources(("rule_with_help", rule), ("helper_of_mine", tmp_path / "helper_of_mine.py"))
    if where == "in a function":
        importlib.import_module("helper_of_mine")
        assert fingerprint(mine) == before, "whether the function has run yet must not matter"
    (tmp_path / "helper_of_mine.py").write_text("LESS = 1\n")
    assert fingerprint(mine) != before


def test_a_function_that_is_a_part_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "price_of_mine.py").write_text("def price(market):\n    return 0\n")
    monkeypatch.delitem(sys.modules, "price_of_mine", raising=False)
    part = Part({"price": importlib.import_module("price_of_mine").price})
    before = fingerprint(part)
    (tmp_path / "price_of_mine.py").write_text("def price(market):\n    return 1\n")
    assert fingerprint(part) != before


def test_the_fingerprint_is_that_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = "from mechanisms import Mechanism\n\nclass Mine:\n    pass\n"
    (tmp_path / "rule_of_mine.py").write_text(rule)
    monkeypatch.syspath_prepend(tmp_path)
    import rule_of_mine  # type: ignore[import-not-found]

    mine = rule_of_mine.Mine()
    file = tmp_path / "rule_of_mine.py"
    before = fingerprint(mine)
    assert before == sources(("rule_of_mine", file))
    (tmp_path / "rule_of_mine.py").write_text(rule + "#\n")
    assert before != fingerprint(mine) == sources(("rule_of_mine", file))
    assert fingerprint(Mechanism(MinCostFlow(), VCG())) != fingerprint(mechanisms.PayAsBid())
