"""Chats and start times."""

import itertools

import pytest

from experiments.data import Dialogue, Turn, arrivals, conversation, gold_replies, shipped
from experiments.errors import DatasetError

DIALOGUE = Dialogue("d", "Bo is a cat.", (Turn("Who is Bo?", ("a cat",)), Turn("Whose?"), Turn("Why?")), "test")


def test_a_conversation_holds_the_replies_that_were_received() -> None:
    messages = conversation(DIALOGUE, 2, ["a dog", ""])
    assert [message.role for message in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [message.content for message in messages[1:]] == ["Who is Bo?", "a dog", "Whose?", "", "Why?"]
    assert messages[0].content.endswith("\n\nBo is a cat.")


@pytest.mark.parametrize("dialogue", shipped().dialogues, ids=lambda dialogue: dialogue.id)
def test_every_turn_extends_the_one_before(dialogue: Dialogue) -> None:
    chats = [conversation(dialogue, k, gold_replies(dialogue, k)) for k in range(len(dialogue.turns))]
    for earlier, later in itertools.pairwise(chats):
        assert later[: len(earlier)] == earlier
        assert len(later) == len(earlier) + 2


def test_an_ungraded_dialogue_gets_no_quiz_instructions() -> None:
    ungraded = Dialogue("d", "You book tables.", (Turn("A table."),), "test", graded=False)
    assert conversation(ungraded, 0, [])[0].content == "You book tables."


def test_a_wrong_turn_or_history_is_refused() -> None:
    with pytest.raises(IndexError, match="no turn 3"):
        conversation(DIALOGUE, 3, ["", "", ""])
    with pytest.raises(ValueError, match="follows 2 replies, but 1 were given"):
        conversation(DIALOGUE, 2, ["a dog"])
    with pytest.raises(DatasetError, match="turn 1 of dialogue 'd' has no recorded reply"):
        gold_replies(DIALOGUE, 2)


def test_a_closed_loop_starts_everything_at_once() -> None:
    schedule = arrivals(3, think_time_s=1.5)
    assert schedule.starts_s == (0.0, 0.0, 0.0)
    assert schedule.next_turn_s(10.0) == 11.5


def test_poisson_starts_are_ordered_repeatable_and_at_the_asked_rate() -> None:
    schedule = arrivals(4000, rate_per_s=8.0, seed=7)
    assert schedule == arrivals(4000, rate_per_s=8.0, seed=7)
    assert schedule != arrivals(4000, rate_per_s=8.0, seed=8)
    assert list(schedule.starts_s) == sorted(schedule.starts_s)
    # Five standard deviations of the mean of 4000 exponential gaps.
    assert schedule.starts_s[-1] / 4000 == pytest.approx(1 / 8, rel=5 / 4000**0.5)


def test_the_start_times_of_a_seed_never_change() -> None:
    assert arrivals(2, rate_per_s=1.0, seed=1).starts_s == pytest.approx((0.144291, 2.024447), abs=1e-6)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        arrivals(1, rate_per_s=rate)


def test_time_and_count_must_not_be_negative() -> None:
    with pytest.raises(ValueError, match="think_time_s=-1"):
        arrivals(1, think_time_s=-1.0)
