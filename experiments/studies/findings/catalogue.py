"""Every question that has an exhibit, by the name that `iemas study` takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

from experiments.errors import StudyError
from experiments.studies.findings.exhibits.exhibit import Exhibit, Progress, Question

if TYPE_CHECKING:
    from experiments.studies.study.keeping.kept import Kept


@dataclass(frozen=True, slots=True)
class Known:
    """A question: what it is about, the module whose `run` answers it, and how many seeds it takes unless told."""

    about: str
    module: str
    seeds: int


QUESTIONS: dict[str, Known] = {
    "paper": Known("the paper's table beside ours: what can be compared, and what cannot", "serving.paper", 5),
    "prediction": Known(
        "how well time to first token and cost are foretold, by several normalisers", "serving.prediction", 5
    ),
    "heterogeneity": Known(
        "when affinity suffices, when a posted price, and when the auction pays", "serving.heterogeneity", 6
    ),
    "hubs": Known("what hubs cost, save and learn of bids, by how requests are sent to them", "rounds.hubs", 10),
    "scale": Known("how large a round may be: time, memory, welfare over greedy", "rounds.scale", 5),
    "richer-qos": Known(
        "agents that fail, bidders who may not be sent everywhere, and who is served", "rounds.richer_qos", 10
    ),
    "engine-limits": Known("whether twelve sequences and 0.6 of the memory bind", "serving.engine_limits", 5),
    "bidding": Known(
        "what a bidder gains by a report that is not the truth, in a round and over a run", "rules.bidding", 5
    ),
    "published-rule": Known(
        "what matching as many as can be and serving the rest for nothing costs", "rules.published_rule", 5
    ),
    "value-of-truth": Known("welfare once bidders have learnt what pays, under five rules", "rules.value_of_truth", 5),
    "strategic": Known(
        "who gains by misreports, rings, false names, and as an agent, and who pays", "rules.strategic", 5
    ),
    "budget": Known(
        "what wrong predictions cost whom under each settlement, and the budget for it", "rules.budget", 10
    ),
    "churn": Known("what it costs that agents come and go, break off, and misstate what they are", "serving.churn", 5),
    "gateways": Known("what it costs that gateways of one fleet know only their own requests", "serving.gateways", 8),
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


def answer_question(
    name: str, seeds: Sequence[int], workers: int | str | None, progress: Progress, kept: "Kept"
) -> Exhibit:
    """A question's answer, which says how many of its runs were kept.

    Raises:
        StudyError: there is no such question, or as it raises.
    """
    found = find_question(name)(seeds=seeds, workers=workers, progress=progress, kept=kept)
    return replace(found, made=replace(found.made, kept=kept.said))
