"""CoQA v1.0: a story, then questions about it that lean on the answers before.

Reddy, Chen and Manning, "CoQA: A Conversational Question Answering Challenge", TACL 7, 2019. The development file
carries three more answers by other people to every question; all four are kept as gold. Dataset hubs have questions and
answers as columns, without the additional ones.
"""

from collections.abc import Iterator

from experiments.data.layouts.dialogue import Dialogue, Turn
from experiments.data.layouts.reading import Json, Layout, spoken
from experiments.errors import DatasetError


def _dialogue(index: int, entry: Json) -> Dialogue:
    more = [answers for _, answers in entry.at("additional_answers").items()] if entry.has("additional_answers") else []
    by_turn = [_by_turn(answers) for answers in (entry.at("answers"), *more)]
    turns = tuple(
        Turn(text, spoken(tuple(answers[turn] for answers in by_turn if turn in answers)))
        for turn, text in sorted(_by_turn(entry.at("questions")).items())
    )
    name = entry.at("id").text() if entry.has("id") else f"coqa-{index}"
    return Dialogue(name, entry.at("story").text(), turns, f"CoQA layout, {entry.at('source').text()}")


def _by_turn(utterances: Json) -> dict[int, str]:
    texts: dict[int, str] = {}
    for entry in utterances.each():
        turn = entry.at("turn_id").number()
        if turn in texts:
            raise DatasetError(f"{entry.where} has turn_id {turn} a second time; which one counts is not said")
        texts[turn] = entry.at("input_text").text()
    return texts


def _dialogues(raw: Json) -> Iterator[Dialogue]:
    for index, entry in enumerate(raw.at("data").each()):
        yield _dialogue(index, entry)


def _columns(raw: Json) -> Iterator[Dialogue]:
    for index, entry in enumerate(raw.each()):
        questions, answers = entry.at("questions").texts(), entry.at("answers").at("input_text").texts()
        if len(questions) != len(answers):
            raise DatasetError(f"{entry.where} has {len(questions)} questions and {len(answers)} answers")
        turns = tuple(Turn(text, spoken((answer,))) for text, answer in zip(questions, answers, strict=True))
        source = f"CoQA layout, {entry.at('source').text()}"
        yield Dialogue(f"coqa-{index}", entry.at("story").text(), turns, source)


_LICENCE = (
    "mixed: Wikipedia and literature CC BY-SA 4.0, CNN Apache-2.0, "
    "MCTest Microsoft Research licence, RACE its own terms"
)

COQA_COLUMNS = Layout(
    name="CoQA, hub columns",
    licence=_LICENCE,
    recognises=lambda raw: any(
        entry.has("story", "questions") and entry.peek("answers").has("input_text") for entry in raw.some()
    ),
    dialogues=_columns,
)

COQA = Layout(
    name="CoQA v1.0",
    licence=_LICENCE,
    recognises=lambda raw: any(entry.has("story", "questions", "answers") for entry in raw.peek("data").some()),
    dialogues=_dialogues,
)
