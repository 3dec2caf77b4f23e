"""A warm-up: before the contest every agent answers graded dialogues that the contest does not hold.

It teaches who answers right, and that alone: what it costs is not counted, caches are empty and queues unknown when the
contest begins. The auction and all informed rivals are taught the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from experiments.data import Dialogue, conversation, gold_replies
from experiments.errors import StudyError
from experiments.worlds.traffic.agents import SimulatedAgent, drawn_right
from mechanisms import Preferences
from runtime import Agent, Offer, Request
from runtime.policies.skill import PooledSkill, QualityModel

#: Makes a quality model for a fleet.
MakeQuality = Callable[[Sequence[Agent]], QualityModel]

#: A warm-up is paid by whoever runs the fleet; nobody bids.
_NOBODY = Preferences(0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A question, without its tokens, and for each agent of the fleet whether it answered right."""

    offer: Offer
    right: tuple[bool, ...]


def lessons(dialogues: Sequence[Dialogue], fleet: Sequence[SimulatedAgent], seed: int) -> tuple[Lesson, ...]:
    """Every turn asked of every agent once, after the recorded replies; who is right is drawn as in the contest.

    Raises:
        StudyError: nobody can grade one of the dialogues.
        DatasetError: a turn has no recorded reply to go on from.
    """
    made = []
    for dialogue in dialogues:
        if not dialogue.graded:
            raise StudyError(f"nobody can grade dialogue {dialogue.id!r}: a warm-up on it teaches nothing")
        for turn in range(len(dialogue.turns)):
            name = f"warm-up/{dialogue.id}/{turn}"
            messages = conversation(dialogue, turn, gold_replies(dialogue, turn))
            request = Request(name, "nobody", messages, 1, dialogue.id, turn)
            offer = Offer(request, _NOBODY, ((),) * len(fleet), turn)
            made.append(Lesson(offer, tuple(drawn_right(agent.skill, agent.name, seed, name) for agent in fleet)))
    return tuple(made)


def taught(taken: Sequence[Lesson], make: MakeQuality = PooledSkill) -> MakeQuality:
    """Quality models that have learnt these lessons when a run begins."""

    def made(agents: Sequence[Agent]) -> QualityModel:
        model = make(agents)
        for lesson in taken:
            for agent, right in enumerate(lesson.right):
                model.learn(lesson.offer, agent, right)
        return model

    return made
