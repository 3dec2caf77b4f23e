"""Whoever installs iemas may have folders of the same names as its rooms: their test suites run as before."""

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

ROOMS = ("experiments", "runtime", "proofs", "prediction")


def beside(root: Path) -> Path:
    """Packages beside a folder of tests."""
    for room in ROOMS:
        package(root / room)
    (root / "tests").mkdir()
    imports = "".join(f"import {room}.helper\n" for room in ROOMS)
    checks = " and ".join(f"{room}.helper.WHOSE == 'theirs'" for room in ROOMS)
    (root / "tests" / "test_it.py").write_text(f"{imports}\n\ndef test_it():\n    assert {checks}\n")
    return root


def within(root: Path) -> Path:
    """Tests within the packages, run from one of them."""
    for room in ROOMS:
        package(root / room)
        (root / room / f"test_{room}.py").write_text(
            f"from {room} import helper\n\n\ndef test_it():\n    assert helper.WHOSE == 'theirs'\n"
        )
    return root


def bare(root: Path) -> Path:
    """Folders of tests without __init__.py, which import nothing by the folder's name."""
    for room in ROOMS:
        (root / room).mkdir()
        (root / room / f"test_{room}.py").write_text("def test_it():\n    assert True\n")
    return root


def package(folder: Path) -> None:
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "helper.py").write_text("WHOSE = 'theirs'\n")


def run(folder: Path, *options: str, module: bool = True) -> "subprocess.CompletedProcess[str]":
    """pytest in a process of its own, with every plugin that the environment announces, ours among them."""
    command = [sys.executable, *(["-m", "pytest"] if module else [str(Path(sys.executable).with_name("pytest"))])]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    options = ("-q", "-p", "iemas_pytest", "-p", "no:cacheprovider", *options)
    return subprocess.run([*command, *options], cwd=folder, env=environment, capture_output=True, text=True)


#: Each starts a pytest of its own.
pytestmark = pytest.mark.slow

MODES = ("prepend", "append", "importlib")

CASES: list[tuple[str, Callable[[Path], Path], str, bool]] = [
    *((mode, layout, ".", True) for mode, layout in product(MODES, (beside, within, bare))),
    *((mode, within, "proofs", True) for mode in ("prepend", "append")),
    # pytest alone puts no folder on the path in importlib mode, so packages are not to be had there, iemas or not.
    ("prepend", within, ".", False),
    *((mode, bare, ".", False) for mode in MODES),
]


@pytest.mark.parametrize(("mode", "layout", "where", "module"), CASES)
def test_their_folders_work(
    tmp_path: Path, mode: str, layout: Callable[[Path], Path], where: str, module: bool
) -> None:
    done = run(layout(tmp_path) / where, f"--import-mode={mode}", module=module)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout + done.stderr


MARKED = """
import pytest


@pytest.mark.mechanism("vcg", bidders=2, agents=1, values=range(3))
def test_laws(finding):
    assert finding
"""


def test_the_mark_works_beside_folders_that_it_does_not_need(tmp_path: Path) -> None:
    package(tmp_path / "experiments")
    package(tmp_path / "runtime")
    (tmp_path / "test_marked.py").write_text(MARKED)
    done = run(tmp_path)
    assert done.returncode == 0 and "5 passed" in done.stdout, done.stdout + done.stderr


def test_a_folder_that_hides_ours_is_named_where_the_mark_is_used(tmp_path: Path) -> None:
    package(tmp_path / "proofs")
    (tmp_path / "test_marked.py").write_text(MARKED)
    (tmp_path / "test_other.py").write_text(
        "import proofs.helper\n\n\ndef test_it():\n    assert proofs.helper.WHOSE\n"
    )
    done = run(tmp_path, "--continue-on-collection-errors")
    assert f"{tmp_path / 'proofs'} hides iemas's own package 'proofs'" in done.stdout, done.stdout
    assert "1 passed" in done.stdout and "1 error" in done.stdout
