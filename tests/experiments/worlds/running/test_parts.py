"""What parts of a mix came to: each as if it had been scored by itself, and together what all came to."""

import numpy as np
import pytest

from experiments.studies.study import Cell, Study
from experiments.studies.study.running.playing import play
from experiments.worlds.rooflines import table_fleet
from experiments.worlds.running.parts import BY_PART, PartScoring
from experiments.worlds.running.scores import Score, Scoring
from experiments.worlds.workloads.mix import Mix
from experiments.worlds.workloads.workload import Dialogues
from runtime import Declined, Served
from runtime.rounds.records import RoundStatistics
from tests.experiments.worlds.mixes import ASK, BIDDERS, CODE, TABLE, TALK

MIX = Mix({"talk": TALK, "code": CODE, "ask": ASK})


class Ends:
    """Keeps the ends of a run."""

    found: list[Served | Declined] = []  # noqa: RUF012

    def __init__(self, load: object) -> None:
        self.found.clear()

    def __call__(self, end: Served | Declined) -> None:
        self.found.append(end)

    def figures(self) -> dict[str, float]:
        return {}


def test_parts_add_up_to_the_whole_and_each_is_scored_by_itself() -> None:
    [run] = map(play, Study(MIX, ["iemas"], seeds=[4], measures=[Ends])._tasks())
    score, figures = run.score, run.figures
    assert set(figures) == {f"{part}.{name}" for part in MIX.by_name for name in BY_PART}

    def parts(name: str) -> list[float]:
        return [figures[f"{part}.{name}"] for part in MIX.by_name]

    assert sum(parts("served")) == score.served and sum(parts("declined")) == score.declined
    for name in ("charges", "surplus"):
        assert sum(parts(name)) == pytest.approx(getattr(score, name))
    assert sum(parts("welfare")) == pytest.approx(score.total)
    assert sum(parts("welfare_last")) == pytest.approx(sum(score.welfare_last))
    load = MIX.draw(BIDDERS, 4)
    for part in MIX.by_name:
        alone = Scoring(load.parts[part], Cell(MIX).fleet)
        for end in Ends.found:
            if load.part_of(end.request.id) == part:
                alone(end)
        found: Score = alone.score(RoundStatistics())
        for name in ("quality", "hit_rate", "wait_median", "wait_p95", "cost", "served"):
            assert figures[f"{part}.{name}"] == pytest.approx(getattr(found, name), nan_ok=True)
    # Nobody grades a trace beside graded parts: its answers count as right in welfare alone.
    assert np.isnan(figures["code.quality"]) and 0.5 <= figures["ask.quality"] <= 1.0


def test_quality_is_of_what_somebody_graded() -> None:
    mix = Mix({"talk": Dialogues("shipped", rate=2.0, dialogues=2, turns=2, answers="shipped"), "code": CODE})
    result = Study(mix, ["random"], seeds=1).run(workers=0)
    [run] = result.runs
    assert run.score.quality == run.played.figures["talk.quality"] < 1.0 and run.score.ungraded == 4


def test_what_is_no_mix_of_several_has_no_parts() -> None:
    fleet = table_fleet(TABLE)
    for load in (TALK.draw(BIDDERS, 0), Mix([TALK]).draw(BIDDERS, 0)):
        assert PartScoring(load, fleet).figures(RoundStatistics()) == {}
