"""The catalogue of policies: each passes what `runtime.check_policy` asks, and yours are found by name."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.errors import StudyError
from experiments.routers.catalogue import INFORMED, PEERS, PLAIN, SHOWN, UNPAID, Make, find_policy, make_own, policies
from mechanisms import find_mechanism
from runtime import POLICY_LAWS

KNOWN = policies(find_mechanism("vcg"))


@pytest.mark.parametrize("law", POLICY_LAWS, ids=str)
@pytest.mark.parametrize("name", KNOWN)
def test_every_policy_keeps_every_law(name: str, law: Callable[..., int]) -> None:
    assert law(lambda: KNOWN[name](3)) > 5


def test_every_policy_is_called_what_the_catalogue_calls_it() -> None:
    assert {name: make(0).name for name, make in KNOWN.items()} == {name: name for name in KNOWN}
    assert set(KNOWN) == {"iemas", "paper-auction", *INFORMED, *PLAIN, *PEERS, *UNPAID}
    assert set(SHOWN) <= set(KNOWN) and SHOWN[0] == "iemas" and "random" in SHOWN


def test_the_page_on_routers_has_everyone_who_may_play_and_nobody_else() -> None:
    page = (Path(__file__).parents[3] / "docs" / "routers.md").read_text()
    described = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(described) == len(set(described)) and set(described) == {*KNOWN, "oracle", "oracle of times"}
    measured = page.partition("## All of them")[2]
    assert set(re.findall(r"^\| ([a-z][a-z -]*) \| [\d,]+, \d+ % \|", measured, re.MULTILINE)) == set(described)


MINE = """
from runtime import Decision, WAITING
import numpy as np


class Waits:
    name = "waits"

    def attach(self, agents):
        self.agents = agents

    def ready(self, fleet):
        return True

    def decide(self, offers, fleet):
        return Decision(np.full(len(offers), WAITING), np.zeros(len(offers), np.int64))

    def notice(self, event):
        pass


class Needs(Waits):
    def __init__(self, one):
        self.one = one


class Numbered(Waits):
    name = 7


class Half:
    name = "half"

    def attach(self, agents):
        pass


def made():
    return Waits()


def takes(one):
    return Waits()


ready_made = Waits()
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    (tmp_path / "mine_policies.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_policies", raising=False)
    return lambda seed: find_policy("mine_policies:Waits", KNOWN)(seed)


def test_ones_own_is_a_class_a_function_or_a_policy_and_a_class_is_made_anew(mine: Make) -> None:
    for name in ("Waits", "made", "ready_made"):
        assert find_policy(f"mine_policies:{name}", KNOWN)(0).name == "waits"
    assert mine(0) is not mine(0)
    assert find_policy("./mine_policies.py:Waits", KNOWN)(0).name == "waits"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("psychic", "no policy 'psychic'; there are: iemas, "),
        ("nowhere_at_all:Policy", "run where nowhere_at_all.py lies"),
        ("mine_policies:Missing", "has no attribute 'Missing'"),
        ("mine_policies:Half", "is no policy .* it has no ready, decide, notice"),
        ("mine_policies:Numbered", "give it a `name`"),
        ("mine_policies:Needs", "needs arguments"),
        ("mine_policies:takes", "makes nothing: .*; give a function that takes nothing"),
        ("mine_policies:MISSING", "has no attribute"),
        ("./nowhere.py:Policy", "there is no file"),
    ],
)
def test_what_is_no_policy_is_said_in_a_sentence(name: str, said: str, mine: Make) -> None:
    with pytest.raises(StudyError, match=said):
        find_policy(name, KNOWN)(0)


def test_a_part_of_any_kind_is_asked_for_its_methods(mine: Make) -> None:
    assert make_own("mine_policies:Half", ("attach",), "thing") is not None
    with pytest.raises(StudyError, match="is no forecaster: it has no look"):
        make_own("mine_policies:Half", ("attach", "look"), "forecaster")
