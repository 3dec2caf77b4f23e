"""Studies: cells and axes, seeds, and what is no study."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from experiments.errors import StudyError
from experiments.routers.plain.spread import RoundRobin
from experiments.studies.study import Cell, Dialogues, Questions, Study, Trace
from experiments.traces import RequestTrace
from experiments.worlds.fleets import FLEET
from mechanisms import VCG, find_mechanism
from tests.experiments.studies.study.few import FEW, TABLE


def test_cells_are_every_combination_and_columns_what_differs() -> None:
    two = Dialogues("shipped", rate=1.0, dialogues=2, turns=2)
    made = Study([FEW, two], ["random"], bidders=["differing", "varied"], slots=[2, None], seeds=3)
    assert made.runs == 2 * 2 * 2 * 3 and len(made.cells) == 8
    assert made.cells[0].axes == {"rate": 2.0, "bidders": "differing", "slots": 2}
    assert made.cells[-1].axes == {"rate": 1.0, "bidders": "varied", "slots": None}
    assert made.cells[-1].name == "rate 1, bidders varied, slots all"
    [alone] = Study(FEW, ["random"]).cells
    assert alone.axes == {} and alone.name == "shipped, 2/s, dialogues 2, turns 2"
    fleets = Study(FEW, ["random"], fleet={"two": FLEET[:2], "four": FLEET}).cells
    assert [(cell.name, len(cell.fleet)) for cell in fleets] == [("fleet two", 2), ("fleet four", 4)]
    kinds = Study([FEW, Questions(TABLE, train=0)], ["random"]).cells
    assert [cell.axes for cell in kinds] == [{"workload": FEW.name}, {"workload": "ten.json, 2/s, train 0"}]
    assert [agent.name for agent in kinds[1].fleet] == ["a-8b", "b-8b"]
    trace = RequestTrace("t.csv", [0.0], [4], [1])  # type: ignore[arg-type]
    assert [agent.name for agent in Cell(Trace(trace, answers=TABLE, train=0)).fleet] == ["a-8b", "b-8b"]
    assert [agent.name for agent in Cell(Trace(trace)).fleet] == ["8b-a", "8b-b", "70b-a", "70b-b"]


def test_seeds_are_how_many_or_which() -> None:
    for given, seeds in (
        (3, (0, 1, 2)),
        ("2..4", (2, 3, 4)),
        ([5, 1], (5, 1)),
        (np.arange(2), (0, 1)),
        (range(2), (0, 1)),
    ):
        assert Study(FEW, ["random"], seeds=given).seeds == seeds  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"workload": "shipped"}, "'shipped' is no workload; use Dialogues, Questions, Trace or a Mix"),
        ({"workload": Dialogues}, "is no workload"),
        ({"workload": []}, "workload is an empty sweep"),
        ({"workload": [FEW, FEW]}, "two of workload are called 'shipped, 2/s, dialogues 2, turns 2'"),
        ({"policies": []}, "no policy plays"),
        ({"policies": ["random", "random"]}, "policies are called random, random; give each a name of its own"),
        ({"policies": [("a", "random"), ("a", "sticky")]}, "policies are called a, a"),
        ({"policies": [{"name": "a"}]}, "it names no `policy`"),
        ({"policies": [{"policy": "random", "rate": 1}]}, "it has rate"),
        ({"policies": ["random+knn"]}, "'random' asks nobody what to foretell"),
        ({"seeds": []}, "there is no seed"),
        ({"seeds": "0-3"}, "expected how many, a range"),
        ({"seeds": [1, 1]}, "a list of different whole numbers"),
        ({"seeds": [-1]}, "a list of different whole numbers"),
        ({"seeds": 2.5}, "expected how many"),
        ({"fleet": []}, "fleet: there is no agent"),
        ({"fleet": [FLEET[0], FLEET[0]]}, "agents are called small-a, small-a"),
        ({"fleet": ["small"]}, "fleet: 'small' is no agent"),
        ({"fleet": FLEET[0]}, "fleet is one agent, 'small-a'; give a list of agents"),
        ({"slots": 0}, "slots = 0; an agent serves at least 1"),
        ({"slots": [2, 2]}, "two of slots are called 2"),
        ({"bidders": "nobody"}, "no preset 'nobody'"),
        ({"bidders": 3}, "3 draws no bidders"),
        ({"delay": "sometime"}, "no delay 'sometime'"),
        ({"measures": [3]}, "3 measures nothing"),
        ({"mechanism": 3}, "3 is no mechanism"),
        (
            {"mechanism": VCG()},
            r"a payment rule goes as Mechanism\(MinCostFlow\(\), rule\), or by name",
        ),
        ({"policies": [{"policy": "random", "mechanism": "vcg"}]}, "'random' runs no mechanism; leave out mechanism"),
        ({"policies": [{"policy": "random", "predictor": "knn"}]}, "'random' asks nobody what to foretell"),
        (
            {"policies": [{"policy": RoundRobin, "allocator": "greedy"}]},
            "runs no mechanism; leave out allo",
        ),
        ({"mechanism": find_mechanism("vcg"), "allocator": "greedy"}, "allocator 'greedy' is for a mechanism by name"),
        ({"churn": [(1.0, "nobody", "leaves")]}, "no agent 'nobody' in this fleet"),
    ],
)
def test_what_is_no_study_is_refused_before_anything_is_read(given: Mapping[str, object], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        Study(**{"workload": FEW, "policies": ["random"], **given})  # type: ignore[arg-type]


@pytest.mark.parametrize("drawn", [(1.0, 2.0), None])
def test_bidders_that_are_none_are_refused_by_what_was_drawn(drawn: Any) -> None:
    def mine(rng: np.random.Generator) -> Any:
        return drawn

    with pytest.raises(StudyError, match=r"mine draws no Preferences: it returns .*; return mechanisms\.Preferences"):
        Study(FEW, ["random"], bidders=mine, seeds=1)


def test_a_cell_needs_agents_of_different_names() -> None:
    with pytest.raises(StudyError, match="agents are called"):
        Cell(FEW, fleet=(FLEET[0], FLEET[0]))
