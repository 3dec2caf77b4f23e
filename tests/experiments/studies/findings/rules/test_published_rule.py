"""The published rule beside the exact one: what it loses by which of its parts, on markets worked out by hand."""

import pytest

from allocation import MICROS, Market
from experiments.errors import StudyError
from experiments.studies.findings.rules.published_rule import Capped, Part, Published, answer, best_gains, compared, run
from experiments.studies.findings.rules.served import World

SMALL = World(copies=2, rate=50.0, bidders=4, dialogues=2, turns=1)


def credits(rows: list[list[int]]) -> list[list[int]]:
    return [[value * MICROS for value in row] for row in rows]


def test_what_is_lost_is_told_apart() -> None:
    # Matching both takes 1 + 1 where the best is 9 + nobody; with both served, the second is matched and loses nothing.
    first = Market(credits([[10, 2], [2, -5]]), credits([[1, 1], [1, 1]]), [2, 2])
    # One slot, two who want it: the loser is served free, at a welfare of -1 that nobody pays.
    second = Market(credits([[5], [0]]), credits([[1], [1]]), [2])
    one = compared([first], 1)
    assert one["exact"] == 9.0 and one["cardinality"] == 7.0 and one["free"] == 0.0 and one["binds"] == 100.0
    two = compared([second], 1)
    assert two["cardinality"] == 0.0 and two["free"] == 1.0 and two["binds"] == 0.0
    assert two["published surplus"] == -1.0 and two["exact surplus"] == 0.0


def test_only_the_published_rule_can_be_gained_from() -> None:
    market = Market(credits([[5], [4]]), credits([[1], [1]]), [2])
    assert max(best_gains(Published(1), market)) == 4 * MICROS
    assert best_gains(Capped(1), market) == [0, 0]


def test_a_served_world_answers() -> None:
    found = answer(Part(1, 0, SMALL, 3)).figures
    assert found["exact gains"] == 0.0 and found["exact"] >= found["exact surplus"] >= 0.0
    assert found["published"] == pytest.approx(found["exact"] - found["cardinality"] - found["free"])
    assert found["published live served"] == 100.0


def test_bad_input_is_refused() -> None:
    with pytest.raises(StudyError, match="expected one at least of each"):
        run(seeds=[0], workers=0, progress=lambda done, total: None, slots=(0, 1))
    with pytest.raises(StudyError, match="no round was held"):
        compared([], 1)
