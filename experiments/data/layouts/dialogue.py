"""The vocabulary of the data: a `Corpus` holds `Dialogue`s, a dialogue holds `Turn`s over one document."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count

UNANSWERABLE = "unknown"
"""The gold answer of a question that its document does not answer (CoQA's own convention)."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and the answers that count as right; none where the file holds no gold answer.

    The first answer is the one that the recorded dialogue went on with, so a later pronoun refers to it.
    """

    question: str
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Questions asked one after another about one document.

    `context` is the text that every turn's prompt begins with. `source` says which collection, domain or
    article it comes from. `graded` is false where the answers are only what somebody happened to reply:
    good for history, no ground for a claim of quality.

    Raises:
        ValueError: there is no turn.
    """

    id: str
    context: str
    turns: tuple[Turn, ...]
    source: str
    graded: bool = True

    def __post_init__(self) -> None:
        if not self.turns:
            raise ValueError(f"dialogue {self.id!r} has no turns; leave it out of the corpus")

    @property
    def words(self) -> int:
        """Whitespace-separated words of the context, the questions and the first answers."""
        spoken = (text for turn in self.turns for text in (turn.question, *turn.answers[:1]))
        return len(self.context.split()) + sum(len(text.split()) for text in spoken)

    def capped(self, context_words: int) -> "Dialogue":
        """The same dialogue with at most `context_words` words of context.

        Whole paragraphs are kept from the start while they fit, so a prompt never ends inside a sentence; only a
        first paragraph that is too long by itself is cut within. What is cut may have held an answer.
        """
        kept: list[str] = []
        left = context_words
        for paragraph in self.context.split("\n\n"):
            left -= len(paragraph.split())
            if left < 0:
                break
            kept.append(paragraph)
        if kept:
            return replace(self, context="\n\n".join(kept))
        return replace(self, context=" ".join(self.context.split()[:context_words]))


@dataclass(frozen=True, slots=True)
class Corpus:
    """The dialogues of one file, with enough about the file that a report can name it exactly.

    `name` is the file's own name, never the collection's: a hundred questions out of HotpotQA are not
    HotpotQA. Reports print `title`, which adds the counts. `licence` and `origin` are sentences for people,
    `sha256` is that of the bytes that were read, `layout` the format they were in.
    """

    name: str
    dialogues: tuple[Dialogue, ...]
    licence: str
    origin: str
    sha256: str
    layout: str

    @property
    def turns(self) -> int:
        """Number of turns (one question each) over all dialogues."""
        return sum(len(dialogue.turns) for dialogue in self.dialogues)

    @property
    def graded_turns(self) -> int:
        """Number of turns whose quality can be claimed: graded dialogue, at least one gold answer."""
        return sum(bool(turn.answers) for d in self.dialogues if d.graded for turn in d.turns)

    @property
    def words(self) -> int:
        """Whitespace-separated words of all contexts, questions and first answers."""
        return sum(dialogue.words for dialogue in self.dialogues)

    @property
    def title(self) -> str:
        """The name and the size, as reports print them: `inscit/dev.json (86 dialogues, 502 turns)`."""
        return f"{self.name} ({_count(len(self.dialogues), 'dialogue')}, {_count(self.turns, 'turn')})"

    def first(self, dialogues: int) -> "Corpus":
        """The first `dialogues` dialogues, under a name that says so; the corpus itself if it has no more."""
        if dialogues >= len(self.dialogues):
            return self
        name = f"{self.name}, first {dialogues} of {len(self.dialogues)}"
        return replace(self, name=name, dialogues=self.dialogues[:dialogues])

    def shortened(self, turns: int) -> "Corpus":
        """Every dialogue's first `turns` turns, under a name that says so; the corpus itself if none has more."""
        if all(len(dialogue.turns) <= turns for dialogue in self.dialogues):
            return self
        shorter = tuple(replace(dialogue, turns=dialogue.turns[:turns]) for dialogue in self.dialogues)
        return replace(self, name=f"{self.name}, first {_count(turns, 'turn')} of each", dialogues=shorter)

    def capped(self, context_words: int) -> "Corpus":
        """Every context cut to `context_words` words (see `Dialogue.capped`), under a name that says so."""
        name = f"{self.name}, contexts cut to {_count(context_words, 'word')}"
        return replace(self, name=name, dialogues=tuple(d.capped(context_words) for d in self.dialogues))


def distinct(dialogues: Iterable[Dialogue]) -> tuple[Dialogue, ...]:
    """The same dialogues with ids made unique by a suffix, since replies are filed under them."""
    given = tuple(dialogues)
    taken = {dialogue.id for dialogue in given}
    seen: set[str] = set()
    renamed: list[Dialogue] = []
    for dialogue in given:
        name = dialogue.id
        if name in seen:
            name = next(name for again in count(2) if (name := f"{dialogue.id}#{again}") not in taken)
            taken.add(name)
        seen.add(dialogue.id)
        renamed.append(dialogue if name == dialogue.id else replace(dialogue, id=name))
    return tuple(renamed)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
