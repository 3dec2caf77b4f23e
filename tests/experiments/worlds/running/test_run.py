import json
from dataclasses import replace
from math import isnan
from pathlib import Path

import pytest

from allocation import MICROS, to_micros
from experiments.data import Corpus, Dialogue, Turn, arrivals
from experiments.results.measures import averaged, measure, true_value
from experiments.worlds.fleets import simulated_fleet
from experiments.worlds.running.run import PolicyRun, run_policy
from experiments.worlds.traffic.dialogues import DialogueTraffic, dialogue_traffic
from mechanisms import Preferences, find_mechanism
from runtime import Declined, Event, Ledger, PaperAuction, Policy, RoundRules, Served, running
from runtime.engines.simulated.virtual_time import run


def corpus(*, graded: bool = True, dialogues: int = 3) -> Corpus:
    made = tuple(
        Dialogue(
            f"d{k}",
            f"Document {k}. The ferry leaves at {k} o'clock from the old quay. " * 6,
            tuple(Turn(f"When does ferry {t} leave?", (f"{k} o'clock",)) for t in range(3)),
            "test",
            graded,
        )
        for k in range(dialogues)
    )
    return Corpus("made up", made, "none", "a test", "0" * 64, "native")


def load(corpora: list[Corpus], seed: int = 0) -> DialogueTraffic:
    count = sum(len(one.dialogues) for one in corpora)
    return dialogue_traffic(
        corpora,
        arrivals(count, rate_per_s=0.5, think_time_s=1.0, seed=seed),
        bidders=2,
        preferences=lambda rng: Preferences.paper(float(rng.uniform(0.6, 0.9))),
        max_tokens=16,
        seed=seed,
    )


def hold(policy: Policy, requests: DialogueTraffic, books: Ledger | None = None, slots: int = 2) -> PolicyRun:
    engines, prices = simulated_fleet(requests)

    async def main() -> PolicyRun:
        async with running(engines):
            return await run_policy(
                policy, requests, engines, prices, seed=1, rounds=RoundRules(slots=slots), ledger=books or Ledger()
            )

    return run(main(), virtual=True)


def auction() -> PaperAuction:
    return PaperAuction(find_mechanism("vcg"))


def test_every_turn_is_asked_in_order_with_the_replies_received() -> None:
    requests = load([corpus()])
    done = hold(auction(), requests)
    assert len(done.served) + len(done.declined) == requests.turns == 9
    by_id = {one.request.id: one for one in done.served}
    for one in requests.conversations:
        earlier = [by_id[f"{one.name}/{turn}"] for turn in range(2)]
        last = by_id[f"{one.name}/2"].request.messages
        assert [message.content for message in last if message.role == "assistant"] == [
            served.completion.text for served in earlier
        ]
        assert earlier[0].arrived_s >= one.starts_s


def test_the_same_seed_gives_the_same_world_and_the_same_figures() -> None:
    one, two = (measure(hold(auction(), load([corpus()]))) for _ in range(2))
    same = {name for name in one.as_dict() if name != "decide_ms"}
    assert {name: one.as_dict()[name] for name in same} == pytest.approx(
        {name: two.as_dict()[name] for name in same}, nan_ok=True
    )
    assert load([corpus()]).conversations == load([corpus()]).conversations
    assert load([corpus()]).conversations != load([corpus()], seed=1).conversations


def test_measures_are_what_they_say() -> None:
    done = hold(auction(), load([corpus()]))
    figures = measure(done)
    served = done.served
    assert figures.hit_rate == sum(s.completion.cached_tokens for s in served) / sum(
        s.completion.prompt_tokens for s in served
    )
    welfare = sum(true_value(s, done.preferences[s.request.bidder]) - s.cost / MICROS for s in served)
    assert figures.welfare == pytest.approx(welfare)
    assert figures.surplus == pytest.approx(figures.payments - sum(s.cost for s in served) / MICROS)
    assert figures.auction_surplus >= 0
    assert 0 < figures.latency_nmae < 2


