"""Who plays in a study: by name, by name and what it predicts quality by (`iemas+knn`), or as an object of yours.

A policy is made anew for every run, and by whoever plays the run: what it has learnt beforehand is learnt from rows
of a table that are never asked, or from dialogues that are kept out, whoever it is.
"""

import copy
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.catalogue import AUCTIONS, INFORMED, UNPAID, Make, find_policy, make_own
from experiments.studies.arena.rivals import ablations, everybody
from experiments.studies.arena.warm_up import Lesson, lessons
from experiments.studies.study.cells.cell import Cell
from experiments.studies.study.cells.learned import LEARNED, embed_before, is_learned, learned_policy, learned_skill
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.traffic import Traffic
from mechanisms import DirectMechanism, find_mechanism
from runtime import Agent, Auction, Offer, Policy
from runtime.policies.forecast import Forecaster
from runtime.policies.skill import PerQuestionSkill

#: What an auction or an informed rival may foretell quality by, beside the learned routers.
QUALITIES = ("by-question",)
#: Who asks a forecaster, and may be given another (`c-mu+knn`).
FORETELLING = ("iemas", *INFORMED, *UNPAID, "llm-d")


@dataclass(frozen=True, slots=True)
class Entrant:
    """A policy of a study.

    Args:
        name: what tables print.
        policy: a name of the catalogue, `mine:Policy`, a class or function that takes nothing and makes a policy, or a
            policy.
        mechanism, allocator: of an auction: a name, `mine:Rule`, or a mechanism.
        predictor: what makes forecasts: a name of the learned routers, `by-question`, `mine:model`, or a function that
            makes a `Forecaster`; None for the shipped one.
    """

    name: str
    policy: object
    mechanism: object = "vcg"
    allocator: str | None = None
    predictor: object = None

    def __post_init__(self) -> None:
        if not isinstance(self.mechanism, str):
            if not callable(getattr(self.mechanism, "run", None)):
                raise StudyError(
                    f"{self.name}: {self.mechanism!r:.60} is no mechanism: it has no `run`; "
                    'a payment rule goes as Mechanism(MinCostFlow(), rule), or by name: "mine:Rule"'
                )
            if self.allocator is not None:
                raise StudyError(
                    f"{self.name}: allocator {self.allocator!r} is for a mechanism by name; {self.mechanism!r:.60} "
                    "has its own"
                )

    def found_mechanism(self) -> DirectMechanism:
        """The mechanism itself.

        Raises:
            MechanismError: there is none of that name.
        """
        if isinstance(self.mechanism, str):
            return find_mechanism(self.mechanism, self.allocator)
        found: DirectMechanism = self.mechanism  # type: ignore[assignment]
        return found

    @property
    def auctions(self) -> bool:
        """Whether it is one of ours that runs a mechanism."""
        return isinstance(self.policy, str) and (
            self.policy in (*AUCTIONS, "oracle", "oracle of times") or self.policy in ablations()
        )

    def audited(self) -> tuple[str | DirectMechanism | None, str | None]:
        """The mechanism that it runs, to be audited, with its allocator; None of a policy that runs none.

        Raises:
            StudyError: a policy of yours is none.
        """
        if self.auctions:
            given = self.mechanism if isinstance(self.mechanism, str) else self.found_mechanism()
            return given, self.allocator
        if isinstance(self.policy, str) and ":" not in self.policy:
            return None, None
        own = find_policy(self.policy, {})(0) if isinstance(self.policy, str) else _made(self.policy)
        return mechanism_of(own), None

    def make(self, cell: Cell, seed: int, load: Traffic) -> Policy:
        """The policy, ready for a run of this traffic.

        Raises:
            StudyError: there is none, or it cannot be told what it is to predict by.
        """
        if not isinstance(self.policy, str):
            return _named(_made(self.policy), self.name)
        if is_learned(self.policy):
            return _named(learned_policy(self.policy, *_tables(cell, self.policy), _called(cell)), self.name)
        return _named(find_policy(self.policy, self._known(cell, seed, load))(seed), self.name)

    def _known(self, cell: Cell, seed: int, load: Traffic) -> dict[str, Make]:
        mechanism, own = self.found_mechanism(), None
        taught: tuple[Lesson, ...] = ()
        if self.predictor is not None:
            own = forecaster(self.predictor, cell)
        else:
            taught = lessons(getattr(cell.workload, "held_out", ()), cell.beginning, seed)
        found = everybody(cell.beginning, taught, mechanism, own)
        found["oracle"] = lambda seed: Auction(
            mechanism, lambda: Forecaster(lambda agents: _Told(load, cell.fleet, agents))
        )
        return found


