"""Agents that leave and join while traffic goes on."""

import pytest

from experiments.errors import StudyError
from experiments.routers.catalogue import policies
from experiments.routers.plain.spread import RoundRobin
from experiments.worlds.churn import Change, Churn, Coming, beginning, changes, require_joining
from experiments.worlds.fleets import FLEET, simulated_fleet
from experiments.worlds.presets import find_preset
from experiments.worlds.running.run import hold_traffic
from experiments.worlds.running.scores import Scoring
from experiments.worlds.workloads.workload import Dialogues
from mechanisms import find_mechanism
from runtime import Agent, Declined, Ledger, Policy, RoundRules, Served, ServingError, running
from runtime.engines.simulated.virtual_time import run

LOAD = Dialogues("shipped", rate=2.0, dialogues=6, turns=3, think_time_s=1.0)


class Growing(RoundRobin):
    """In turn, with whoever joins."""

    name = "growing"

    def join(self, agent: Agent) -> None:
        self.joined = [*getattr(self, "joined", []), agent.name]


class Refusing(RoundRobin):
    name = "refusing"

    def join(self, agent: Agent) -> None:
        raise ServingError("it is full")


def ends(policy: Policy, *given: tuple[float, str, str]) -> tuple[list[tuple[str, float, float, str]], Scoring]:
    """Who served what from when to when: (request, dispatched, done, agent), by the run's clock."""
    churn = changes(given)
    load = LOAD.draw(find_preset("differing"), 1)
    scoring, found = Scoring(load, FLEET, beginning(FLEET, churn)), []
    names = [agent.name for agent in beginning(FLEET, churn)]

    def joined(agent):  # type: ignore[no-untyped-def]
        scoring.joined(agent)
        names.append(agent.name)

    def ended(end: Served | Declined) -> None:
        scoring(end)
        if isinstance(end, Served):
            done = end.dispatched_s + end.completion.latency_s
            found.append((end.request.id, end.dispatched_s, done, names[end.agent]))

    async def main() -> None:
        engines, prices = simulated_fleet(load, beginning(FLEET, churn))
        async with running(engines):
            with Ledger() as ledger:
                held = await hold_traffic(
                    policy, load, engines, prices, rounds=RoundRules(depth=1), ledger=ledger, ended=ended,
                    churn=Churn(churn, FLEET, load, None, joined) if churn else None,
                )  # fmt: skip
        assert len(found) == load.turns or policy.name == "iemas"
        scoring.held = held  # type: ignore[attr-defined]

    run(main(), virtual=True)
    return found, scoring


def test_who_left_gets_nothing_more_and_finishes_what_it_has() -> None:
    everybody, _ = ends(Growing())
    assert any(agent == "large-a" and sent > 5.0 for _, sent, _, agent in everybody)
    found, scoring = ends(Growing(), (5.0, "large-a", "leaves"))
    mine = [(sent, done) for _, sent, done, agent in found if agent == "large-a"]
    assert mine and all(sent <= 5.0 for sent, _ in mine)
    assert any(done > 5.0 for _, done in mine), "it is to have had something to finish"
    shares = scoring.score(scoring.held.statistics).shares  # type: ignore[attr-defined]
    assert shares[2] == len(mine) / len(found) and sum(shares) == pytest.approx(1)


def test_who_joins_serves_from_then_on_under_its_name() -> None:
    policy = Growing()
    found, scoring = ends(policy, (4.0, "small-a", "joins"))
    mine = [sent for _, sent, _, agent in found if agent == "small-a"]
    assert mine and min(mine) >= 4.0 and policy.joined == ["small-a"]
    shares = scoring.score(scoring.held.statistics).shares  # type: ignore[attr-defined]
    assert shares[0] == len(mine) / len(found)


def test_who_left_and_came_back_has_an_empty_cache() -> None:
    found, scoring = ends(Growing(), (3.0, "small-b", "leaves"), (6.0, "small-b", "joins"))
    mine = sorted(sent for _, sent, _, agent in found if agent == "small-b")
    assert [at for at in mine if at < 3.0] and [at for at in mine if at > 6.0]
    assert not [at for at in mine if 3.0 < at < 6.0]
    names = [info.model for info in scoring.held.agents]  # type: ignore[attr-defined]
    assert len(names) == 5


