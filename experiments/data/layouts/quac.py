"""QuAC v0.2: a student asks about a section of an encyclopedia that only the teacher sees.

Choi et al., "QuAC: Question Answering in Context", EMNLP 2018. The validation file holds several answers to a question;
as in the authors' scoring, those that say "cannot answer" win if they are at least half, and else are dropped. Dataset
hubs have a row for each section, with questions and answers as columns.
"""

from collections.abc import Iterator

from experiments.data.layouts.dialogue import UNANSWERABLE, Dialogue, Turn
from experiments.data.layouts.reading import Json, Layout, spoken
from experiments.errors import DatasetError

_CANNOT = "CANNOTANSWER"


def _references(answers: tuple[str, ...]) -> tuple[str, ...]:
    answered = tuple(answer for answer in answers if answer.strip() != _CANNOT)
    return answered if 2 * len(answered) > len(answers) else (UNANSWERABLE,) * bool(answers)


def _context(title: str, article: Json, section: str) -> str:
    # Every context ends with the word that marks unanswerable questions; a served prompt would not hold it.
    heading = f"{title}: {article.at('section_title').text()}"
    background = article.at("background").text() if article.has("background") else ""
    return "\n\n".join(part for part in (heading, background, section.rstrip().removesuffix(_CANNOT).rstrip()) if part)


def _dialogue(article: Json, paragraph: Json) -> Dialogue:
    title = article.at("title").text()
    turns = tuple(
        Turn(
            question.at("question").text(),
            spoken(_references(tuple(answer.at("text").text() for answer in question.at("answers").each()))),
        )
        for question in paragraph.at("qas").each()
    )
    context = _context(title, article, paragraph.at("context").text())
    return Dialogue(paragraph.at("id").text(), context, turns, f"QuAC layout, {title}")


def _dialogues(raw: Json) -> Iterator[Dialogue]:
    for article in raw.at("data").each():
        for paragraph in article.at("paragraphs").each():
            yield _dialogue(article, paragraph)


def _columns(raw: Json) -> Iterator[Dialogue]:
    for entry in raw.each():
        title = entry.at("wikipedia_page_title").text()
        questions = entry.at("questions").texts()
        answers = [each.texts() for each in entry.at("answers").at("texts").each()]
        if len(questions) != len(answers):
            raise DatasetError(f"{entry.where} has {len(questions)} questions and answers to {len(answers)}")
        turns = tuple(Turn(text, spoken(_references(each))) for text, each in zip(questions, answers, strict=True))
        context = _context(title, entry, entry.at("context").text())
        yield Dialogue(entry.at("dialogue_id").text(), context, turns, f"QuAC layout, {title}")


def _recognises(raw: Json) -> bool:
    # SQuAD nests its questions alike but has no dialogue; only QuAC says whether to follow up.
    articles = raw.peek("data").some()
    paragraphs = (paragraph for article in articles for paragraph in article.peek("paragraphs").some())
    return any(question.has("question", "followup") for each in paragraphs for question in each.peek("qas").some())


QUAC_COLUMNS = Layout(
    name="QuAC, hub columns",
    licence="CC BY-SA 4.0",
    recognises=lambda raw: any(
        entry.has("wikipedia_page_title", "questions") and entry.peek("answers").has("texts") for entry in raw.some()
    ),
    dialogues=_columns,
)

QUAC = Layout(
    name="QuAC v0.2",
    licence="CC BY-SA 4.0",
    recognises=_recognises,
    dialogues=_dialogues,
)
