"""Agents that break answers off and misstate what they are: what a router makes of it, and what it cost them."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from experiments.errors import StudyError
from experiments.routers.plain.spread import RoundRobin
from experiments.worlds.disturbed import Breaks, Disturbed, Statement
from experiments.worlds.fleets import FLEET, LARGE_PRICES
from experiments.worlds.presets import find_preset
from experiments.worlds.running.run import hold_traffic
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.workloads.workload import Dialogues
from runtime import Declined, Event, Failed, FirstToken, RoundRules, Served, running
from runtime.accounts.sums import SumsLedger
from runtime.engines.simulated.virtual_time import run

LOAD = Dialogues("shipped", rate=2.0, dialogues=4, turns=3, think_time_s=1.0).draw(find_preset("differing"), 1)


class Run:
    """Everything that became of the traffic, in turn to each agent."""

    def __init__(
        self, *statements: Statement, breaks: Breaks | None = None, fleet: Sequence[SimulatedAgent] = FLEET
    ) -> None:
        self.lost: list[Declined] = []
        self.events: list[Event] = []
        self.ends: list[Served | Declined] = []
        self.load = Disturbed(LOAD, fleet, 3, breaks, statements, self.lost.append)
        run(self._hold(), virtual=True)

    async def _hold(self) -> None:
        engines = [self.load.engine(agent) for agent in self.load.stated]
        prices = [agent.prices for agent in self.load.stated]
        async with running(engines):
            with SumsLedger() as books:
                self.held = await hold_traffic(
                    RoundRobin(), self.load, engines, prices, rounds=RoundRules(depth=1), ledger=books,
                    ended=self.ends.append, subscribers=[self.events.append],
                )  # fmt: skip
                self.totals = books.totals()

    @property
    def served(self) -> list[Served]:
        return [end for end in self.ends if isinstance(end, Served)]


def test_agents_that_do_nothing_of_the_kind_are_as_they_were_and_cost_what_they_bill() -> None:
    made = Run()
    assert len(made.served) == LOAD.turns and not made.lost
    assert made.load.costs.total == sum(end.cost for end in made.served) > 0
    assert not made.load.costs.broken


def test_what_breaks_after_its_first_token_is_lost_for_nothing_and_ends_its_conversation() -> None:
    made = Run(breaks=Breaks(after=1.0))
    assert not made.served and len(made.lost) == len(LOAD.names)
    assert {end.request.turn for end in made.lost} == {0} and all(end.waited_s > 0 for end in made.lost)
    assert sum(isinstance(event, FirstToken) for event in made.events) == len(made.lost)
    assert not any(event.retried for event in made.events if isinstance(event, Failed))
    assert made.totals.charges == made.totals.receipts == 0
    assert sum(made.load.costs.broken.values()) > 0 and not made.load.costs.served


def test_what_breaks_before_it_is_tried_elsewhere_as_often_as_the_rules_have_it() -> None:
    made = Run(breaks=Breaks(before=1.0))
    tries = [event for event in made.events if isinstance(event, Failed) and event.agent is not None]
    assert len(made.lost) == len(LOAD.names) and not any(isinstance(event, FirstToken) for event in made.events)
    assert len(tries) == RoundRules().attempts * len(made.lost)
    some = Run(breaks=Breaks(before=0.2))
    again = {event.offer.request.id for event in some.events if isinstance(event, Failed) and event.retried}
    assert again & {end.request.id for end in some.served} and some.load.costs.broken


def test_more_of_one_kind_breaks_whatever_broke_before_and_moves_none_of_the_other() -> None:
    names = [f"r{k}" for k in range(2000)]

    def broken(breaks: Breaks, how: str) -> set[str]:
        return {name for name in names if breaks.drawn(0, "a", name) == how}

    few, many = Breaks(before=0.1, after=0.3), Breaks(before=0.4, after=0.3)
    assert broken(few, "before") < broken(many, "before") and broken(few, "after") == broken(many, "after")
    assert len(broken(few, "before")) == pytest.approx(200, abs=50)
    assert len(broken(few, "after")) == pytest.approx(600, abs=80)


def test_an_agent_is_paid_by_the_list_it_states_and_its_work_costs_what_it_did() -> None:
    honest, made = Run(), Run(Statement("small-a", prices=LARGE_PRICES))
    mine, true = ([end for end in one.served if end.agent == 0] for one in (made, honest))
    assert sum(end.receipt for end in mine) == pytest.approx(2 * sum(end.receipt for end in true), rel=1e-6)
    assert made.load.costs.served == honest.load.costs.served


def test_an_agent_says_another_model_and_more_room_and_answers_as_it_did() -> None:
    made = Run(Statement("small-a", model="large", slots=99))
    assert (made.held.agents[0].model, made.held.agents[0].slots) == ("large", 99)
    assert made.held.agents[1] == Run().held.agents[1]
    assert [end.quality for end in made.served] == [end.quality for end in Run().served]


def test_an_agent_bills_more_tokens_but_never_more_than_there_may_be() -> None:
    twice, honest = Run(Statement("small-a", billed=2.0)), Run()
    pairs = [(a.completion, b.completion) for a, b in zip(twice.served, honest.served, strict=True) if a.agent == 0]
    assert pairs and all(a.prompt_tokens == 2 * b.prompt_tokens for a, b in pairs)
    assert all(a.output_tokens == min(2 * b.output_tokens, 48) and not a.token_ids for a, b in pairs)
    assert twice.load.costs.served == honest.load.costs.served
    most = Run(Statement("small-a", billed=1e4))
    shape = FLEET[0].shape
    assert {end.completion.prompt_tokens for end in most.served if end.agent == 0} == {shape.max_model_len}
    assert all(end.completion.cached_tokens <= shape.max_model_len for end in most.served)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Breaks(0.6, 0.5), r"chances 0\.6 and 0\.5; expected at most 1 in all"),
        (lambda: Breaks(-0.1), "chances -0.1 and 0.0"),
        (lambda: Statement("a", billed=0.0), "'a' bills 0.0 tokens for each"),
        (lambda: Statement("a", billed=float("nan")), "bills nan"),
        (lambda: Statement("a", slots=0), "'a' says it serves 0 requests at once"),
        (lambda: Disturbed(LOAD, FLEET, 0, None, [Statement("nobody")]), "statements of nobody; expected one each"),
        (lambda: Disturbed(LOAD, FLEET, 0, None, [Statement("small-a")] * 2), "statements of small-a, small-a"),
    ],
)
def test_what_no_agent_could_do_is_refused(made, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StudyError, match=said):
        made()


def test_quality_is_that_of_the_agent_as_it_is() -> None:
    load = Disturbed(LOAD, FLEET, 0, None, [Statement("small-a", model="large")])
    name = f"{LOAD.names[0]}/0"
    assert load.quality(replace(FLEET[0], skill=1.0), name) == LOAD.quality(FLEET[0], name)
