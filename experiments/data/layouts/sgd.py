"""Schema-Guided Dialogue (DSTC8): people book tables, rides and flights with a system's help.

Rastogi et al., "Towards Scalable Multi-Domain Conversational Agents: The Schema-Guided Dialogue Dataset", AAAI 2020.
A user's utterance is the question and the system's next one the recorded reply. A recorded reply is one of many
that would have done, so these dialogues are not graded. There is no document: the context names the services, and holds
what a system says before anybody asks.
"""

from collections.abc import Iterator
from itertools import takewhile

from experiments.data.layouts.dialogue import Dialogue
from experiments.data.layouts.reading import Json, Layout, exchanged


def _dialogues(raw: Json) -> Iterator[Dialogue]:
    for entry in raw.each():
        utterances = list(entry.at("turns").each())
        greetings = list(takewhile(lambda each: each.peek("speaker").value == "SYSTEM", utterances))
        services = ", ".join(name.partition("_")[0] for name in entry.at("services").texts())
        yield Dialogue(
            id=entry.at("dialogue_id").text(),
            context="\n\n".join(
                [
                    f"You are an assistant with access to these services: {services}.",
                    *(each.at("utterance").text() for each in greetings),
                ]
            ),
            turns=tuple(exchanged(utterances[len(greetings) :], "speaker", "utterance", "USER", "SYSTEM")),
            source=f"SGD layout, {services}",
            graded=False,
        )


SGD = Layout(
    name="Schema-Guided Dialogue",
    licence="CC BY-SA 4.0",
    recognises=lambda raw: any(entry.peek("turns").first().has("speaker", "utterance") for entry in raw.some()),
    dialogues=_dialogues,
)
