from dataclasses import replace

from experiments.routers.plain.classes import BestMeasured, best_class_least_load, best_single, cheapest
from tests.experiments.routers.plain.talks import asked, attached, chosen
from tests.runtime.policies.test_paper import completion, served


def test_the_cheapest_answers_all_while_it_lives() -> None:
    made = attached(cheapest())
    assert chosen(made, asked("r", "x"), inflight=[30, 0, 0]) == 0
    assert chosen(made, asked("r", "x"), inflight=[0, 4, 3], alive=[False, True, True]) == 2


def test_the_dearest_class_is_filled_evenly_and_left_only_when_it_is_gone() -> None:
    made = attached(best_class_least_load())
    assert chosen(made, asked("r", "x"), inflight=[0, 8, 7]) == 2
    assert chosen(made, asked("r", "x"), inflight=[0, 8, 7], alive=[True, False, False]) == 0


def test_best_single_is_one_agent() -> None:
    made = attached(best_single())
    assert chosen(made, asked("r", "x"), inflight=[0, 30, 0]) == 1
    assert chosen(made, asked("r", "x"), alive=[True, False, True]) != 1


def test_the_class_that_was_right_most_often_is_found_out_by_grades_alone() -> None:
    made = attached(BestMeasured())
    # As `talks.AGENTS` are three models, the dearer are believed in first.
    assert chosen(made, asked("r", "x")) == 1
    for k in range(30):
        one = asked(f"r{k}", "x")
        for at, right in ((0, 1.0), (1, 0.0), (2, 0.0)):
            made.notice(replace(served(one, at, completion(one), None), quality=right))
    assert chosen(made, asked("r", "x"), inflight=[30, 0, 0]) == 0
    for k in range(90):
        one = asked(f"s{k}", "x")
        made.notice(replace(served(one, 2, completion(one), None), quality=1.0))
        made.notice(replace(served(one, 0, completion(one), None), quality=0.0))
    assert chosen(made, asked("r", "x"), inflight=[0, 0, 30]) == 2
    # What nobody can grade says nothing against it.
    made.notice(replace(served(asked("t", "x"), 2, completion(asked("t", "x")), None), quality=None))
    assert chosen(made, asked("r", "x")) == 2
