"""Forecasters that are told: what they know is true."""

import numpy as np
import pytest

from experiments.studies.arena.contest import World
from experiments.studies.arena.play import play
from experiments.studies.arena.rivals import everybody
from experiments.studies.arena.told import ToldTimes
from prediction import AgentState, Pending, QueueModel
from runtime import StepTime

STEP = StepTime(0.1, 0.001, 0.005, 0.0, 0.02, "a test's own figures", 0.0, 0.0, 1e-6)
SLOW = StepTime(0.2, 0.002, 0.005, 0.001, 0.02, "a test's own figures", 0.0, 0.0)


def test_an_idle_engine_takes_what_its_step_takes() -> None:
    told = ToldTimes([STEP, SLOW])
    prompt, cached = np.array([[100, 100]]), np.array([[40, 0]])
    found = told.predict([AgentState(), AgentState()], prompt, cached, 5.0)
    assert found.start.tolist() == [0.0, 0.0]
    by_hand = [0.02 + STEP.seconds(60, 1, 0, 60 * 140 // 2), 0.02 + SLOW.seconds(100, 1, 0)]
    assert found.service[0] == pytest.approx(by_hand)


def test_it_waits_for_what_is_computed_and_learns_nothing_from_what_it_sees() -> None:
    told, learns = ToldTimes([STEP], depth=1), QueueModel(["m"], [0.0], depth=1)
    prompt, cached = np.array([[100]]), np.array([[0]])
    first = Pending(200, 0, sent_s=1.0)
    whole = 0.02 + STEP.seconds(200, 1, 0, 200 * 200 // 2)
    busy = told.predict([AgentState((first,))], prompt, cached, 1.1)
    assert busy.start[0] == pytest.approx(whole - 0.1)
    before = told.predict([AgentState()], prompt, cached, 50.0).total
    for model in (told, learns):
        for k in range(6):
            model.sent(0, f"r{k}", Pending(100, 0, sent_s=10.0 * k), 0)
            model.first_token(0, f"r{k}", 10.0 * k + 9.0)
    assert told.predict([AgentState()], prompt, cached, 90.0).total == pytest.approx(before)
    assert learns.predict([AgentState()], prompt, cached, 90.0).total[0, 0] > 5.0
    assert told.base_seconds() == pytest.approx([0.12])
    # Twice the mean number of tokens that each of a prompt's tokens attends to.
    assert told.seconds_per_token() == pytest.approx([0.001 + 1e-6 * 100])


def test_who_is_told_times_foretells_them_better_than_who_learns_them() -> None:
    cell = World(("shipped",), 2.0).cell()
    known = everybody(cell.fleet)
    told, learns = (play(known[name], cell, 0).latency_nmae for name in ("oracle of times", "oracle"))
    assert told < 0.08 and told < 0.7 * learns
