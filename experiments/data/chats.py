"""From dialogues to load: the messages of a turn, and when each dialogue begins."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.data.arrivals import Closed, Poisson
from experiments.data.layouts.dialogue import UNANSWERABLE, Dialogue
from experiments.errors import DatasetError
from runtime.engines.engine import Message

INSTRUCTIONS = (
    "Answer the user's last question in a few words, without a full sentence and without explanation. "
    f"If the text below does not answer it, reply {UNANSWERABLE}."
)
"""What every system message of a graded dialogue begins with: the longest prefix that all of them share."""


def conversation(dialogue: Dialogue, turn_index: int, replies: Sequence[str]) -> tuple[Message, ...]:
    """The chat to send for turn `turn_index` (from 0): instructions and context, the history, the question.

    `replies` are those really received for the turns before, in order; pass `gold_replies(dialogue, turn_index)` to
    replay the recorded dialogue instead. Each turn's messages extend those of the turn before, so a prefix
    cache can reuse all of them. An ungraded dialogue gets no instructions: it is not a quiz;
    without a context it has no system message.

    Raises:
        IndexError: there is no such turn.
        ValueError: `replies` are not `turn_index` many.
    """
    if not 0 <= turn_index < len(dialogue.turns):
        raise IndexError(f"dialogue {dialogue.id!r} has {len(dialogue.turns)} turns, no turn {turn_index}")
    if len(replies) != turn_index:
        raise ValueError(
            f"turn {turn_index} of dialogue {dialogue.id!r} follows {turn_index} replies, but {len(replies)} were given"
        )
    system = f"{INSTRUCTIONS}\n\n{dialogue.context}" if dialogue.graded else dialogue.context
    messages = [Message("system", system)] if system else []
    for turn, reply in zip(dialogue.turns, replies, strict=False):
        messages += [Message("user", turn.question), Message("assistant", reply)]
    return (*messages, Message("user", dialogue.turns[turn_index].question))


def gold_replies(dialogue: Dialogue, turns: int) -> tuple[str, ...]:
    """The recorded replies to the first `turns` turns.

    Raises:
        DatasetError: one of them has none.
    """
    history = dialogue.turns[:turns]
    for index, turn in enumerate(history):
        if not turn.answers:
            raise DatasetError(f"turn {index} of dialogue {dialogue.id!r} has no recorded reply; use received replies")
    return tuple(turn.answers[0] for turn in history)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When dialogues begin and how long a bidder thinks between an answer and the next question, in seconds.

    `starts_s[i]` is the start of the i-th dialogue, from the start of the run.
    """

    starts_s: tuple[float, ...]
    think_time_s: float

    def next_turn_s(self, answered_s: float) -> float:
        """When the next question of a dialogue is asked whose last answer ended at `answered_s`."""
        return answered_s + self.think_time_s


def arrivals(dialogues: int, *, rate_per_s: float | None = None, think_time_s: float = 0.0, seed: int = 0) -> Schedule:
    """Start times for that many dialogues; the same arguments give the same times on every machine.

    Without a rate the load is closed: all dialogues begin at 0 and only the engines' speed paces them. With one it is
    open: dialogues begin as a Poisson process of `rate_per_s` per second, whether or not earlier ones are done. Within
    a dialogue, turns always wait for the answer before.

    Raises:
        ValueError: a rate that is not positive, or a negative think time or count.
    """
    if dialogues < 0 or think_time_s < 0:
        raise ValueError(f"dialogues={dialogues} and think_time_s={think_time_s} must not be negative")
    if rate_per_s is None:
        return Schedule(Closed().starts(dialogues, seed), think_time_s)
    if not rate_per_s > 0:
        raise ValueError(f"rate_per_s={rate_per_s} must be positive; leave it out for a closed loop")
    return Schedule(Poisson(rate_per_s).starts(dialogues, seed), think_time_s)
