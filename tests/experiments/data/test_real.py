"""The real files, where this machine has them: they load whole, and are named for what they are."""

from pathlib import Path

import pytest

from experiments.data import conversation, find_real, gold_replies, load
from experiments.data.catalogue import known
from experiments.files import checksum

TITLES = {
    "coqa/coqa_one_real_dialogue.json": "coqa/coqa_one_real_dialogue.json (1 dialogue, 20 turns)",
    "inscit/dev.json": "inscit/dev.json (86 dialogues, 502 turns)",
    "dialogues/mtrag/mtrag_human_reference_subset.json": (
        "mtrag/mtrag_human_reference_subset.json (20 dialogues, 159 turns)"
    ),
    "dialogues/taskmaster/tm4_data_07.json": "taskmaster/tm4_data_07.json (210 dialogues, 394 turns)",
    "sgd/dialogues_001.json": "sgd/dev/dialogues_001.json (128 dialogues, 825 turns)",
    "sgd/dialogues_002.json": "sgd/dev/dialogues_002.json (128 dialogues, 962 turns)",
    "sgd/dialogues_003.json": "sgd/dev/dialogues_003.json (128 dialogues, 866 turns)",
    "hotpotqa/hotpot_dev_distractor_subset_meve.json": (
        "hotpotqa/hotpot_dev_distractor_subset_meve.json (100 dialogues, 100 turns)"
    ),
    "hotpotqa/hotpotqa_train_subset_hipporag.json": (
        "hotpotqa/hotpotqa_train_subset_hipporag.json (100 dialogues, 100 turns)"
    ),
}
#: Without documents, thus without contexts.
BARE = {
    "dialogues/oasst/en_100_tree.jsonl": "oasst/en_100_tree.jsonl (359 dialogues, 756 turns)",
    "dialogues/mt_bench/question.jsonl": "mt_bench/question.jsonl (80 dialogues, 160 turns)",
}


@pytest.mark.parametrize("name", TITLES)
def test_a_real_file_loads_and_is_named_honestly(name: str, datasets: Path) -> None:
    corpus = load(datasets / name)
    assert corpus.title == TITLES[name]
    for dialogue in corpus.dialogues:
        last = len(dialogue.turns) - 1
        assert len(conversation(dialogue, last, gold_replies(dialogue, last))) == 2 * last + 2
        assert dialogue.context.strip()
        assert all(turn.question.strip() for turn in dialogue.turns)


@pytest.mark.parametrize("name", BARE)
def test_a_real_file_without_contexts(name: str, datasets: Path) -> None:
    corpus = load(datasets / name)
    assert (corpus.title, corpus.graded_turns) == (BARE[name], 0)
    for dialogue in corpus.dialogues:
        last = len(dialogue.turns) - 1
        chat = conversation(dialogue, last, [turn.answers[0] if turn.answers else "" for turn in dialogue.turns[:last]])
        assert len(chat) == 2 * last + 1
        assert all(turn.question.strip() for turn in dialogue.turns)


def test_branches_of_a_tree_begin_alike(datasets: Path) -> None:
    corpus = load(datasets / "dialogues" / "oasst" / "en_100_tree.jsonl")
    assert len({dialogue.turns[0].question for dialogue in corpus.dialogues}) == 100


def test_they_are_found_and_the_retyped_dialogue_is_not_taken_for_one(datasets: Path) -> None:
    found = find_real([datasets])
    assert [known(checksum(path)) for path in found].count(None) == 0
    assert {path.relative_to(datasets).as_posix() for path in found} == {*TITLES, *BARE} - {
        "coqa/coqa_one_real_dialogue.json"
    }


def test_inscit_contexts_are_long_and_can_be_capped(datasets: Path) -> None:
    corpus = load(datasets / "inscit" / "dev.json")
    assert sum(len(dialogue.context.split()) for dialogue in corpus.dialogues) / len(corpus.dialogues) > 1000
    assert max(len(dialogue.context.split()) for dialogue in corpus.capped(600).dialogues) <= 600


def test_mtrag_is_graded_where_every_question_has_its_passages(datasets: Path) -> None:
    whole = load(datasets / "dialogues" / "mtrag" / "mtrag_human_reference_subset.json")
    assert whole.graded_turns == whole.turns == 159
    last = load(datasets / "dialogues" / "mtrag" / "mtragun_reference.jsonl")
    assert (len(last.dialogues), last.turns, last.graded_turns) == (507, 2191, 42)


def test_taskmaster_scenarios_are_prefixes_in_common(datasets: Path) -> None:
    corpus = load(datasets / "dialogues" / "taskmaster" / "tm4_data_07.json")
    assert corpus.graded_turns == 0
    assert len({dialogue.context for dialogue in corpus.dialogues}) == 32
