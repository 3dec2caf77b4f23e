"""The bound in hindsight: by hand, against every router in many small worlds, and how much room it leaves."""

import random
from dataclasses import replace

import numpy as np
import pytest

from experiments.data import Corpus, Dialogue, Turn, conversation
from experiments.studies.arena.contest import World
from experiments.studies.arena.hindsight import _held, hindsight
from experiments.studies.arena.play import Cell, play
from experiments.studies.arena.rivals import everybody
from experiments.worlds.fleets import FLEET
from experiments.worlds.presets import PRESETS
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.dialogues import Conversation, DialogueTraffic
from mechanisms import Preferences
from prediction import TokenPrices
from runtime import calibration
from runtime.engines.simulated.tokens import encode_chat
from tests.experiments.studies.arena.test_play import dialogue

SMALL, LARGE = FLEET[0], FLEET[2]


def load(*conversations: Conversation) -> DialogueTraffic:
    return DialogueTraffic("made up", conversations, 1.0, 16)


def said(one: Dialogue, worth: float = 100.0, delay: float = 10.0, name: str = "0000/a") -> Conversation:
    return Conversation(name, one, name, Preferences(worth, delay), 0.0)


def test_one_turn_is_worth_what_the_better_agent_makes_of_it_alone() -> None:
    one = dialogue("a", graded=True)
    first = replace(one, turns=one.turns[:1])
    [found] = hindsight(load(said(first)), (SMALL, LARGE))
    tokens = len(encode_chat(conversation(first, 0, ())))
    gains = []
    for agent in (SMALL, LARGE):
        step = calibration(agent.calibration)
        wait = step.overhead_s + step.seconds(tokens, 1, 0, tokens * (tokens + 1) // 2)
        # "at two" and the mark behind it.
        gains.append(100 * agent.skill - 10 * wait - agent.prices.cost(tokens, 0, 3))
    assert found == pytest.approx(max(gains)) and gains[0] != pytest.approx(gains[1], rel=0.01)


def test_it_stops_where_going_on_is_a_loss_and_goes_through_a_loss_to_what_is_worth_it() -> None:
    one, poor = dialogue("a", graded=True), dialogue("b", graded=False)
    assert hindsight(load(said(poor)), FLEET) == (0.0,)
    [both] = hindsight(load(said(one)), FLEET)
    [first] = hindsight(load(said(replace(one, turns=one.turns[:1]))), FLEET)
    assert both > first > 0
    # A first turn that costs more than it is worth, for the sake of four that follow from a warm cache.
    long = Dialogue("c", "A quay. " * 400, tuple(Turn(f"{k}?", ("yes",)) for k in range(5)), "test")
    [whole] = hindsight(load(said(long, 12.0, 0.0)), FLEET)
    [start] = hindsight(load(said(replace(long, turns=long.turns[:1]), 12.0, 0.0)), FLEET)
    assert start == 0.0 < whole


def test_what_is_held_is_what_others_who_said_the_same_before_have_said() -> None:
    assert _held([[(1, 2, 3), (7, 8)], [(1, 2, 4), (7, 8)], [(1, 2, 3), (7, 9)]]) == [[3, 1], [2, 0], [3, 1]]
    assert _held([[(1, 2, 3), (7, 8)]]) == [[0, 0]]


def test_a_copy_of_a_conversation_may_find_all_of_it_in_the_cache() -> None:
    one = Dialogue("a", "A quay. " * 100, (Turn("When?", ("at two",)),), "test")
    alone = sum(hindsight(load(said(one)), FLEET))
    twice = hindsight(load(said(one), said(one, name="0001/a")), FLEET)
    assert twice[0] == twice[1] > alone


def test_where_there_is_no_room_for_all_of_an_answer_its_first_token_is_all_that_counts() -> None:
    talk = Dialogue("a", "A quay.", (Turn("When?", ("at two o'clock, and again at four",)),) * 2, "test")
    corpus = Corpus("made up", (talk,), "none", "a test", "0" * 64, "native")
    length = len(encode_chat(conversation(talk, 0, ())))
    tight = replace(SMALL, skill=1.0, shape=replace(SMALL.shape, max_model_len=length + 1), prices=TokenPrices(0, 0, 1))
    cell = Cell("tight", (corpus,), 1.0, PRESETS["differing"], (tight,), max_tokens=16)
    traffic = cell.workload(0)
    roomy = hindsight(traffic, (replace(tight, shape=SMALL.shape),))
    # One token at one credit, where all of it would be a dozen.
    assert hindsight(replace(traffic, max_tokens=1), (tight,)) == hindsight(traffic, (tight,))
    assert hindsight(traffic, (tight,))[0] > roomy[0] / 2 > 0


def world(seed: int) -> Cell:
    """Conversations of a few turns, some alike, on some agents at some prices."""
    draw = random.Random(seed)
    dialogues = []
    for k in range(draw.randint(1, 5)):
        context = f"Quay {draw.choice((1, 1, k))}. " * draw.choice((1, 20, 120))
        turns = tuple(
            Turn(
                f"{draw.choice(('When', 'Where', 'Why'))} is it, in {draw.randint(1, 2)} words?" * draw.choice((1, 9)),
                ("at two " * draw.choice((1, 1, 30)),),
            )
            for _ in range(draw.randint(1, 4))
        )
        dialogues.append(Dialogue(f"d{k}", context, turns, "test", draw.random() < 0.8))
    corpus = Corpus("made up", tuple(dialogues), "none", "a test", "0" * 64, "native")
    fleet = tuple(
        replace(
            agent,
            name=f"agent-{j}",
            skill=draw.random(),
            # Somebody must be able to hold every prompt.
            shape=replace(agent.shape, block_size=draw.choice((16, 32, 64)), max_model_len=(4096, 200)[j % 2]),
            prices=TokenPrices(*(draw.choice((0.0, 0.001, 0.02)) for _ in range(3))),
        )
        for j, agent in enumerate(draw.choices(FLEET, k=draw.randint(1, 3)))
    )
    preset = PRESETS[draw.choice(("differing", "varied", "paper"))]
    return Cell("small", (corpus,), draw.choice((0.1, 1.0, 20.0)), preset, fleet, max_tokens=draw.choice((2, 48)))


def of_fleet(fleet: tuple[SimulatedAgent, ...]) -> list[str]:
    return [name for name in everybody(fleet) if not name.startswith("iemas without")]


def test_no_router_exceeds_it_in_many_small_worlds() -> None:
    played: set[str] = set()
    close = 0.0
    for seed in range(60):
        cell = world(seed)
        names = of_fleet(cell.fleet)
        bound = np.array(hindsight(cell.workload(seed), cell.fleet, cell.preset.prices))
        for name in (names[seed % len(names)], "iemas"):
            found = play(everybody(cell.fleet)[name], cell, seed)
            # Costs are rounded to micro-units, each request's.
            assert (np.array(found.welfare) <= bound + 1e-5).all(), (seed, name)
            assert (np.array(found.welfare_last) <= bound + 1e-5).all(), (seed, name)
            played.add(name)
            close = max(close, found.total / bound.sum() if bound.sum() > 0 else 0.0)
    assert played == set(of_fleet(FLEET))
    # It is touched, or nearly.
    assert close > 0.98


def test_on_the_shipped_dialogues_it_leaves_the_auction_little_room() -> None:
    cell = World(("shipped",), 0.5).cell()
    bound = sum(hindsight(cell.workload(0), cell.fleet))
    ours, theirs = (play(everybody(cell.fleet)[name], cell, 0).total for name in ("iemas", "random"))
    assert 0.8 * bound < ours < bound and theirs < 0.75 * bound