def mechanism_of(policy: Policy) -> DirectMechanism | None:
    """The mechanism that a policy runs; None where it shows none."""
    found: DirectMechanism | None = getattr(policy, "mechanism", None)
    return found if callable(getattr(found, "run", None)) else None


class _Told:
    """A quality model that is told the chance of every answer."""

    def __init__(self, load: Traffic, fleet: Sequence[SimulatedAgent], agents: Sequence[Agent]) -> None:
        self._load, self._known = load, {agent.name: agent for agent in fleet}
        self.join(agents)

    def join(self, agents: Sequence[Agent]) -> None:
        """The fleet with agents more at its end."""
        self._fleet = [self._known[agent.name] for agent in agents]

    def predict(self, offers: Sequence[Offer]) -> NDArray[np.float64]:
        """(N, M) the true chances."""
        return np.array([[self._load.quality(agent, one.request.id) for agent in self._fleet] for one in offers])

    def doubt(self) -> NDArray[np.float64]:
        """(M,) none."""
        return np.zeros(len(self._fleet))

    def learn(self, offer: Offer, agent: int, right: bool | None) -> None:
        """Nothing to learn."""


def forecaster(predictor: object, cell: Cell) -> Callable[[], Forecaster]:
    """What makes forecasts, by name or as yours.

    Raises:
        StudyError: there is none of that name, or nothing to learn it from.
    """
    if callable(predictor):
        return predictor
    if not isinstance(predictor, str):
        raise StudyError(
            f"predictor {predictor!r} is no name and makes nothing; give a function that makes a Forecaster"
        )
    if predictor == "by-question":
        return lambda: Forecaster(PerQuestionSkill)
    if is_learned(predictor):
        skill = learned_skill(predictor, *_tables(cell, predictor), _called(cell))
        return lambda: Forecaster(skill)
    if ":" in predictor:
        make_own(predictor, ("attach", "look", "note", "notice"), "forecaster (see runtime.policies.forecast)")
        return lambda: make_own(predictor, (), "forecaster")  # type: ignore[return-value]
    raise StudyError(
        f"no predictor {predictor!r}; there are: {', '.join((*QUALITIES, *LEARNED))}, or yours: mine:model"
    )


def entrants(given: Sequence[object], mechanism: object, allocator: str | None, predictor: object) -> list[Entrant]:
    """Policies as they were given: names, `policy+predictor`, `(name, policy)`, tables of a file, or policies.

    Raises:
        StudyError: two have one name, or one is nothing that could play.
    """
    found = [_entrant(one, mechanism, allocator, predictor) for one in given]
    names = [one.name for one in found]
    if not found:
        raise StudyError("no policy plays; name one at least")
    if len(set(names)) < len(names):
        raise StudyError(f"policies are called {', '.join(names)}; give each a name of its own")
    return found


