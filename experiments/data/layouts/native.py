"""The project's own layout, for dialogues written by hand: documents and preambles are named once and shared.

    {"format": "iemas-dialogues/1", "licence": "...", "origin": "...",
     "preambles": {"desk": "You are ..."},
     "documents": {"ferry": {"title": "...", "preamble": "desk", "text": ["a paragraph", ...]}},
     "dialogues": [{"id": "ferry-1", "document": "ferry",
                    "turns": [{"question": "...", "answers": ["...", ...]}]}]}

A document's context is its preamble, if it names one, then title, then paragraphs: two dialogues about one
document share all of it as a prefix, two documents with one preamble share the preamble.
"""

from collections.abc import Iterator

from experiments.data.layouts.dialogue import Dialogue, Turn
from experiments.data.layouts.reading import Json, Layout, spoken

FORMAT = "iemas-dialogues/1"


def _context(document: Json, preambles: Json) -> str:
    preamble = [preambles.at(document.at("preamble").text()).text()] if document.has("preamble") else []
    return "\n\n".join([*preamble, document.at("title").text(), *document.at("text").texts()])


def _dialogues(raw: Json) -> Iterator[Dialogue]:
    for entry in raw.at("dialogues").each():
        document = raw.at("documents").at(entry.at("document").text())
        turns = tuple(
            Turn(turn.at("question").text(), spoken(turn.at("answers").texts())) for turn in entry.at("turns").each()
        )
        title = document.at("title").text()
        yield Dialogue(entry.at("id").text(), _context(document, raw.peek("preambles")), turns, title)


NATIVE = Layout(
    name=FORMAT,
    licence="not stated in the file",
    recognises=lambda raw: raw.peek("format").value == FORMAT,
    dialogues=_dialogues,
)
