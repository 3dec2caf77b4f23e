"""The smallest file of every layout that has its shape."""

import json
from pathlib import Path

from experiments.data import Corpus, load


def spoken(turn_id: int, text: str) -> dict[str, object]:
    return {"turn_id": turn_id, "input_text": text}


COQA = {
    "version": "1.0",
    "data": [
        {
            "source": "wikipedia",
            "id": "abc",
            "story": "Ada has a cat. It is called Bo.",
            "questions": [spoken(1, "Who has a cat?"), spoken(2, "What is it called?")],
            "answers": [spoken(1, "Ada"), spoken(2, "Bo")],
            "additional_answers": {
                "0": [spoken(1, "Ada"), spoken(2, "it is called Bo")],
                "1": [spoken(1, " "), spoken(2, "Bo")],
            },
        }
    ],
}
QUAC = {
    "data": [
        {
            "title": "Ada",
            "section_title": "Cats",
            "background": "Ada lives in Oru.",
            "paragraphs": [
                {
                    "id": "C_1",
                    "context": "Ada has a cat. It is called Bo. CANNOTANSWER",
                    "qas": [
                        {"question": q, "followup": "y", "answers": [{"text": text} for text in answers]}
                        for q, answers in (
                            ("Has she a cat?", ["Ada has a cat", "a cat", "CANNOTANSWER"]),
                            ("Is it old?", ["CANNOTANSWER", "It is"]),
                        )
                    ],
                }
            ],
        }
    ],
}
HOTPOTQA = [
    {
        "_id": "5a8",
        "question": "Whose cat?",
        "answer": "Ada",
        "type": "bridge",
        "supporting_facts": [["Bo", 0]],
        "context": [["Bo", ["Bo is a cat.", " She is Ada's."]], ["Oru", ["Oru is a lake."]]],
    }
]
HOTPOTQA_COLUMNS = [
    {
        "id": "5a8",
        "question": "Whose cat?",
        "answer": "Ada",
        "type": "bridge",
        "context": {"title": ["Bo", "Oru"], "sentences": [["Bo is a cat.", " She is Ada's."], ["Oru is a lake."]]},
    }
]


def passage(number: int) -> dict[str, object]:
    return {"passage_id": f"Bo:{number}", "passage_text": f"Passage {number}.", "passage_titles": ["Bo", "Life"]}


INSCIT = {
    "dial1": {
        "seedArticle": {"title": "Bo"},
        "turns": [
            {
                "context": ["Who is Bo?"],
                "labels": [
                    {"response": "A pet.", "evidence": [passage(2)]},
                    {"response": "A cat.", "evidence": [passage(1), passage(2)]},
                ],
            },
            {
                "context": ["Who is Bo?", "A cat.", "Whose?"],
                "labels": [{"response": "Ada's.", "evidence": [passage(1), passage(3)]}],
            },
        ],
    }
}
SGD = [
    {
        "dialogue_id": "1_00000",
        "services": ["Restaurants_2", "RideSharing_1"],
        "turns": [
            {"speaker": "USER", "utterance": "A table, please."},
            {"speaker": "SYSTEM", "utterance": "Where?"},
            {"speaker": "USER", "utterance": "In Oru."},
        ],
    }
]


def task(turn: int, *said: str, passages: list[dict[str, str]], answer: str, **more: object) -> dict[str, object]:
    return {
        "task_id": f"c1<::>{turn}",
        "input": [{"speaker": ("user", "agent")[k % 2], "text": text} for k, text in enumerate(said)],
        "contexts": passages,
        "targets": [{"speaker": "agent", "text": answer}],
        "Answerability": ["ANSWERABLE"],
        "Collection": "cats",
        **more,
    }


BO = {"document_id": "bo", "title": "Bo", "text": "Bo is a cat."}
ORU = {"document_id": "oru", "title": "Oru", "text": "Oru\nA lake."}
ASKED = ("Who is Bo?", "A cat.", "How old?")
MTRAG_ROWS = [
    task(1, *ASKED[:1], passages=[BO], answer="A cat."),
    task(2, *ASKED, passages=[ORU, BO], answer="I do not know.", Answerability=["UNANSWERABLE"]),
]
MTRAG = {
    "documents": [ORU, BO],
    "tasks": [
        {**row, "contexts": [{"document_id": name} for name in names]}
        for row, names in zip(MTRAG_ROWS, (["bo"], ["oru", "bo"]), strict=True)
    ],
}
TASKMASTER = [
    {
        "conversation_id": f"dlg-{name}",
        "vertical": "Coffee",
        "scenario": "Order two",
        "instructions": instructions,
        "utterances": [{"speaker": who, "text": text} for who, text in said],
    }
    for name, instructions, said in (
        ("a", "You want two.\n", [("user", "Two, please."), ("assistant", "Sure."), ("user", "Thanks.")]),
        ("b", None, [("assistant", "Hello!"), ("user", "Two, please."), ("assistant", "Sure.")]),
    )
]


def message(role: str, text: str, *replies: dict[str, object], **more: object) -> dict[str, object]:
    return {"role": role, "text": text, "deleted": False, "replies": list(replies), **more}


OASST = [
    {
        "message_tree_id": "t",
        "prompt": message(
            "prompter",
            "Who is Bo?",
            message("assistant", "A dog.", rank=2),
            message("assistant", "Bo?", message("prompter", "The cat.", message("assistant", "Ah."))),
            message("assistant", "Gone.", rank=0, deleted=True),
            message(
                "assistant",
                "A cat.",
                message(
                    "prompter",
                    "Whose?",
                    message("assistant", "No idea.", rank=1),
                    message("assistant", "Ada's.", rank=0),
                ),
                message("prompter", "How old?"),
                rank=1,
            ),
        ),
    }
]
MT_BENCH = [
    {"question_id": 81, "category": "writing", "turns": ["Write.", "Again."]},
    {"question_id": 82, "category": "math", "turns": ["1 + 1?", "And 1?"], "reference": ["2", "3"]},
]
NATIVE = {
    "format": "iemas-dialogues/1",
    "licence": "Apache-2.0",
    "origin": "a test",
    "preambles": {"desk": "You sit at a desk."},
    "documents": {"bo": {"title": "Bo", "preamble": "desk", "text": ["Bo is a cat.", "She is Ada's."]}},
    "dialogues": [{"id": "bo-1", "document": "bo", "turns": [{"question": "Whose?", "answers": ["Ada's"]}]}],
}
SAMPLES = {
    "CoQA v1.0": COQA,
    "QuAC v0.2": QUAC,
    "HotpotQA, original": HOTPOTQA,
    "HotpotQA, hub columns": HOTPOTQA_COLUMNS,
    "INSCIT": INSCIT,
    "Schema-Guided Dialogue": SGD,
    "MTRAG": MTRAG,
    "MTRAG, a row for each task": MTRAG_ROWS,
    "Taskmaster": TASKMASTER,
    "OpenAssistant": OASST,
    "MT-bench": MT_BENCH,
    "iemas-dialogues/1": NATIVE,
}


def read(folder: Path, raw: object) -> Corpus:
    path = folder / "misleading-quac-name.json"
    path.write_text(json.dumps(raw), encoding="utf-8")
    return load(path)