def test_the_auction_takes_who_comes_and_an_error_of_a_policy_ends_the_run() -> None:
    auction = policies(find_mechanism("vcg"))["iemas"](0)
    found, _ = ends(auction, (2.0, "large-a", "leaves"), (8.0, "large-b", "joins"))
    assert {agent for *_, agent in found} <= {agent.name for agent in FLEET}
    with pytest.raises(ServingError, match="it is full"):
        ends(Refusing(), (1.0, "small-a", "joins"))


def test_changes_after_the_last_request_do_not_hold_up_the_run() -> None:
    _, scoring = ends(Growing(), (1e6, "small-a", "leaves"))
    assert scoring.held.seconds < 1e3  # type: ignore[attr-defined]


def test_policies_that_cannot_join_are_found_out_before() -> None:
    churn = changes([(5.0, "small-a", "leaves"), (9.0, "small-a", "joins")])
    with pytest.raises(StudyError, match=r"mine takes no agent more while it serves, and small-a joins: it has no"):
        require_joining(RoundRobin(), FLEET, churn, None, "mine")
    with pytest.raises(StudyError, match=r"mine takes no agent more .*: it is full; leave it out"):
        require_joining(Refusing(), FLEET, churn, None, "mine")
    require_joining(policies(find_mechanism("vcg"))["iemas"](0), FLEET, churn, 2, "iemas")
    require_joining(RoundRobin(), FLEET, churn[:1], None, "mine")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([(1.0, "nobody", "leaves")], "no agent 'nobody' in this fleet; there are: small-a, "),
        ([(1.0, "small-a", "dies")], "an agent cannot 'dies'; it leaves or joins"),
        ([(-1.0, "small-a", "leaves")], r"at_s = -1\.0; expected seconds"),
        ([("soon", "small-a", "leaves")], "at_s = 'soon'"),
        ([(1.0, "small-a")], r"\(1\.0, 'small-a'\) is no change"),
        ([(1.0, "small-a", "leaves"), (2.0, "small-a", "leaves")], "small-a leaves at 2 s, and is gone already"),
        ([(1.0, "small-a", "joins"), (2.0, "small-a", "joins")], "small-a joins at 2 s, and is there already"),
        ([(k, agent.name, "leaves") for k, agent in enumerate(FLEET)], "nobody is left when large-b leaves at 3 s"),
        ([(k, agent.name, "joins") for k, agent in enumerate(FLEET)], "nobody is there at the beginning"),
    ],
)
def test_what_cannot_happen_is_refused(given: list[object], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        beginning(FLEET, changes(given))


def test_changes_happen_in_the_order_of_their_moments() -> None:
    assert changes([(3.0, "a", "joins"), [1.0, "a", "leaves"], Change(2, "b", "leaves")]) == (
        Change(1.0, "a", "leaves"), Change(2, "b", "leaves"), Change(3.0, "a", "joins"),
    )  # fmt: skip
    assert [one.name for one in beginning(FLEET, changes([(3.0, "small-a", "joins")]))] == [
        "small-b",
        "large-a",
        "large-b",
    ]


NAMES = [agent.name for agent in FLEET]


@pytest.mark.parametrize("seed", range(20))
def test_agents_come_and_go_as_they_may_and_somebody_is_always_there(seed: int) -> None:
    found = Coming(20.0, 60.0).drawn(NAMES, seed, until_s=300.0)
    assert found == changes(found) and max(one.at_s for one in found) <= 300.0
    assert len(beginning(FLEET, found)) == len(FLEET)
    assert found == Coming(20.0, 60.0).drawn(NAMES, seed, until_s=300.0)


def test_agents_are_away_as_long_as_is_said() -> None:
    found, until_s = Coming(30.0, 10.0).drawn(NAMES, 0, until_s=1e5), 1e5
    away, left = 0.0, dict[str, float]()
    for one in found:
        if one.event == "leaves":
            left[one.agent] = one.at_s
        else:
            away += one.at_s - left.pop(one.agent)
    assert away / len(NAMES) / until_s == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("given", [(0.0, 1.0), (1.0, -1.0), (float("inf"), 1.0)])
def test_a_mean_that_is_no_time_is_refused(given: tuple[float, float]) -> None:
    with pytest.raises(StudyError, match=r"_s = .*; expected seconds, more than 0"):
        Coming(*given)
