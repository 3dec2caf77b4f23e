"""Every question that has an exhibit, by the name that `iemas study` takes."""

from dataclasses import dataclass
from importlib import import_module

from experiments.errors import StudyError
from experiments.studies.findings.exhibit import Question


@dataclass(frozen=True, slots=True)
class Known:
    """A question: what it is about, the module whose `run` answers it, and how many seeds it takes unless told."""

    about: str
    module: str
    seeds: int


QUESTIONS: dict[str, Known] = {
    "gateways": Known("what it costs that gateways of one fleet know only their own requests", "gateways", 8),
}


def find_question(name: str) -> Question:
    """What answers a question.

    Raises:
        StudyError: there is none of that name.
    """
    if name not in QUESTIONS:
        raise StudyError(f"no study {name!r}; there are: {', '.join(QUESTIONS)}")
    found: Question = import_module(f"experiments.studies.findings.{QUESTIONS[name].module}").run
    return found
