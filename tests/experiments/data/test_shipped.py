"""The dialogues that come with the project: enough of them, varied, and answerable from their own text."""

import pytest

from experiments.data import Dialogue, shipped
from experiments.data.scoring import normalise

CORPUS = shipped()


def test_there_are_enough_and_they_are_ours() -> None:
    assert len(CORPUS.dialogues) >= 12
    assert len({dialogue.context for dialogue in CORPUS.dialogues}) >= 12
    assert CORPUS.licence == "Apache-2.0"
    assert CORPUS.graded_turns == CORPUS.turns


@pytest.mark.parametrize("dialogue", CORPUS.dialogues, ids=lambda dialogue: dialogue.id)
def test_each_is_of_the_promised_size(dialogue: Dialogue) -> None:
    assert 6 <= len(dialogue.turns) <= 10
    assert 150 <= len(dialogue.context.split()) <= 360
    assert all(1 <= len(turn.answers[0].split()) <= 12 for turn in dialogue.turns)


@pytest.mark.parametrize("dialogue", CORPUS.dialogues, ids=lambda dialogue: dialogue.id)
def test_each_answer_can_be_checked_in_the_text(dialogue: Dialogue) -> None:
    text = normalise(dialogue.context)
    for turn in dialogue.turns:
        assert turn.answers[0] in {"yes", "no", "unknown"} or any(normalise(a) in text for a in turn.answers), turn


def test_some_prompts_share_a_preamble_and_some_a_whole_document() -> None:
    contexts = [dialogue.context for dialogue in CORPUS.dialogues]
    openings = [context.partition("\n\n")[0] for context in contexts]
    assert len(set(contexts)) < len(contexts)
    assert max(openings.count(opening) for opening in openings) >= 5
    assert len(set(openings)) > 5
