"""Chats as an OpenAI client sends them: a list of conversations, each a list of messages with role and content.

    [{"id": "c1", "messages": [{"role": "system", "content": "..."}, {"role": "user", "content": "..."}, ...]}]

Whatever comes before the first user's message is the context. A recorded reply is one of many that would have done, so
these dialogues are not graded.
"""

from collections.abc import Iterator
from itertools import takewhile

from experiments.data.layouts.dialogue import Dialogue
from experiments.data.layouts.reading import Json, Layout, exchanged


def _dialogues(raw: Json) -> Iterator[Dialogue]:
    for index, entry in enumerate(raw.each()):
        messages = list(entry.at("messages").each())
        before = list(takewhile(lambda message: message.peek("role").value != "user", messages))
        yield Dialogue(
            id=entry.at("id").text() if entry.has("id") else f"chat-{index}",
            context="\n\n".join(message.at("content").text() for message in before),
            turns=tuple(exchanged(messages[len(before) :], "role", "content", "user", "assistant")),
            source="chats",
            graded=False,
        )


CHATS = Layout(
    name="chat messages",
    licence="not stated in the file",
    recognises=lambda raw: any(entry.peek("messages").first().has("role", "content") for entry in raw.some()),
    dialogues=_dialogues,
)
