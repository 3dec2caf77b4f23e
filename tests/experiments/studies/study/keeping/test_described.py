"""What a run is known by: code and content, the same in every process, and never an address."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from experiments.studies.study.keeping.described import described, source_named
from experiments.worlds.fleets import FLEET
from experiments.worlds.presets import PRESETS, find_preset
from experiments.worlds.workloads.workload import Dialogues


@dataclass
class Held:
    value: object
    aside: int = field(default=0, compare=False)


class Rule:
    def __init__(self, share: float) -> None:
        self.share = share

    def run(self) -> float:
        return self.share


class Slotted:
    __slots__ = ("one",)

    def __init__(self, one: int) -> None:
        self.one = one


def add(one: int, other: int = 0) -> int:
    return one + other


def closing(number: int) -> Callable[[], int]:
    return lambda: number


ALIKE: list[tuple[Callable[[], object], Callable[[], object]]] = [
    (lambda: Rule(0.5), lambda: Rule(0.6)),
    (lambda: Rule(0.5).run, lambda: Rule(0.6).run),
    (lambda: functools.partial(add, 1), lambda: functools.partial(add, 2)),
    (lambda: closing(1), lambda: closing(2)),
    (lambda: Slotted(1), lambda: Slotted(2)),
    (lambda: Held(np.arange(3)), lambda: Held(np.arange(3.0))),
    (lambda: {"a": {1, 2, 3}}, lambda: {"a": {1, 2}}),
    (lambda: np.random.default_rng(1).bit_generator.state, lambda: np.random.default_rng(2).bit_generator.state),
    (lambda: FLEET, lambda: FLEET[:3]),
    (lambda: PRESETS["differing"], lambda: find_preset("differing", None, 0.5)),
    (lambda: Dialogues(rate=1.0), lambda: Dialogues(rate=1.5)),
    (lambda: Held(lambda x: x + 1), lambda: Held(lambda x: x + 2)),
    (lambda: "mine", lambda: "yours"),
    (lambda: (b"one", Path("a"), None, True), lambda: (b"one", Path("b"), None, True)),
]


@pytest.mark.parametrize("k", range(len(ALIKE)))
def test_equal_things_read_alike_and_others_do_not(k: int) -> None:
    one, other = ALIKE[k]
    assert described(one()) == described(one()) != described(other())
    assert " at 0x" not in described(one())


def test_what_compares_as_nothing_decides_nothing() -> None:
    assert described(Held(1, aside=2)) == described(Held(1, aside=3))


def test_what_holds_itself_has_an_end() -> None:
    loop: list[object] = [1]
    loop.append(loop)
    rule = Rule(0.5)
    rule.self = rule  # type: ignore[attr-defined]
    assert described(loop) == "(1,(itself))" and described(rule)


SCRIPT = """
import functools
from experiments.studies.study.keeping.described import described
from experiments.worlds.fleets import FLEET
from experiments.worlds.presets import PRESETS

SCALE = {scale}
WORDS = {{"a", "b", "c", "d", "e"}}


def helper(x):
    return SCALE * x if x in {{"p", "q", "r"}} else x


def draw(rng, least=1.0):
    return helper(rng)


class Base:
    factor = 2


class Policy(Base):
    name = "mine"

    def __init__(self):
        self.seen = set(WORDS)

    def decide(self, offers):
        return [helper(one) for one in offers]

    @property
    def half(self):
        return {half}


policy = Policy()
parts = [draw, Policy, policy, policy.decide, functools.partial(draw, least=2.0), lambda x: helper(x), FLEET, PRESETS]
print("\\n".join(described(part) for part in parts))
"""


def told(*, scale: int = 3, half: float = 0.5) -> list[str]:
    """What a notebook's cells describe, which run as `__main__`."""
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(SCRIPT.format(scale=scale, half=half), "<cell>", "exec"), {"__name__": "__main__"})
    return printed.getvalue().splitlines()


def told_by_a_process(folder: Path, name: str) -> list[str]:
    (folder / name).write_text(SCRIPT.format(scale=3, half=0.5))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
        "PYTHONHASHSEED": "random",
    }
    done = subprocess.run(
        [sys.executable, name], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_a_notebooks_code_is_what_it_does_and_what_it_calls_too() -> None:
    one, again, other, halved = told(), told(), told(scale=4), told(half=0.25)
    assert one == again and len(one) == 8
    # A number that a function's helper reads decides what it does.
    assert [a != b for a, b in zip(one, other, strict=True)] == [True] * 6 + [False] * 2
    assert [a != b for a, b in zip(one, halved, strict=True)] == [False, True, True, True, False, False, False, False]


@pytest.mark.slow
def test_every_process_describes_the_same(tmp_path: Path) -> None:
    assert told_by_a_process(tmp_path, "a.py") == told_by_a_process(tmp_path, "b.py") != []


def test_a_name_reads_as_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_described.py").write_text("class Policy:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert source_named("mine_described:Policy") == ""
    __import__("mine_described")
    before = described("mine_described:Policy")
    assert source_named("./folder/mine_described.py:Policy") == source_named("mine_described:Policy") != ""
    (tmp_path / "mine_described.py").write_text("class Policy:\n    changed = 1\n")
    assert described("mine_described:Policy") != before
    monkeypatch.delitem(sys.modules, "mine_described")
    assert source_named("a question: os?") == "" == source_named("vcg")


def test_a_path_is_what_it_leads_to_whatever_was_asked_of_it() -> None:
    path = Path("a") / "b"
    before = described(path)
    assert str(path) and hash(path) and described(path) == before != described(Path("a") / "c")
