"""What simulated agents answer, and how that is graded: by an assumed skill, or by scores that somebody measured.

An engine without a model can only be right or wrong: which, is drawn once for each agent and request, so that every
policy meets the same answers. With a table the chance is the model's score on that very question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from experiments.answers import AnswerTable
from experiments.data.scoring import answer_quality
from experiments.errors import StudyError
from experiments.worlds.traffic.agents import SimulatedAgent, drawn_right
from runtime import Request, SimulatedEngine

_WRONG = "I am not sure about that."


class Answers(Protocol):
    """Replies of simulated agents and their grades, by request id."""

    @property
    def measured(self) -> str:
        """Where the quality of answers comes from."""
        ...

    def quality(self, agent: SimulatedAgent, request: str) -> float:
        """The chance that an agent is right, 0 where nobody can tell."""
        ...

    def reply(self, agent: SimulatedAgent, request: str) -> str:
        """What it answers."""
        ...

    def grade(self, request: str, text: str) -> float | None:
        """How right that is, in [0, 1]; None where nobody can tell."""
        ...


@dataclass(frozen=True, slots=True)
class AssumedAnswers:
    """The recorded answer with the chance of the agent's assumed skill, or a wrong one.

    `recorded` are answers by request, `gold` those that count as right: none where nobody can grade.
    """

    recorded: Mapping[str, tuple[str, ...]]
    gold: Mapping[str, tuple[str, ...]]
    seed: int
    measured: str = "answers are right as often as an assumed skill has it"

    def quality(self, agent: SimulatedAgent, request: str) -> float:
        """The assumed skill."""
        return agent.skill if self.gold[request] else 0.0

    def reply(self, agent: SimulatedAgent, request: str) -> str:
        """The recorded answer, or that it is not known."""
        right, wrong = possible_replies(self.recorded[request])
        return right if drawn_right(agent.skill, agent.name, self.seed, request) else wrong

    def grade(self, request: str, text: str) -> float | None:
        """Token F1 against the best gold answer."""
        return answer_quality(text, self.gold[request])


def possible_replies(recorded: Sequence[str]) -> tuple[str, str]:
    """What an agent of an assumed skill says that is right, and one that is wrong, given the recorded answers."""
    return recorded[0] if recorded else _WRONG, _WRONG


class TableAnswers:
    """Right with the chance that the table gives the agent's model on the question; as long as its answer was.

    Args:
        table: the scores.
        rows: the question of each request, a row of the table.
        seed: of the draws.
        output: tokens of an answer where the table keeps none.
    """

    def __init__(self, table: AnswerTable, rows: Mapping[str, int], seed: int, output: int = 64) -> None:
        self._table, self._rows, self._seed, self._output = table, rows, seed, output
        self._column = {name: k for k, name in enumerate(table.models)}
        lengths = "" if table.outputs is not None else f"; every answer taken to be {output} tokens long"
        self.measured = f"scores of {table.title}{lengths}"

    def quality(self, agent: SimulatedAgent, request: str) -> float:
        """The model's score on the question.

        Raises:
            StudyError: the table lacks the model.
        """
        return float(self._table.scores[self._rows[request], self._model(agent)])

    def reply(self, agent: SimulatedAgent, request: str) -> str:
        """`right` or `wrong`, and filler up to the answer's length."""
        verdict = drawn_right(self.quality(agent, request), agent.answers_as, self._seed, request)
        outputs = self._table.outputs
        length = self._output if outputs is None else int(outputs[self._rows[request], self._model(agent)])
        # The engine's end mark is a token too.
        return ("right" if verdict else "wrong") + " word" * max(length - 2, 0)

    def grade(self, request: str, text: str) -> float | None:
        """1 or 0, by the first word."""
        return float(text.startswith("right"))

    def _model(self, agent: SimulatedAgent) -> int:
        found = self._column.get(agent.answers_as)
        if found is None:
            raise StudyError(
                f"{self._table.title} has no scores of {agent.answers_as!r}; its models are: "
                f"{', '.join(self._table.models)}; give agent {agent.name!r} one of them as `model`"
            )
        return found


class Replies(Protocol):
    """Whatever knows what an agent answers."""

    def reply(self, agent: SimulatedAgent, request: str) -> str:
        """What an agent answers to the request of this id."""
        ...


def engine_of(agent: SimulatedAgent, replies: Replies) -> SimulatedEngine:
    """A simulated engine with an empty cache that answers as the agent does."""
    return SimulatedEngine(agent.name, _Replying(replies, agent), agent.step_time, agent.shape, agent.model)


@dataclass(frozen=True, slots=True)
class _Replying:
    replies: Replies
    agent: SimulatedAgent

    def __call__(self, request: Request) -> str:
        return self.replies.reply(self.agent, request.id)
