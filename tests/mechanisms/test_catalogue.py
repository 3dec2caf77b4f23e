import sys
from pathlib import Path

import pytest

from allocation import BruteForce, Greedy, Market, MinCostFlow
from mechanisms import VCG, FirstCome, Mechanism, MechanismError, PostedPrice, find_allocator, find_mechanism
from mechanisms.catalogue import ALLOCATORS, RULES, WHOLE, promised, refuses
from mechanisms.promises import Domain
from mechanisms.rules.affine import ReserveVCG

pytestmark = pytest.mark.usefixtures("replayed_here")

RULE = """
from mechanisms import Mechanism, Payments, VCG
from allocation import MinCostFlow

class HalfPrice:
    def charge(self, market, allocation, allocator):
        exact = VCG().charge(market, allocation, allocator)
        return Payments(exact.charges // 2, exact.receipts)

class Costly:
    def __init__(self, price):
        self.price = price

whole = Mechanism(MinCostFlow(), HalfPrice())
nothing = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "stranger_rules.py").write_text(RULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return "stranger_rules"


def test_every_shipped_name_runs() -> None:
    market = Market([[5, 3], [4, 1]], [[1, 1], [1, 1]], [1, 1])
    for rule in RULES:
        for allocator in ALLOCATORS:
            try:
                outcome = find_mechanism(rule, allocator).run(market)
            except MechanismError as refusal:
                # A rule may decline an allocator or a market, if it names what to take in its place.
                assert "take" in str(refusal) or "use VCG" in str(refusal)
            else:
                market.check(outcome.allocation)
    roomy, alike = market.replace(capacities=[2, 2]), market.replace(values=[[5, 5], [4, 4]])
    for whole in WHOLE:
        seen = alike if whole == "trade-reduction" else roomy
        seen.check(find_mechanism(whole).run(seen).allocation)


def test_whole_mechanisms_take_an_allocator_where_they_have_one() -> None:
    assert find_mechanism("vcg-reserve", "brute-force") == ReserveVCG(BruteForce())
    with pytest.raises(MechanismError, match="takes no allocator"):
        find_mechanism("paper-router", "greedy")


def test_promises_depend_on_the_pair() -> None:
    assert set(promised("vcg")) == set(promised("vcg", "brute-force")) == set(promised("redistribution"))
    assert "truthful" not in promised("vcg", "greedy") and set(promised("vcg", "random")) == {
        "truthful",
        "agents-rational",
    }
    assert promised("posted-price", "or-tools") == promised("posted-price", "min-cost-flow")
    assert promised("vcg", "first-come")["no-deficit"] is Domain.SINGLE_REQUEST
    assert refuses("vickrey", "min-cost-flow") and not promised("vickrey", "min-cost-flow")
    assert not refuses("vickrey", "by-value") and not refuses("two-sided-vcg", "by-value")
    assert "truthful" in promised("posted-price") and "truthful" not in promised("posted-price", "min-cost-flow")
    assert set(promised("paper-router")) == {"agents-rational"}
    with pytest.raises(MechanismError, match="no 'vgc' here"):
        promised("vgc")


def test_rules_come_over_their_home_allocator() -> None:
    assert find_mechanism("vcg") == Mechanism(MinCostFlow(), VCG())
    assert find_mechanism("vcg", "greedy") == Mechanism(Greedy(), VCG())
    assert find_mechanism("posted-price") == Mechanism(FirstCome(), PostedPrice())


def test_a_strangers_rule_needs_no_registration(mine: str) -> None:
    market = Market([[5], [4]], [[0], [0]], [1])
    assert find_mechanism(f"{mine}:HalfPrice").run(market).payments.charges.tolist() == [2, 0]
    assert find_mechanism(f"{mine}:whole").run(market).payments.charges.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgc", "no 'vgc' here; shipped: vcg"),
        ("no_such_module:Rule", "run where no_such_module.py lies"),
        ("stranger_rules:Missing", "Missing"),
        ("stranger_rules:Costly", "needs arguments"),
        ("stranger_rules:nothing", "no rule, which has charge"),
        ("expected-externality", "expected-externality needs a prior"),
        ("local-vcg", r"local-vcg needs hubs; write it = LocalVCG\(ByOwner"),
    ],
)
def test_bad_names_say_what_to_do(mine: str, name: str, message: str) -> None:
    with pytest.raises(MechanismError, match=message):
        find_mechanism(name)


def test_what_is_no_allocator_is_refused(mine: str) -> None:
    with pytest.raises(MechanismError, match=r"without allocate\(market\)"):
        find_allocator(f"{mine}:nothing")
    with pytest.raises(MechanismError, match="takes no allocator"):
        find_mechanism(f"{mine}:whole", "greedy")


def test_a_file_is_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "deep").mkdir()
    for folder, markup in ((tmp_path, 1), (tmp_path / "deep", 2)):
        (folder / "by_path_rules.py").write_text(
            f"from mechanisms import PostedPrice\n\nRULE = PostedPrice({markup})\n"
        )
    rule = find_mechanism("./deep/by_path_rules.py:RULE")
    assert isinstance(rule, Mechanism) and rule.rule == PostedPrice(2)
    assert isinstance(find_mechanism(f"{tmp_path}/deep/by_path_rules.py:RULE"), Mechanism)
    with pytest.raises(MechanismError, match="has the name of another module"):
        find_mechanism("by_path_rules.py:RULE")
    with pytest.raises(MechanismError, match=r"there is no file .*nowhere\.py"):
        find_mechanism("nowhere.py:RULE")
    (tmp_path / "json.py").write_text("RULE = None\n")
    with pytest.raises(MechanismError, match="has the name of another module, json"):
        find_mechanism("./json.py:RULE")
