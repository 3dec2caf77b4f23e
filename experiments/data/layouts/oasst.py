"""OpenAssistant: trees of messages, in which people reply to one message in several ways and rank the replies.

Köpf et al., "OpenAssistant Conversations: Democratizing Large Language Model Alignment", NeurIPS 2023. A tree becomes a
dialogue for each of its questions after which nobody asks on: the questions on the way to it, each with the reply that
the branch goes on with. Such dialogues share all that lies before they part, as requests and as prefixes. Replies
that nobody goes on from are recorded replies to the last question, the best ranked first; they make no dialogues of
their own, for a router would see the same requests again. There is no document, and no reply is the right one:
these dialogues are not graded.
"""

from collections.abc import Iterator
from math import inf

from experiments.data.layouts.dialogue import Dialogue, Turn
from experiments.data.layouts.reading import Json, Layout, spoken
from experiments.errors import DatasetError


def _replies(message: Json, role: str) -> list[Json]:
    """The replies that were not deleted, the best ranked first, those without a rank last."""
    given = message.at("replies").each() if message.has("replies") else ()
    found = [each for each in given if each.peek("deleted").value is not True]
    for each in found:
        if each.at("role").text() != role:
            raise DatasetError(f"{each.where}: {each.peek('role').value!r} speaks, where {role!r} should, in turn")
    ranks = [inf if (rank := each.peek("rank")).value is None else rank.number() for each in found]
    return [each for _, each in sorted(zip(ranks, found, strict=True), key=lambda pair: pair[0])]


def _paths(question: Json, before: tuple[Turn, ...]) -> Iterator[tuple[Turn, ...]]:
    """The turns of every branch below a question."""
    asked, replies = question.at("text").text(), _replies(question, "assistant")
    on = False
    for reply in replies:
        for following in _replies(reply, "prompter"):
            on = True
            yield from _paths(following, (*before, Turn(asked, (reply.at("text").text(),))))
    if not on:
        yield (*before, Turn(asked, spoken(tuple(reply.at("text").text() for reply in replies))))


def _dialogues(raw: Json) -> Iterator[Dialogue]:
    for tree in raw.each():
        name, root = tree.at("message_tree_id").text(), tree.at("prompt")
        if root.at("role").text() != "prompter":
            raise DatasetError(f"{root.where}: {root.peek('role').value!r} begins, where 'prompter' should")
        for number, turns in enumerate(_paths(root, ())):
            yield Dialogue(f"{name}/{number}", "", turns, "OpenAssistant layout", graded=False)


OASST = Layout(
    name="OpenAssistant",
    licence="Apache-2.0",
    recognises=lambda raw: any(
        entry.has("message_tree_id") and entry.peek("prompt").has("text", "role") for entry in raw.some()
    ),
    dialogues=_dialogues,
)
