"""Gateways that share a fleet: how requests come to them, and that one of them is the router itself."""

from collections import Counter

import pytest

from experiments.studies.findings.exhibits.exhibit import Interval
from experiments.studies.findings.serving import gateways
from experiments.studies.study.cells.cell import Cell
from experiments.studies.study.cells.policies import entrants
from experiments.studies.study.running.playing import Task
from experiments.studies.study.running.playing import play as play_one
from experiments.worlds.workloads.workload import Dialogues


@pytest.mark.parametrize("split", [gateways.BY_CONVERSATION, gateways.BY_LOT])
def test_requests_spread_and_a_conversation_stays_where_it_is_sent_by(split: str) -> None:
    to = gateways.send(split, 4, 0)
    places = {name: {to(f"{name}/{turn}") for turn in range(12)} for name in map(str, range(100))}
    assert all(len(some) == 1 for some in places.values()) == (split == gateways.BY_CONVERSATION)
    spread = Counter(to(f"{name}/0") for name in range(400))
    assert set(spread) == {0, 1, 2, 3} and min(spread.values()) > 60


def test_one_gateway_is_a_run_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Dialogues(rate=0.25, dialogues=2, turns=2)
    monkeypatch.setattr(gateways, "Dialogues", lambda rate: small)
    [entrant] = entrants(["iemas"], "vcg", None, None)
    alone = play_one(Task(Cell(small), entrant, 0)).score
    found = gateways.play(gateways.Job("iemas", 1, gateways.BY_LOT, 0.25, 0))
    assert (found.welfare, found.hit_rate, found.charges) == (alone.welfare, alone.hit_rate, alone.charges)
    made = gateways.run(seeds=[0], workers=0, progress=lambda done, total: None)
    one = made.row("1 gateway")["welfare, % of one gateway's"]
    assert isinstance(one, Interval) and one.mean == 0.0
    assert len(made.rows) == 12
