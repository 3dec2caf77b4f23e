"""`iemas demo` with policies, predictors and bidders of one's own, from files in the working directory."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments.cli import main

MINE = """
import numpy as np

from experiments.routers.plain.spread import RoundRobin
from mechanisms import Preferences
from runtime.policies.forecast import Forecaster

attached = []


class Policy(RoundRobin):
    name = "mine"

    def attach(self, agents):
        attached.append(self)
        super().attach(agents)


class Twin(Policy):
    pass


class Slashed(Policy):
    name = "a/b: ../c"


class Raises(Policy):
    name = "raises"

    def decide(self, offers, fleet):
        return {}["nothing"]


class Unasked(Policy):
    name = "unasked"
    decide = None


class Impossible(Policy):
    name = "impossible"

    def decide(self, offers, fleet):
        from dataclasses import replace
        return replace(super().decide(offers, fleet), agents=np.full(len(offers), 99))


class Sure:
    def __init__(self, agents):
        self.agents = agents

    def predict(self, offers):
        return np.full((len(offers), len(self.agents)), 0.875)

    def doubt(self):
        return np.zeros(len(self.agents))

    def learn(self, offer, agent, right):
        pass


def Model():
    return Forecaster(Sure)


class Blind:
    def attach(self, agents):
        pass

    def look(self, offers, fleet):
        pass

    def note(self, outlook, i, agent):
        pass


def draw(rng):
    return Preferences(7.0 + rng.random(), 0.25)


def number(rng):
    return 7.0


def broken(rng):
    return 1 / 0


def nobody():
    return Preferences(1.0, 1.0)


constant = Preferences(1.0, 1.0)
"""

SMALL = ("--data", "shipped", "--dialogues", "2", "--turns", "2", "--seeds", "1", "--out", "out")

Ran = tuple[int, str, str]


@pytest.fixture
def demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], replayed_here: None
) -> Callable[..., Ran]:
    """Exit code, standard output and standard error."""
    (tmp_path / "mine_doors.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_doors", raising=False)

    def run(*options: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["iemas", "demo", *SMALL, *options])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int | None)
        return ended.value.code or 0, *capfd.readouterr()

    return run


def test_all_three_are_ones_own(demo: Callable[..., Ran]) -> None:
    code, out, err = demo(
        *("--policy", "iemas", "--policy", "mine_doors:Policy", "--policy", "./mine_doors.py:Slashed"),
        *("--predictor", "mine_doors:Model", "--preferences", "mine_doors:draw", "--json"),
    )
    assert code == 0, err
    result = json.loads(out)
    assert list(result["policies"]) == ["iemas", "mine", "a/b: ../c"]
    assert result["settings"]["preferences"] == "drawn by mine_doors:draw"
    rows = [json.loads(line) for line in Path("out/requests.jsonl").read_text().splitlines()]
    believed = {row["predicted_quality"] for row in rows if row["policy"] == "iemas"}
    assert believed == {0.875}
    # Books and report stay in their folder, whatever a policy is called.
    assert len(list(Path("out/books").glob("*.sqlite"))) == 3 and {path.name for path in Path().iterdir()} >= {"out"}
    page = Path("out/report.html").read_text()
    assert "mine" in page and "drawn by mine_doors:draw" in page


def test_a_policy_runs_in_this_very_process_and_is_made_anew_for_each_seed(demo: Callable[..., Ran]) -> None:
    code, _, err = demo("--policy", "mine_doors:Policy", "--seeds", "3")
    assert code == 0, err
    attached = sys.modules["mine_doors"].attached
    assert len(attached) == len(set(map(id, attached))) == 3


def test_bidders_are_drawn_by_ones_own_function(demo: Callable[..., Ran]) -> None:
    from experiments.studies.demo import Plan, chosen_preset

    sys.modules.pop("mine_doors", None)
    preset = chosen_preset(Plan(preset="paper", preferences="mine_doors:draw"))
    assert 7.0 <= preset.draw(np.random.default_rng(0)).worth <= 8.0
    assert preset.prices is not None and preset.rounds(2).max_batch == 16


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--policy", "no_such_module:Policy"), "run where no_such_module.py lies, or install it"),
        (("--policy", "mine_doors:Nobody"), "has no attribute 'Nobody'"),
        (("--policy", "mine_doors:Sure"), "mine_doors:Sure needs arguments"),
        (("--policy", "mine_doors:Blind"), "is no policy (see runtime.Policy): it has no ready, decide, notice"),
        (("--policy", "mine_doors:Unasked"), "it has no decide"),
        (("--policy", "mine_doors:constant"), "is no policy (see runtime.Policy): it has no attach, ready"),
        (("--policy", "mine_doors:Policy", "--policy", "mine_doors:Twin"), "called mine, mine; give each a name"),
        (("--policy", "sticky", "--policy", "sticky"), "called sticky, sticky; give each a name"),
        (("--policy", "mine_doors:Raises"), "KeyError: 'nothing'"),
        (("--policy", "mine_doors:Impossible"), "the policy chose agents [99"),
        (("--policy", "mine_doors:"), "'mine_doors:' names no module or nothing in it"),
        (("--predictor", "no_such_module:Model"), "run where no_such_module.py lies, or install it"),
        (("--predictor", "mine_doors:Blind"), "is no forecaster (see runtime.policies.forecast): it has no notice"),
        (("--predictor", "mine_doors:draw"), "mine_doors:draw makes nothing"),
        (("--predictor", "Model"), "'Model' names no module"),
        (("--preferences", "no_such_module:draw"), "run where no_such_module.py lies, or install it"),
        (("--preferences", "mine_doors:number"), "draws no Preferences: it returns 7.0; return mechanisms.Preferences"),
        (("--preferences", "mine_doors:broken"), "draws no Preferences: it raises ZeroDivisionError"),
        (("--preferences", "mine_doors:nobody"), "draws no Preferences: it raises TypeError"),
        (("--preferences", "mine_doors:constant"), "draws no Preferences: it is a Preferences; give a function"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_what_is_wrong_with_it_is_one_line_and_exit_code_2(
    options: tuple[str, ...], said: str, demo: Callable[..., Ran]
) -> None:
    code, _, err = demo(*options)
    assert code == 2
    [line] = err.strip().splitlines()[-1:]
    assert line.startswith("iemas: ") and said in line and "Traceback" not in err
    assert not list(Path().glob("out/report.html"))
