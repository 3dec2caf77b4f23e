"""Files that are not quite what their layout says: read rightly, or refused with the place; never read wrongly."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.data import Corpus, conversation, load
from experiments.data.layouts.dialogue import Dialogue, Turn, distinct
from experiments.errors import DatasetError
from tests.experiments.data.samples import COQA, HOTPOTQA, HOTPOTQA_COLUMNS, QUAC, SGD, read


def changed(sample: Any, change: Any) -> Any:
    copy = deepcopy(sample)
    change(copy)
    return copy


def test_coqa_turns_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    corpus = read(tmp_path, changed(COQA, lambda raw: raw["data"][0]["questions"].reverse()))
    assert [turn.question for turn in corpus.dialogues[0].turns] == ["Who has a cat?", "What is it called?"]
    assert [turn.answers[0] for turn in corpus.dialogues[0].turns] == ["Ada", "Bo"]


@pytest.mark.parametrize("where", ["questions", "answers"])
def test_a_repeated_coqa_turn_is_refused_and_not_dropped(tmp_path: Path, where: str) -> None:
    def repeat(raw: Any) -> None:
        raw["data"][0][where][1]["turn_id"] = 1

    with pytest.raises(DatasetError, match=rf"{where}\[1\].*turn_id 1 a second time"):
        read(tmp_path, changed(COQA, repeat))


@pytest.mark.parametrize(
    ("sample", "empty"),
    [
        (HOTPOTQA, {"_id": "e", "question": "Whose?", "answer": "x", "context": []}),
        (HOTPOTQA_COLUMNS, {"id": "e", "question": "Whose?", "answer": "x", "context": {}}),
        (SGD, {"dialogue_id": "e", "services": [], "turns": []}),
        (SGD, {}),
    ],
)
def test_an_empty_first_entry_does_not_hide_the_layout(tmp_path: Path, sample: Any, empty: object) -> None:
    try:
        corpus = read(tmp_path, [empty, *sample])
    except DatasetError as error:
        assert "no known layout" not in str(error) and ("[0]" in str(error) or "'e' has no turns" in str(error))
    else:
        assert corpus.layout == read(tmp_path, sample).layout
        assert corpus.dialogues[-1].turns == read(tmp_path, sample).dialogues[0].turns


def test_a_lone_surrogate_is_refused_with_its_place(tmp_path: Path) -> None:
    def spoil(raw: Any) -> None:
        raw["data"][0]["questions"][1]["input_text"] = "What is\ud83d it?"

    with pytest.raises(DatasetError, match=r"questions\[1\].input_text.*U\+D83D.*no text"):
        read(tmp_path, changed(COQA, spoil))


def test_a_padded_cannotanswer_is_no_answer(tmp_path: Path) -> None:
    def pad(raw: Any) -> None:
        raw["data"][0]["paragraphs"][0]["qas"][1]["answers"][0]["text"] = " CANNOTANSWER "

    assert read(tmp_path, changed(QUAC, pad)).dialogues == read(tmp_path, QUAC).dialogues


@given(st.lists(st.sampled_from(["a", "a#2", "a#2#2", "a#3", "b"]), max_size=8))
def test_ids_are_made_distinct_whatever_they_are(ids: list[str]) -> None:
    dialogues = distinct(Dialogue(each, "", (Turn("q"),), "") for each in ids)
    assert len({dialogue.id for dialogue in dialogues}) == len(ids)
    assert [each.id for each in dialogues if each.id in ids][:1] == ids[:1]


HUB_COQA = [
    {
        "source": "wikipedia",
        "story": "Ada has a cat. It is called Bo.",
        "questions": ["Who has a cat?", "What is it called?"],
        "answers": {"input_text": ["Ada", "Bo"], "answer_start": [0, 22], "answer_end": [3, 24]},
    }
]
HUB_QUAC = [
    {
        "dialogue_id": "C_1",
        "wikipedia_page_title": "Ada",
        "background": "Ada lives in Oru.",
        "section_title": "Cats",
        "context": "Ada has a cat. It is called Bo. CANNOTANSWER",
        "turn_ids": ["C_1_q#0", "C_1_q#1"],
        "questions": ["Has she a cat?", "Is it old?"],
        "followups": [0, 0],
        "yesnos": [0, 0],
        "answers": {
            "texts": [["Ada has a cat", "a cat", "CANNOTANSWER"], ["CANNOTANSWER", "It is"]],
            "answer_starts": [[0], [0]],
        },
        "orig_answers": {"texts": ["a cat", "CANNOTANSWER"], "answer_starts": [0, 0]},
    }
]
CHATS = [
    {
        "id": "c1",
        "messages": [
            {"role": "system", "content": "You sit at a desk."},
            {"role": "user", "content": "Who has a cat?"},
            {"role": "assistant", "content": "Ada."},
            {"role": "user", "content": "What is it called?"},
        ],
    }
]


def test_the_hub_layouts_say_what_the_official_ones_say(tmp_path: Path) -> None:
    hub, official = read(tmp_path, HUB_QUAC), read(tmp_path, QUAC)
    assert (hub.dialogues[0].context, hub.dialogues[0].turns) == (
        official.dialogues[0].context,
        official.dialogues[0].turns,
    )
    coqa = read(tmp_path, HUB_COQA).dialogues[0]
    assert [(turn.question, turn.answers) for turn in coqa.turns] == [
        ("Who has a cat?", ("Ada",)),
        ("What is it called?", ("Bo",)),
    ]


def as_lines(folder: Path, entries: list[Any], end: str = "\n") -> Corpus:
    path = folder / "any.jsonl"
    path.write_text("\n".join(json.dumps(entry) for entry in entries) + end, encoding="utf-8")
    return load(path)


@pytest.mark.parametrize("sample", [HUB_COQA, HUB_QUAC, HOTPOTQA, HOTPOTQA_COLUMNS, SGD, CHATS])
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_every_list_may_come_one_entry_a_line(tmp_path: Path, sample: list[Any], end: str) -> None:
    twice = [sample[0], {**sample[0]}]
    assert as_lines(tmp_path, twice, end).dialogues == read(tmp_path, twice).dialogues


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "any.jsonl"
    path.write_text(f"{json.dumps(SGD[0])}\n{json.dumps(SGD[0])[:-5]}\n")
    with pytest.raises(DatasetError, match="line 2"):
        load(path)


def test_a_chat_that_begins_with_a_system_message(tmp_path: Path) -> None:
    [dialogue] = read(tmp_path, CHATS).dialogues
    assert dialogue.context == "You sit at a desk." and not dialogue.graded
    assert [turn.question for turn in dialogue.turns] == ["Who has a cat?", "What is it called?"]
    assert [message.role for message in conversation(dialogue, 1, ["Ada."])] == ["system", "user", "assistant", "user"]
    bare = changed(CHATS, lambda raw: raw[0]["messages"].pop(0))
    [without] = read(tmp_path, bare).dialogues
    assert without.context == "" and [message.role for message in conversation(without, 0, [])] == ["user"]


def test_a_service_that_speaks_first_greets(tmp_path: Path) -> None:
    greeted = changed(SGD, lambda raw: raw[0]["turns"].insert(0, {"speaker": "SYSTEM", "utterance": "Good day!"}))
    [dialogue] = read(tmp_path, greeted).dialogues
    assert dialogue.context.endswith("Good day!") and dialogue.turns == read(tmp_path, SGD).dialogues[0].turns
