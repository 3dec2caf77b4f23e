"""HotpotQA: one question over ten paragraphs, two of which hold the answer between them.

Yang et al., "HotpotQA: A Dataset for Diverse, Explainable Multi-hop Question Answering", EMNLP 2018. Two layouts are
about: the original one, where a paragraph is `[title, sentences]`, and that of the dataset hubs, where titles
and sentences are two columns. Every question is a dialogue of one turn with its paragraphs as context.
"""

from collections.abc import Iterator

from experiments.data.layouts.dialogue import Dialogue, Turn
from experiments.data.layouts.reading import Json, Layout, spoken

_LICENCE = "CC BY-SA 4.0"


def _dialogue(index: int, entry: Json, paragraphs: list[tuple[str, tuple[str, ...]]]) -> Dialogue:
    key = next((key for key in ("_id", "id") if entry.has(key)), None)
    answers = spoken((entry.at("answer").text(),)) if entry.has("answer") else ()
    return Dialogue(
        id=entry.at(key).text() if key else f"hotpotqa-{index}",
        context="\n\n".join(f"{title}\n{''.join(sentences).strip()}" for title, sentences in paragraphs),
        turns=(Turn(entry.at("question").text(), answers),),
        source=f"HotpotQA layout, {entry.peek('type').value or 'question'}",
    )


def _original(raw: Json) -> Iterator[Dialogue]:
    for index, entry in enumerate(raw.each()):
        pairs = [tuple(pair.each()) for pair in entry.at("context").each()]
        yield _dialogue(index, entry, [(title.text(), sentences.texts()) for title, sentences in pairs])


def _columns(raw: Json) -> Iterator[Dialogue]:
    for index, entry in enumerate(raw.each()):
        context = entry.at("context")
        sentences = [column.texts() for column in context.at("sentences").each()]
        yield _dialogue(index, entry, list(zip(context.at("title").texts(), sentences, strict=True)))


def _contexts(raw: Json) -> Iterator[Json]:
    return (entry.peek("context") for entry in raw.some() if entry.has("question"))


HOTPOTQA = Layout(
    name="HotpotQA, original",
    licence=_LICENCE,
    recognises=lambda raw: any(
        isinstance(context.value, list) and isinstance(context.first().value, list) for context in _contexts(raw)
    ),
    dialogues=_original,
)

HOTPOTQA_COLUMNS = Layout(
    name="HotpotQA, hub columns",
    licence=_LICENCE,
    recognises=lambda raw: any(context.has("title", "sentences") for context in _contexts(raw)),
    dialogues=_columns,
)
