"""A sweep that goes on is of today's code: every module and file that the rule reaches is known, or it is run again."""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from proofs import AuditError, Grid, NoDeficit, Status, Truthful, audit
from proofs.subject.reach import sources_of

GRID = Grid(2, 2, range(6), limit=10**6)

RULE = """
from mechanisms import Payments, VCG
{imports}

class Rule:
    def charge(self, market, allocation, allocator):
        exact = VCG().charge(market, allocation, allocator)
        return Payments(exact.charges - {less} * allocation.served, exact.receipts)

RULE = Rule()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def load(name: str, text: str) -> ModuleType:
    """A module of this text, as a new process would import it."""
    Path(f"{name}.py").write_text(text)
    for gone in [other for other in sys.modules if other.startswith("reach_")]:
        del sys.modules[gone]
    importlib.invalidate_caches()
    sys.dont_write_bytecode = True
    return importlib.import_module(name)


def swept(name: str, file: Path) -> str:
    return str(audit(f"{name}:RULE", GRID, [NoDeficit(), Truthful()], resume=file)["no-deficit"].status)


@pytest.mark.parametrize("how", ["from reach_helper import LESS", "import reach_helper as h; LESS = h.LESS"])
def test_a_helper_that_changes_is_noticed(folder: Path, how: str) -> None:
    load("reach_helper", "LESS = 0\n")
    load("reach_rule", RULE.format(imports=how, less="LESS"))
    assert swept("reach_rule", folder / "sweep") == Status.VERIFIED
    assert swept("reach_rule", folder / "sweep") == Status.VERIFIED
    load("reach_helper", "LESS = 1\n")
    load("reach_rule", RULE.format(imports=how, less="LESS"))
    with pytest.raises(AuditError, match="made by other code"):
        swept("reach_rule", folder / "sweep")


def test_a_helper_of_a_helper_and_an_import_within_a_function(folder: Path) -> None:
    load("reach_deep", "LESS = 0\n")
    Path("reach_middle.py").write_text("def less():\n    from reach_deep import LESS\n    return LESS\n")
    rule = RULE.format(imports="from reach_middle import less", less="less()")
    load("reach_rule", rule)
    assert "reach_deep" not in sys.modules
    assert list(sources_of(["reach_rule"])) == ["reach_deep", "reach_middle", "reach_rule"]


def test_the_packages_that_a_helper_lies_in_count(folder: Path) -> None:
    Path("reach_pack/inner").mkdir(parents=True)
    Path("reach_pack/__init__.py").write_text("LESS = 0\n")
    Path("reach_pack/inner/__init__.py").write_text("from .. import LESS\nfrom .deep import MORE\n")
    Path("reach_pack/inner/deep.py").write_text("from . import LESS\nMORE = 1\n")
    load("reach_rule", RULE.format(imports="from reach_pack.inner import LESS", less="LESS"))
    names = ["reach_pack", "reach_pack.inner", "reach_pack.inner.deep", "reach_rule"]
    assert list(sources_of(["reach_rule"])) == names


def test_libraries_and_rooms_are_not_followed(folder: Path) -> None:
    load("reach_rule", "import numpy\n" + RULE.format(imports="import json, proofs", less="0"))
    assert list(sources_of(["reach_rule"])) == ["reach_rule"]


def test_a_data_file_that_changes_is_noticed(folder: Path) -> None:
    Path("less.txt").write_text("0")
    rule = RULE.format(imports="from pathlib import Path", less='int(Path("less.txt").read_text())')
    load("reach_rule", rule)
    assert swept("reach_rule", folder / "sweep") == Status.VERIFIED
    Path("less.txt").write_text("1")
    with pytest.raises(AuditError, match=r"read .*less\.txt, which has changed"):
        swept("reach_rule", folder / "sweep")


@pytest.mark.parametrize("hidden", ['int(__import__("os").environ["REACH_LESS"])'])
def test_what_neither_sources_nor_files_show_is_found_by_running_again(
    folder: Path, hidden: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "REACH_LESS", "0")
    load("reach_rule", RULE.format(imports="", less=hidden))
    assert swept("reach_rule", folder / "sweep") == Status.VERIFIED
    again = audit("reach_rule:RULE", GRID, [NoDeficit()], resume=folder / "other")
    resumed = audit("reach_rule:RULE", GRID, [NoDeficit()], resume=folder / "other")["no-deficit"]
    assert again["no-deficit"] and "of those kept in a file 459 of 1,296 profiles" in resumed.note
    monkeypatch.setitem(os.environ, "REACH_LESS", "1")
    with pytest.raises(AuditError, match="its code, its data or its environment has changed"):
        swept("reach_rule", folder / "sweep")
