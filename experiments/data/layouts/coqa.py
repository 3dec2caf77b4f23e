"""CoQA v1.0: a story, then questions about it that lean on the answers before.

Reddy, Chen and Manning, "CoQA: A Conversational Question Answering Challenge", TACL 7, 2019. The development file
carries three more answers by other people to every question; all four are kept as gold.
"""

from collections.abc import Iterator

from experiments.data.layouts.dialogue import Dialogue, Turn
from experiments.data.layouts.reading import Json, Layout, spoken


def _dialogue(index: int, entry: Json) -> Dialogue:
    more = [answers for _, answers in entry.at("additional_answers").items()] if entry.has("additional_answers") else []
    by_turn = [_by_turn(answers) for answers in (entry.at("answers"), *more)]
    turns = tuple(
        Turn(text, spoken(tuple(answers[turn] for answers in by_turn if turn in answers)))
        for turn, text in _by_turn(entry.at("questions")).items()
    )
    name = entry.at("id").text() if entry.has("id") else f"coqa-{index}"
    return Dialogue(name, entry.at("story").text(), turns, f"CoQA layout, {entry.at('source').text()}")


def _by_turn(utterances: Json) -> dict[object, str]:
    return {entry.at("turn_id").value: entry.at("input_text").text() for entry in utterances.each()}


def _dialogues(raw: Json) -> Iterator[Dialogue]:
    for index, entry in enumerate(raw.at("data").each()):
        yield _dialogue(index, entry)


COQA = Layout(
    name="CoQA v1.0",
    licence=(
        "mixed: Wikipedia and literature CC BY-SA 4.0, CNN Apache-2.0, "
        "MCTest Microsoft Research licence, RACE its own terms"
    ),
    recognises=lambda raw: raw.peek("data").first().has("story", "questions", "answers"),
    dialogues=_dialogues,
)
