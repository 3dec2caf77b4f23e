"""Measures of yours: columns of a study, or refused by name."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from experiments.errors import StudyError
from experiments.studies.study import Study
from experiments.studies.study.running.playing import Measuring
from experiments.worlds.traffic.traffic import Traffic
from runtime import Served
from tests.experiments.studies.study.few import FEW, Mine


class Tokens(Measuring):
    def __init__(self, load: Traffic) -> None:
        self.tokens = 0

    def __call__(self, end: object) -> None:
        self.tokens += end.completion.prompt_tokens if isinstance(end, Served) else 0

    def figures(self) -> Mapping[str, float]:
        return {"prompt_tokens": self.tokens}


class Cost(Tokens):
    def figures(self) -> Mapping[str, float]:
        return {"cost": 1.0}


def test_measures_of_yours_are_columns(tmp_path: Path) -> None:
    result = Study(FEW, ["random"], seeds=2, measures=[Tokens]).run(workers=0, kept=tmp_path / "runs.jsonl")
    tokens = result.frame()["prompt_tokens"].to_list()
    assert min(tokens) > 100 and result.mean("random", "prompt_tokens") == np.mean(tokens)
    again = Study(FEW, ["random"], seeds=2, measures=[Tokens]).run(workers=0, kept=tmp_path / "runs.jsonl")
    assert again.frame()["prompt_tokens"].to_list() == tokens and "prompt_tokens" in str(again.plot("prompt_tokens"))
    for measures, said in (
        ([Cost], "'cost', which is a column already"),
        ([Tokens, Tokens], "two measures give"),
        ([lambda traffic: 3], "gives 3, which measures nothing: it has no __call__, figures"),
    ):
        with pytest.raises(StudyError, match=said):
            Study(FEW, ["random"], seeds=1, measures=measures).run(workers=0)


def test_one_policy_and_one_measure_need_no_list() -> None:
    class Turns(Measuring):
        def __init__(self, load: Traffic) -> None:
            self._turns = load.turns

        def figures(self) -> Mapping[str, float]:
            return {"turns": self._turns}

    result = Study(FEW, Mine, seeds=1, measures=Turns).run(workers=0)
    assert result.policies == ("mine",) and result.frame()["turns"].to_list() == [4.0]
    assert [one.name for one in Study(FEW, {"policy": "iemas", "name": "ours"}).entrants] == ["ours"]


def test_a_measure_that_fails_or_gives_no_numbers_is_named() -> None:
    class Odd(Measuring):
        given: object = 3

        def __init__(self, load: Traffic) -> None:
            self.load = load

        def figures(self) -> Mapping[str, float]:
            return self.given  # type: ignore[return-value]

    class Worded(Odd):
        given: object = {"a": "x"}

    def failing(load: Traffic) -> Measuring:
        raise KeyError("lognormal")

    for one, said in ((Odd, "Odd gives the figures 3;"), (Worded, r"Worded gives the figures {'a': 'x'};")):
        with pytest.raises(StudyError, match=f"{said} expected a dict of numbers by name"):
            Study(FEW, "random", seeds=1, measures=one).run(workers=0)
    with pytest.raises(KeyError) as raised:
        Study(FEW, "random", seeds=1, measures=failing).run(workers=0)
    assert raised.value.__notes__ == ["in measure failing"]
