"""Taskmaster: people order and book as instructed, and an assistant replies.

Byrne et al., "Taskmaster-1: Toward a Realistic and Diverse Dialog Dataset", EMNLP 2019; read are its third and fourth
editions, which say with each dialogue how its writers were instructed. A recorded reply is one of many that would have
done, so these dialogues are not graded.

The instructions of a scenario are the context, to the letter: many dialogues share each, so they are long prefixes in
common. A dialogue without instructions has its scenario's name. What an assistant says before anybody asks follows.
"""

from collections.abc import Iterator
from itertools import takewhile

from experiments.data.layouts.dialogue import Dialogue
from experiments.data.layouts.reading import Json, Layout, exchanged


def _dialogues(raw: Json) -> Iterator[Dialogue]:
    for entry in raw.each():
        utterances = list(entry.at("utterances").each())
        greetings = list(takewhile(lambda each: each.peek("speaker").value == "assistant", utterances))
        vertical = entry.at("vertical").text()
        instructed = entry.peek("instructions").value is not None
        scenario = entry.at("instructions" if instructed else "scenario").text().strip()
        yield Dialogue(
            id=entry.at("conversation_id").text(),
            context="\n\n".join(
                [scenario if instructed else f"{vertical}: {scenario}", *(each.at("text").text() for each in greetings)]
            ),
            turns=tuple(exchanged(utterances[len(greetings) :], "speaker", "text", "user", "assistant")),
            source=f"Taskmaster layout, {vertical}",
            graded=False,
        )


TASKMASTER = Layout(
    name="Taskmaster",
    licence="CC BY 4.0",
    recognises=lambda raw: any(
        entry.has("conversation_id", "vertical", "instructions")
        and entry.peek("utterances").first().has("speaker", "text")
        for entry in raw.some()
    ),
    dialogues=_dialogues,
)
