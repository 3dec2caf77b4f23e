"""Every layout, read from the smallest file that has its shape: these run everywhere."""

import json
from pathlib import Path

import pytest

from experiments.data import UNANSWERABLE, Turn, load
from experiments.errors import DatasetError
from tests.experiments.data.samples import (
    ASKED,
    BO,
    COQA,
    HOTPOTQA,
    HOTPOTQA_COLUMNS,
    INSCIT,
    MT_BENCH,
    MTRAG,
    MTRAG_ROWS,
    NATIVE,
    OASST,
    QUAC,
    SAMPLES,
    SGD,
    TASKMASTER,
    message,
    read,
    task,
)


@pytest.mark.parametrize("layout", SAMPLES)
def test_the_layout_is_known_by_the_content(layout: str, tmp_path: Path) -> None:
    assert read(tmp_path, SAMPLES[layout]).layout == layout


def test_an_unidentified_file_is_named_after_itself_and_not_after_its_layout(tmp_path: Path) -> None:
    corpus = read(tmp_path, COQA)
    assert corpus.title == f"{tmp_path.name}/misleading-quac-name.json (1 dialogue, 2 turns)"
    assert corpus.origin.startswith("unidentified file")


def test_coqa_keeps_every_annotator_in_order_and_drops_blanks(tmp_path: Path) -> None:
    dialogue = read(tmp_path, COQA).dialogues[0]
    assert (dialogue.id, dialogue.context) == ("abc", COQA["data"][0]["story"])  # type: ignore[index]
    assert [turn.answers for turn in dialogue.turns] == [("Ada", "Ada"), ("Bo", "it is called Bo", "Bo")]


def test_quac_lets_half_the_annotators_decide_that_there_is_no_answer(tmp_path: Path) -> None:
    dialogue = read(tmp_path, QUAC).dialogues[0]
    assert dialogue.turns[0].answers == ("Ada has a cat", "a cat")
    assert dialogue.turns[1].answers == (UNANSWERABLE,)
    assert dialogue.context == "Ada: Cats\n\nAda lives in Oru.\n\nAda has a cat. It is called Bo."


def test_both_hotpotqa_layouts_hold_the_same_dialogue(tmp_path: Path) -> None:
    original, columns = (read(tmp_path, raw).dialogues for raw in (HOTPOTQA, HOTPOTQA_COLUMNS))
    assert original == columns
    assert original[0].context == "Bo\nBo is a cat. She is Ada's.\n\nOru\nOru is a lake."


def test_inscit_puts_each_passage_once_and_the_reply_that_was_given_first(tmp_path: Path) -> None:
    dialogue = read(tmp_path, INSCIT).dialogues[0]
    assert dialogue.turns[0].answers == ("A cat.", "A pet.")
    assert dialogue.turns[1].question == "Whose?"
    assert [part.splitlines()[1] for part in dialogue.context.split("\n\n")] == [
        "Passage 2.",
        "Passage 1.",
        "Passage 3.",
    ]


def test_sgd_replies_are_recorded_but_not_graded(tmp_path: Path) -> None:
    corpus = read(tmp_path, SGD)
    dialogue = corpus.dialogues[0]
    assert [(turn.question, turn.answers) for turn in dialogue.turns] == [
        ("A table, please.", ("Where?",)),
        ("In Oru.", ()),
    ]
    assert not dialogue.graded
    assert (corpus.turns, corpus.graded_turns) == (2, 0)
    assert "Restaurants, RideSharing" in dialogue.context


def test_sgd_refuses_a_system_that_answers_nobody(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"turns\[2\]: 'SYSTEM' speaks"):
        read(tmp_path, [{**SGD[0], "turns": [*SGD[0]["turns"][:2], {"speaker": "SYSTEM", "utterance": "Hello?"}]}])


def test_both_mtrag_layouts_hold_the_same_dialogue_with_each_passage_once(tmp_path: Path) -> None:
    whole, rows = (read(tmp_path, raw).dialogues for raw in (MTRAG, MTRAG_ROWS))
    assert whole == rows and len(whole) == 1
    assert whole[0].context == "Bo is a cat.\n\nOru\nA lake."
    assert [(turn.question, turn.answers) for turn in whole[0].turns] == [
        ("Who is Bo?", ("A cat.",)),
        ("How old?", ("I do not know.", UNANSWERABLE)),
    ]
    assert whole[0].graded


def test_mtrag_with_the_last_question_alone_is_not_graded(tmp_path: Path) -> None:
    corpus = read(tmp_path, MTRAG_ROWS[1:])
    assert [turn.question for turn in corpus.dialogues[0].turns] == ["Who is Bo?", "How old?"]
    assert (corpus.turns, corpus.graded_turns) == (2, 0)
    assert read(tmp_path, MTRAG_ROWS[:1]).graded_turns == 1


def test_taskmaster_shares_its_scenarios_and_is_not_graded(tmp_path: Path) -> None:
    corpus = read(tmp_path, TASKMASTER)
    assert [dialogue.context for dialogue in corpus.dialogues] == ["You want two.", "Coffee: Order two\n\nHello!"]
    assert [[(turn.question, turn.answers) for turn in dialogue.turns] for dialogue in corpus.dialogues] == [
        [("Two, please.", ("Sure.",)), ("Thanks.", ())],
        [("Two, please.", ("Sure.",))],
    ]
    assert corpus.graded_turns == 0


