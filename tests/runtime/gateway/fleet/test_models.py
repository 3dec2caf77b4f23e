"""A name stands for the agents that serve it, for a pool's members, or for nobody."""

import json

import pytest

from runtime.gateway.fleet.models import Models
from runtime.gateway.problems import Problem
from tests.runtime.gateway.fleets import BIG, SMALL, fleet

THREE = (SMALL, BIG, SMALL | {"name": "third", "serves": ["tiny", "other", "tiny"]})


def models() -> Models:
    return Models.of(fleet(*THREE, pools={"fast": ["third", "small"]}), created_s=7)


@pytest.mark.parametrize(
    ("name", "agents"), [("tiny", (0, 2)), ("other", (2,)), ("wide", (1,)), ("fast", (0, 2)), ("auto", (0, 1, 2))]
)
def test_a_name_stands_for_agents(name: str, agents: tuple[int, ...]) -> None:
    assert models().resolve(name) == agents


@pytest.mark.parametrize("name", ["small", "Tiny", "tiny ", "", "x" * 100_000, "fast\n", "../tiny"])
def test_any_other_name_is_404(name: str) -> None:
    """An agent's own name is no model: clients cannot choose an agent and so pass by the auction of its pool."""
    with pytest.raises(Problem) as refusal:
        models().resolve(name)
    problem = refusal.value
    assert (problem.status, problem.code, problem.param, problem.retry) == (404, "model_not_found", "model", False)
    assert len(str(problem)) < 300 and "\n" not in str(problem)


def test_the_nearest_name_is_told() -> None:
    with pytest.raises(Problem, match="did you mean 'tiny'"):
        models().resolve("tinny")


def test_the_list_is_openais() -> None:
    listing = json.loads(models().listing())
    assert listing["object"] == "list"
    assert [each["id"] for each in listing["data"]] == ["tiny", "wide", "other", "fast", "auto"]
    assert all((each["object"], each["created"], each["owned_by"]) == ("model", 7, "iemas") for each in listing["data"])
    assert json.loads(models().card("fast")) == listing["data"][3]
    assert listing["data"][3]["iemas"] == {"kind": "pool", "agents": 2}
    with pytest.raises(Problem):
        models().card("none")


def test_a_folder_serves_under_its_own_name() -> None:
    folder = fleet(SMALL | {"model": "./models/mine"})
    assert folder.agents[0].model == "/etc/iemas/models/mine" and Models.of(folder).resolve("mine") == (0,)
