"""`Scoring` against plain sums over the requests that `run_policy` keeps."""

from dataclasses import replace

import numpy as np
import pytest

from allocation import MICROS
from experiments.data import load, locate
from experiments.data.chats import Schedule
from experiments.errors import StudyError
from experiments.routers.catalogue import policies
from experiments.worlds.fleets import FLEET, simulated_fleet
from experiments.worlds.running.run import PolicyRun, run_policy
from experiments.worlds.running.scores import Score, Scoring
from experiments.worlds.traffic.dialogues import DialogueTraffic, dialogue_traffic
from experiments.worlds.traffic.traffic import conversation_of
from mechanisms import Preferences, find_mechanism
from runtime import Declined, Ledger, RoundRules, Served, running
from runtime.engines.simulated.virtual_time import run


def traffic(deadline: float = float("inf"), worth: float = 60.0) -> DialogueTraffic:
    def draw(rng: np.random.Generator) -> Preferences:
        return Preferences(float(rng.uniform(1, worth)), float(rng.uniform(0.5, 8)), deadline=deadline)

    corpus = load(locate("shipped")).shortened(2).first(4)
    return dialogue_traffic(
        [corpus], Schedule((0.0, 0.1, 0.2, 3.0), 1.0), bidders=3, preferences=draw, max_tokens=12, seed=2
    )


def held(requests: DialogueTraffic, policy: str = "posted") -> tuple[PolicyRun, Score]:
    engines, prices = simulated_fleet(requests)

    async def main() -> PolicyRun:
        async with running(engines):
            with Ledger() as books:
                return await run_policy(
                    policies(find_mechanism("vcg"))[policy](0),
                    requests,
                    engines,
                    prices,
                    seed=2,
                    rounds=RoundRules(slots=2, depth=1),
                    ledger=books,
                )

    done = run(main(), virtual=True)
    scoring = Scoring(requests, FLEET)
    for end in (*done.served, *done.declined):
        scoring(end)
    return done, scoring.score(done.statistics, done.seconds)


def test_every_figure_is_that_of_a_plain_sum() -> None:
    requests = traffic()
    done, score = held(requests)
    assert done.served and done.declined, "the posted prices are to be dear for some"
    types = requests.types
    welfare = dict.fromkeys(requests.names, 0.0)
    last, value = dict(welfare), 0.0
    for one in done.served:
        true, skill = types[one.request.bidder], FLEET[one.agent].skill
        wait = one.dispatched_s - one.offer.arrived_s + one.completion.first_token_s
        assert one.first_token_s == pytest.approx(wait)
        value += true.worth * skill - true.delay_cost * one.first_token_s
        welfare[conversation_of(one.request.id)] += (
            true.worth * skill - true.delay_cost * one.first_token_s - one.cost / MICROS
        )
        last[conversation_of(one.request.id)] += (
            true.worth * skill - true.delay_cost * one.latency_s - one.cost / MICROS
        )
    for end in done.declined:
        lost = types[end.request.bidder].delay_cost * end.waited_s
        value -= lost
        welfare[conversation_of(end.request.id)] -= lost
        last[conversation_of(end.request.id)] -= lost
    assert score.welfare == pytest.approx(tuple(welfare.values())) and score.welfare_last == pytest.approx(
        tuple(last.values())
    )
    assert score.total == pytest.approx(sum(score.welfare)) and score.judged("last-token") == score.welfare_last
    assert (score.served, score.declined) == (len(done.served), len(done.declined))
    waits = [one.first_token_s for one in done.served]
    assert [score.wait_median, score.wait_p95, score.wait_p99] == pytest.approx(np.quantile(waits, [0.5, 0.95, 0.99]))
    assert score.latency_p95 == pytest.approx(np.quantile([one.latency_s for one in done.served], 0.95))
    assert score.cost == pytest.approx(np.mean([one.cost for one in done.served]) / MICROS)
    prompts = sum(one.completion.prompt_tokens for one in done.served)
    assert score.hit_rate == sum(one.completion.cached_tokens for one in done.served) / prompts
    charges = sum(one.charge for one in done.served) / MICROS
    assert score.charges == charges and score.bidders_surplus == pytest.approx(value - charges)
    assert score.surplus == pytest.approx(charges - sum(one.receipt for one in done.served) / MICROS)
    by = [sum(one.agent == j for one in done.served) / len(done.served) for j in range(4)]
    assert score.shares == tuple(by) and score.seconds == done.seconds
    assert score.quality == pytest.approx(np.mean([FLEET[one.agent].skill for one in done.served]))
    assert score.worth == tuple(types[requests.bidder(name)].worth for name in requests.names)
    loss = sum(types[one.request.bidder].delay_cost * one.first_token_s + one.cost / MICROS for one in done.served)
    loss += sum(types[end.request.bidder].delay_cost * end.waited_s for end in done.declined)
    assert score.loss == pytest.approx(loss) and score.loss_per_request == pytest.approx(
        loss / (score.served + score.declined)
    )
    with pytest.raises(StudyError, match="no delay 'sometime'"):
        score.judged("sometime")


def test_a_late_answer_is_worth_what_preferences_say() -> None:
    """`Preferences.value`: nothing, or the loss that it is; never the wait alone, as if it had been no answer."""
    requests = traffic(worth=400.0)
    done, _ = held(requests, "random")
    [first, *_] = sorted(done.served, key=lambda one: one.first_token_s, reverse=True)
    late = {name: replace(one, deadline=first.first_token_s / 2) for name, one in requests.types.items()}
    strict = DialogueTraffic(
        requests.title,
        tuple(replace(one, preferences=late[one.bidder]) for one in requests.conversations),
        requests.think_time_s,
        requests.max_tokens,
        requests.seed,
    )
    scoring, total, some = Scoring(strict, FLEET), 0.0, 0
    for one in done.served:
        scoring(one)
        true = late[one.request.bidder]
        total += true.value(FLEET[one.agent].skill, one.first_token_s) / MICROS - one.cost / MICROS
        some += one.first_token_s > true.deadline
    assert 0 < some < len(done.served)
    assert scoring.score(done.statistics).total == pytest.approx(float(total), abs=1e-4)


def test_a_run_that_served_nobody_has_no_figures_of_answers() -> None:
    requests = traffic()
    done, _ = held(requests)
    score = Scoring(requests, FLEET).score(done.statistics)
    assert score.served == 0 and np.isnan([score.wait_median, score.hit_rate, score.cost, score.quality]).all()
    assert score.shares == () and score.total == 0.0


def test_an_agent_that_joined_counts_under_its_name() -> None:
    requests = traffic()
    done, _ = held(requests, "random")
    scoring = Scoring(requests, FLEET, FLEET[:3])
    scoring.joined(FLEET[3])
    again = Scoring(requests, FLEET, FLEET[1:])
    again.joined(FLEET[0])
    for one in done.served:
        scoring(one)
        again(one)
    shares = scoring.score(done.statistics).shares
    # Whom the router numbers 0 is the second of the fleet there, and the last is the first.
    assert again.score(done.statistics).shares == (shares[3], *shares[:3])


def test_types_of_ends_are_those_of_the_runtime() -> None:
    assert {Served, Declined} == {type(end) for run_ in [held(traffic())[0]] for end in (*run_.served, *run_.declined)}
