"""QuAC v0.2: a student asks about a section of an encyclopedia that only the teacher sees.

Choi et al., "QuAC: Question Answering in Context", EMNLP 2018. The validation file holds several answers to a question;
as in the authors' scoring, those that say "cannot answer" win if they are at least half, and else are dropped.
"""

from collections.abc import Iterator

from experiments.data.layouts.dialogue import UNANSWERABLE, Dialogue, Turn
from experiments.data.layouts.reading import Json, Layout, spoken

_CANNOT = "CANNOTANSWER"


def _references(answers: tuple[str, ...]) -> tuple[str, ...]:
    answered = tuple(answer for answer in answers if answer != _CANNOT)
    return answered if 2 * len(answered) > len(answers) else (UNANSWERABLE,) * bool(answers)


def _dialogue(article: Json, paragraph: Json) -> Dialogue:
    # Every context ends with the word that marks unanswerable questions; a served prompt would not hold it.
    section = paragraph.at("context").text().removesuffix(_CANNOT).rstrip()
    title = article.at("title").text()
    heading = f"{title}: {article.at('section_title').text()}"
    background = article.at("background").text() if article.has("background") else ""
    turns = tuple(
        Turn(
            question.at("question").text(),
            spoken(_references(tuple(answer.at("text").text() for answer in question.at("answers").each()))),
        )
        for question in paragraph.at("qas").each()
    )
    context = "\n\n".join(part for part in (heading, background, section) if part)
    return Dialogue(paragraph.at("id").text(), context, turns, f"QuAC layout, {title}")


def _dialogues(raw: Json) -> Iterator[Dialogue]:
    for article in raw.at("data").each():
        for paragraph in article.at("paragraphs").each():
            yield _dialogue(article, paragraph)


def _recognises(raw: Json) -> bool:
    # SQuAD nests its questions alike but has no dialogue; only QuAC says whether to follow up.
    return raw.peek("data").first().peek("paragraphs").first().peek("qas").first().has("question", "followup")


QUAC = Layout(
    name="QuAC v0.2",
    licence="CC BY-SA 4.0",
    recognises=_recognises,
    dialogues=_dialogues,
)
