"""INSCIT: people seek information, and an agent answers from passages of Wikipedia.

Wu et al., "INSCIT: Information-Seeking Conversations with Mixed-Initiative Interactions", TACL 11, 2023. The file
holds one example per agent turn: the utterances so far, and one or two annotated replies with their evidence.

The context is our choice, since the file names no document: all passages that any reply of the dialogue
rests on, once each, in the order in which they are first needed. It is what a retriever would have put into the
prompt, it is the same on every turn, and it is long (about a thousand words; cap it with `load(context_words=...)`).
It also holds passages that only later turns need, so answers here are easier to find than for a live retriever.
"""

from collections.abc import Iterator

from experiments.data.layouts.dialogue import Dialogue, Turn
from experiments.data.layouts.reading import Json, Layout, spoken


def _passages(examples: list[Json]) -> str:
    passages: dict[str, str] = {}
    for example in examples:
        for label in example.at("labels").each():
            for evidence in label.at("evidence").each():
                heading = " > ".join(evidence.at("passage_titles").texts())
                passage = f"{heading}\n{evidence.at('passage_text').text()}"
                passages.setdefault(evidence.at("passage_id").text(), passage)
    return "\n\n".join(passages.values())


def _turn(example: Json, after: Json | None) -> Turn:
    replies = tuple(label.at("response").text() for label in example.at("labels").each())
    if after is not None:
        # Only the next example shows which of the annotated replies the dialogue went on with.
        continued = after.at("context").texts()[-2:-1]
        replies = (*continued, *(reply for reply in replies if reply not in continued))
    return Turn("".join(example.at("context").texts()[-1:]), spoken(replies))


def _dialogues(raw: Json) -> Iterator[Dialogue]:
    for name, entry in raw.items():
        examples = list(entry.at("turns").each())
        turns = tuple(_turn(example, after) for example, after in zip(examples, [*examples[1:], None], strict=True))
        title = entry.at("seedArticle").at("title").text()
        yield Dialogue(name, _passages(examples), turns, f"INSCIT layout, {title}")


INSCIT = Layout(
    name="INSCIT",
    licence="none stated by its authors: use it locally, do not redistribute",
    recognises=lambda raw: (
        not isinstance(raw.value, list) and raw.first().peek("turns").first().has("context", "labels")
    ),
    dialogues=_dialogues,
)