def test_openassistant_makes_a_dialogue_of_every_question_that_nobody_goes_on_from(tmp_path: Path) -> None:
    corpus = read(tmp_path, OASST)
    assert [[(turn.question, turn.answers) for turn in dialogue.turns] for dialogue in corpus.dialogues] == [
        [("Who is Bo?", ("A cat.",)), ("Whose?", ("Ada's.", "No idea."))],
        [("Who is Bo?", ("A cat.",)), ("How old?", ())],
        [("Who is Bo?", ("Bo?",)), ("The cat.", ("Ah.",))],
    ]
    assert (corpus.graded_turns, {dialogue.context for dialogue in corpus.dialogues}) == (0, {""})
    alone = read(tmp_path, [{"message_tree_id": "t", "prompt": message("prompter", "?", message("assistant", "!"))}])
    assert [dialogue.turns for dialogue in alone.dialogues] == [(Turn("?", ("!",)),)]


def test_mt_bench_goes_on_from_references_where_there_are_some(tmp_path: Path) -> None:
    corpus = read(tmp_path, MT_BENCH)
    assert [[(turn.question, turn.answers) for turn in dialogue.turns] for dialogue in corpus.dialogues] == [
        [("Write.", ()), ("Again.", ())],
        [("1 + 1?", ("2",)), ("And 1?", ("3",))],
    ]
    assert corpus.graded_turns == 0
    assert [dialogue.id for dialogue in corpus.dialogues] == ["mt-bench-81", "mt-bench-82"]


def test_our_own_layout_states_its_licence_and_shares_its_preambles(tmp_path: Path) -> None:
    corpus = read(tmp_path, NATIVE)
    assert (corpus.licence, corpus.origin) == ("Apache-2.0", "a test")
    assert corpus.dialogues[0].context == "You sit at a desk.\n\nBo\n\nBo is a cat.\n\nShe is Ada's."


def test_repeated_ids_are_told_apart(tmp_path: Path) -> None:
    corpus = read(tmp_path, HOTPOTQA * 3)
    assert [dialogue.id for dialogue in corpus.dialogues] == ["5a8", "5a8#2", "5a8#3"]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("<!DOCTYPE html><html><title>coqa-dev-v1.0.json</title></html>", "is a web page"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (json.dumps(COQA)[:-40], "not whole JSON"),
        ('{"id": 1}\n{"id": 2}\n', "no known layout: it holds a list of 2 elements"),
        ('{"id": 1}\n{"id": \n', "line 2 is not JSON"),
        ("[" * 100_000, "not whole JSON"),
        ("{}", "no known layout: it holds an empty object"),
        ("[]", "no known layout: it holds an empty list"),
        ("3", "no known layout: it holds the int '3'"),
        ('{"data": [{"paragraphs": [{"context": "c", "qas": [{"question": "SQuAD?"}]}]}]}', "no known layout"),
        ('{"format": "iemas-dialogues/1", "dialogues": []}', "holds no dialogue"),
    ],
)
def test_what_is_no_data_file_is_refused_by_name(content: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "coqa-dev-v1.0.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=found) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(b"\xff\xfe\x00\xd8 parquet")
    with pytest.raises(DatasetError, match="not whole JSON"):
        load(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        load(tmp_path / "absent.json")
    with pytest.raises(DatasetError, match="one file"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ({"data": [COQA["data"][0], {"story": 3, "questions": [], "answers": []}]}, r"data\[1\]"),
        ([*HOTPOTQA, {"question": "?", "context": [["title", "no list"]]}], r"\[1\].context\[0\]"),
        ([{**HOTPOTQA_COLUMNS[0], "context": {"title": ["one"], "sentences": []}}], "shorter"),
        ([{"dialogue_id": "x", "services": [], "turns": []}, *SGD], "'x' has no turns"),
        ([*SGD, {"dialogue_id": "x", "services": [], "turns": []}], "'x' has no turns"),
        ({"dial1": {**INSCIT["dial1"], "seedArticle": None}}, "dial1.seedArticle: expected an object"),
        ({**MTRAG, "documents": [BO]}, r"tasks\[1\].contexts\[0\] is not among the documents"),
        ([task(1, *ASKED[:2], passages=[], answer="")], r"\[0\].input has 2 utterances"),
        ([{**TASKMASTER[0], "utterances": [{"speaker": "nobody", "text": "?"}]}], r"utterances\[0\]: 'nobody' speaks"),
        (
            [{"message_tree_id": "t", "prompt": message("prompter", "?", message("prompter", "!"))}],
            r"prompt.replies\[0\]: 'prompter' speaks, where 'assistant' should",
        ),
        ([{"message_tree_id": "t", "prompt": message("assistant", "!")}], "prompt: 'assistant' begins"),
        ([{**MT_BENCH[1], "reference": ["2"]}], r"\[0\] has 1 references for 2 turns"),
        ({**NATIVE, "documents": {}}, "documents: expected an object with the key 'bo'"),
    ],
)
def test_a_broken_layout_says_where(raw: object, where: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=where) as caught:
        read(tmp_path, raw)
    assert "misleading-quac-name.json" in str(caught.value)


def test_a_cap_keeps_whole_paragraphs_and_shows_in_the_name(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(NATIVE), encoding="utf-8")
    corpus = load(path, context_words=8)
    assert corpus.dialogues[0].context == "You sit at a desk.\n\nBo"
    assert corpus.title.endswith("data.json, contexts cut to 8 words (1 dialogue, 1 turn)")
    assert load(path, context_words=2).dialogues[0].context == "You sit"
    assert load(path, context_words=1000).dialogues == load(path).dialogues


def test_a_part_of_a_corpus_is_named_as_a_part(tmp_path: Path) -> None:
    corpus = read(tmp_path, HOTPOTQA * 3)
    assert corpus.first(2).title.endswith("misleading-quac-name.json, first 2 of 3 (2 dialogues, 2 turns)")
    assert corpus.first(3) is corpus