def test_welfare_counts_waits_of_the_declined_and_neither_stakes_nor_what_nobody_can_grade() -> None:
    done = hold(auction(), load([corpus()]))
    before, one = measure(done).welfare, done.served[0]
    bidder = one.request.bidder
    told = Declined(one.arrived_s + 3.0, one.offer, "worth less than it costs")
    waited = measure(replace(done, declined=(*done.declined, told))).welfare
    assert waited == pytest.approx(before - 3.0 * done.preferences[bidder].delay_cost)
    staked = {name: replace(true, stake=1000.0) for name, true in done.preferences.items()}
    assert measure(replace(done, preferences=staked)).welfare == pytest.approx(before)
    true = done.preferences[bidder]
    right, ungraded = (true_value(replace(one, quality=quality), true) for quality in (1.0, None))
    assert right - ungraded == pytest.approx(true.worth)
    assert (
        ungraded == true_value(replace(one, quality=0.0), true) == pytest.approx(-true.delay_cost * one.first_token_s)
    )


def test_books_and_measures_agree() -> None:
    with Ledger() as books:
        done = hold(auction(), load([corpus()]), books)
        totals = books.totals()
    assert totals.entries == len(done.served)
    assert totals.charges == sum(one.charge for one in done.served)
    assert totals.costs == sum(one.cost for one in done.served)


def test_ungraded_answers_make_no_claim_of_quality() -> None:
    done = hold(auction(), load([corpus(graded=False)]))
    assert all(one.quality is None for one in done.served)
    assert isnan(measure(done).quality)


def test_a_bidder_who_wants_nothing_is_declined_and_his_dialogue_ends() -> None:
    requests = dialogue_traffic(
        [corpus(dialogues=1)],
        arrivals(1, rate_per_s=1.0, think_time_s=1.0, seed=0),
        bidders=1,
        preferences=lambda rng: Preferences(0.0, 1.0),
        max_tokens=16,
        seed=0,
    )
    done = hold(auction(), requests)
    assert (len(done.served), len(done.declined)) == (0, 1)
    assert measure(done).requests == 0


def test_a_policy_that_cannot_learn_ends_the_study_and_says_why() -> None:
    class Amnesiac(PaperAuction):
        def notice(self, event: Event) -> None:
            if isinstance(event, Served) and event.request.turn == 1:
                raise ValueError("what was that?")

    with pytest.raises(ValueError, match="what was that"):
        hold(Amnesiac(find_mechanism("vcg")), load([corpus()]))


def test_contested_is_the_share_of_requests_who_pay_for_displacing_somebody() -> None:
    requests = dialogue_traffic(
        [corpus(dialogues=40)],
        arrivals(40, rate_per_s=50.0, think_time_s=0.1, seed=0),
        bidders=40,
        preferences=lambda rng: Preferences(float(rng.uniform(20.0, 90.0)), 0.1),
        max_tokens=16,
        seed=0,
    )
    done = hold(auction(), requests, slots=1)
    statistics = done.statistics
    assert statistics.decided == len(done.served)
    paying = [one for one in done.served if one.predicted and one.charge > to_micros(one.predicted.cost)]
    assert statistics.contested == len(paying) > 0
    assert measure(done).contested == pytest.approx(len(paying) / len(done.served))


def test_averages_over_seeds() -> None:
    figures = measure(hold(auction(), load([corpus()])))
    mean, spread = averaged([figures, figures])
    assert mean.welfare == pytest.approx(figures.welfare)
    assert spread.welfare == 0


def test_results_are_saved_as_plain_data(tmp_path: Path) -> None:
    from experiments.studies.demo import Plan, examine, simulate

    plan = Plan(data=("shipped",), dialogues=2, turns=2, seeds=(0,), policies=("iemas", "sticky"), rate=1.0)
    steps: list[tuple[str, int, int]] = []
    result = simulate(plan, examine(plan), lambda *step: steps.append(step))
    result.save(tmp_path)
    saved = json.loads((tmp_path / "results.json").read_text())
    assert list(saved["policies"]) == ["iemas", "sticky"]
    assert saved["policies"]["sticky"]["mean"]["payments"] is None
    assert saved["simulated"] is True
    assert "first 2 of" in saved["workload"]
    rows = [json.loads(line) for line in (tmp_path / "requests.jsonl").read_text().splitlines()]
    assert len(rows) == 8
    assert steps[-1][1:] == (4, 4)