def _entrant(one: object, mechanism: object, allocator: str | None, predictor: object) -> Entrant:
    usual: dict[str, Any] = {"mechanism": mechanism, "allocator": allocator, "predictor": predictor}
    if isinstance(one, Entrant):
        return one
    if isinstance(one, dict):
        unknown = set(one) - {"name", "policy", "mechanism", "allocator", "predictor"}
        if unknown or "policy" not in one:
            said = f"it has {', '.join(sorted(unknown))}" if unknown else "it names no `policy`"
            raise StudyError(f"{one} is no policy of a study: {said}")
        own = "mechanism" in one and not isinstance(one["mechanism"], str)
        rest: dict[str, Any] = {name: value for name, value in one.items() if name != "policy"}
        base = _entrant(one["policy"], mechanism, None if own else allocator, predictor)
        made = replace(base, **rest)
        idle = [part for part in ("mechanism", "allocator") if part in one]
        if idle and not made.auctions:
            raise StudyError(f"{made.policy!r:.60} runs no mechanism; leave out {' and '.join(idle)}")
        if "predictor" in one:
            _require_foretelling(made.policy, one)
        return made
    if isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str):
        return replace(_entrant(one[1], mechanism, allocator, predictor), name=one[0])
    if isinstance(one, str):
        policy, plus, by = one.partition("+") if ":" not in one else (one, "", "")
        if plus:
            _require_foretelling(policy, one)
        return Entrant(one, policy, **{**usual, **({"predictor": by} if plus else {})})
    return Entrant(_called_by(one), one, **usual)


def _require_foretelling(policy: object, one: object) -> None:
    if not isinstance(policy, str) or (policy not in FORETELLING and policy not in ablations()):
        raise StudyError(
            f"{one!r}: {policy!r:.60} asks nobody what to foretell; those that do: {', '.join(FORETELLING)}"
        )


def _called_by(one: object) -> str:
    """What a policy of yours calls itself, else its class or function."""
    for name in (getattr(one, "name", None), getattr(one, "__name__", None)):
        if isinstance(name, str) and name:
            return name
    return type(one).__name__


def _made(given: object) -> Policy:
    """Yours: an instance is copied, so that no run sees what another learnt."""
    if isinstance(given, type) or not hasattr(given, "attach"):
        if not callable(given):
            raise StudyError(f"{given!r} is no policy (see runtime.Policy), and makes none")
        found = given()
    else:
        found = copy.deepcopy(given)
    lacking = [part for part in ("attach", "ready", "decide", "notice") if not callable(getattr(found, part, None))]
    if lacking:
        raise StudyError(f"{found!r} is no policy (see runtime.Policy): it has no {', '.join(lacking)}")
    policy: Policy = found
    return policy


def _named(policy: Policy, name: str) -> Policy:
    # Tables go by the entrant's name, whatever the policy lets itself be called.
    with suppress(AttributeError, TypeError):
        policy.name = name
    return policy


def _called(cell: Cell) -> dict[str, str]:
    """Agents say what their speed was fitted to, unless they have a model's name."""
    return {f"simulated ({one.step_time.fitted_to})": one.answers_as for one in cell.fleet if not one.model}


def embed_all(cells: Sequence[Cell], entrants: Sequence[Entrant], progress: Callable[[int, int], None]) -> None:
    """What learned routers will look at is embedded once, before processes begin that would each do it."""
    for cell in cells:
        for one in entrants:
            for name in (one.policy, one.predictor):
                if isinstance(name, str) and is_learned(name):
                    embed_before(name, *_tables(cell, name), progress)


def _tables(cell: Cell, name: str) -> tuple[AnswerTable, tuple[str, ...]]:
    """What a router learns from, and the questions that will be asked.

    Raises:
        StudyError: there is no table.
    """
    table = cell.workload.training
    if table is None:
        kept = getattr(cell.workload, "train", None)
        remedy = "use Questions, a Trace with `answers`, or Dialogues with `answers` and a `warm_up` to learn from"
        remedy = "give `train` rows" if kept == 0 else remedy
        raise StudyError(f"{name!r} learns from a table of scores, and {cell.workload.name} keeps none; {remedy}")
    asked = getattr(cell.workload, "scored", None) or getattr(cell.workload, "scores", None)
    return table, () if asked is None else asked.questions
