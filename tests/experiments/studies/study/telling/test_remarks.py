"""What a reader is told of a study's runs: how cells differ, churn, and who served nobody."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from allocation import UNSERVED
from experiments.errors import StudyError
from experiments.routers.plain.spread import RoundRobin
from experiments.studies.study import Dialogues, Study, StudyResult
from experiments.worlds.fleets import FLEET
from runtime import Decision, Fleet, Offer
from tests.experiments.studies.study.few import FEW


def test_captions_tell_cells_apart_where_they_differ() -> None:
    small = Dialogues("shipped", dialogues=1, turns=1)
    measured = Dialogues("shipped", dialogues=1, turns=1, answers="shipped")
    said = Study([small, measured], ["random"], seeds=1).run(workers=0).described
    assert said["quality"].startswith("answers are right as often as an assumed skill has it (no answers); scores of")
    two = Study(small, ["random"], seeds=1, fleet={"two": FLEET[:2], "four": FLEET}).run(workers=0)
    assert "2 agents; " in two.described["engines"] and "(fleet two); 4 agents; " in two.described["engines"]
    assert "(" not in two.described["traffic"]


def test_churn_is_told_and_asked_of_who_plays() -> None:
    churn = [(2.0, "small-a", "leaves"), (4.0, "small-a", "joins")]
    made = Study(FEW, ["random"], seeds=1, churn=churn)
    with pytest.raises(StudyError, match="random takes no agent more while it serves, and small-a joins"):
        made.run(workers=0)
    said = Study(FEW, ["random"], seeds=1, churn=churn[:1]).run(workers=0).described
    assert said["churn"] == "small-a leaves at 2 s"


class Asleep(RoundRobin):
    """Never ready for a round."""

    name = "asleep"

    def ready(self, fleet: Fleet) -> bool:
        return False


class Aloof(RoundRobin):
    """Declines everybody."""

    name = "aloof"

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        return Decision(np.full(len(offers), UNSERVED), np.zeros(len(offers), np.int64))


class Picky(RoundRobin):
    """Declines one of the dialogues."""

    name = "picky"

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        if any(one.request.dialogue == "ferry-1" for one in offers):
            return Decision(np.full(len(offers), UNSERVED), np.zeros(len(offers), np.int64))
        return super().decide(offers, fleet)


def test_who_serves_nobody_is_told_once_with_how_often_and_why(tmp_path: Path) -> None:
    # Whoever waits for ever is told so at the end of its bidder's patience.
    result = Study(FEW, [Asleep, Aloof, "random"], seeds=2).run(workers=0)
    told = "4 of 4 requests were declined by "
    assert result.described["served nobody"] == (
        f"{told}asleep, which was never asked: it was never `ready` for a round; {told}aloof"
    )
    assert result.table().count("served nobody: ") == 1
    again = StudyResult.load(result.save(tmp_path / "result.json"))
    assert again.described == result.described
    assert "served nobody" in result.report(tmp_path / "report.html").read_text()
    # Of several cells at once, and of some.
    one = Dialogues("shipped", rate=1.0, dialogues=1, turns=1)
    cells = Study([FEW, one], [Aloof], seeds=1).run(workers=0)
    assert cells.described["served nobody"] == "3 of 3 requests were declined by aloof"
    some = Study([FEW, one], [Picky], seeds=1).run(workers=0)
    assert some.described["served nobody"] == f"1 of 1 requests were declined by picky ({some.cells[1]})"
    assert "served nobody" not in Study(FEW, ["random"], seeds=1).run(workers=0).described
