"""MTRAG: conversations over passages from four domains, each question with the passages and a reference answer.

Katsis et al., "MTRAG: A Multi-Turn Conversational Benchmark for Evaluating Retrieval-Augmented Generation Systems",
TACL 13, 2025. A task is one question with all that was said before; the tasks of a conversation make one dialogue. Two
layouts are about: one object with tasks and documents apart, and a row for each task with its passages inside.

As with INSCIT the context is our choice: all passages that any question of the conversation rests on, once each, in the
order in which they are first needed. It is long (some four thousand words; cap it with `load(context_words=...)`).
Where a question has no answer in them, saying so counts as right, too. Answers are paragraphs, some eighty words long.
Where a file holds the last question of a conversation alone, what was said before is some model's reply and its
passages are missing: such dialogues are not graded.
"""

from collections.abc import Iterable, Iterator

from experiments.data.layouts.dialogue import UNANSWERABLE, Dialogue, Turn
from experiments.data.layouts.reading import Json, Layout, exchanged, spoken
from experiments.errors import DatasetError

_BETWEEN = "<::>"


def _by_conversation(tasks: Iterable[Json]) -> dict[str, dict[int, Json]]:
    conversations: dict[str, dict[int, Json]] = {}
    for task in tasks:
        said = len(list(task.at("input").each()))
        if said % 2 == 0:
            raise DatasetError(f"{task.where}.input has {said} utterances; the last must be a question")
        name = task.at("task_id").text().partition(_BETWEEN)[0]
        conversations.setdefault(name, {})[said // 2] = task
    return conversations


def _answers(task: Json, recorded: tuple[str, ...]) -> tuple[str, ...]:
    references = (each.at("text").text() for each in task.at("targets").each())
    answerable = task.peek("Answerability" if task.has("Answerability") else "answerability")
    unknown = (UNANSWERABLE,) if answerable.value == ["UNANSWERABLE"] else ()
    # The reply that the conversation went on with comes first.
    return tuple(dict.fromkeys((*recorded, *spoken(tuple(references)), *unknown)))


def _dialogue(name: str, tasks: dict[int, Json], passages: dict[str, str], source: str) -> Dialogue:
    longest = list(tasks[max(tasks)].at("input").each())
    turns = tuple(exchanged(longest, "speaker", "text", "user", "agent"))
    needed = [
        passage.at("document_id").text() for turn in sorted(tasks) for passage in tasks[turn].at("contexts").each()
    ]
    return Dialogue(
        name,
        "\n\n".join(passages[passage] for passage in dict.fromkeys(needed)),
        tuple(
            Turn(turn.question, _answers(tasks[index], turn.answers)) if index in tasks else turn
            for index, turn in enumerate(turns)
        ),
        f"MTRAG layout, {source}",
        graded=len(tasks) == len(turns),
    )


def _passage(document: Json) -> str:
    text = document.at("text").text().strip()
    title = document.at("title").text().strip() if document.has("title") else ""
    return text if not title or text.startswith(title) else f"{title}\n{text}"


def _collected(raw: Json) -> Iterator[Dialogue]:
    passages = {each.at("document_id").text(): _passage(each) for each in raw.at("documents").each()}
    for name, tasks in _by_conversation(raw.at("tasks").each()).items():
        for task in tasks.values():
            for passage in task.at("contexts").each():
                if passage.at("document_id").text() not in passages:
                    raise DatasetError(f"{passage.where} is not among the documents")
        yield _dialogue(name, tasks, passages, tasks[max(tasks)].at("Collection").text())


def _rows(raw: Json) -> Iterator[Dialogue]:
    for name, tasks in _by_conversation(raw.each()).items():
        inside = (passage for task in tasks.values() for passage in task.at("contexts").each())
        passages = {each.at("document_id").text(): _passage(each) for each in inside}
        yield _dialogue(name, tasks, passages, tasks[max(tasks)].at("Collection").text())


def _is_task(entry: Json) -> bool:
    return entry.has("task_id", "contexts", "targets") and entry.peek("input").first().has("speaker", "text")


_LICENCE = "Apache-2.0"

MTRAG_ROWS = Layout(
    name="MTRAG, a row for each task",
    licence=_LICENCE,
    recognises=lambda raw: any(_is_task(entry) for entry in raw.some()),
    dialogues=_rows,
)

MTRAG = Layout(
    name="MTRAG",
    licence=_LICENCE,
    recognises=lambda raw: raw.has("documents") and any(_is_task(entry) for entry in raw.peek("tasks").some()),
    dialogues=_collected,
)
