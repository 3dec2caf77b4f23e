"""One run of a study: a cell, an entrant, a seed."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

from allocation import MICROS
from experiments.errors import StudyError
from experiments.studies.study.cells.cell import Cell
from experiments.studies.study.cells.policies import Entrant, mechanism_of
from experiments.worlds.churn import Churn
from experiments.worlds.fleets import simulated_fleet
from experiments.worlds.running.parts import PartScoring
from experiments.worlds.running.run import Ended, Held, hold_traffic
from experiments.worlds.running.scores import Score, Scoring
from experiments.worlds.running.watch import Contradiction, Watched
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.traffic import Traffic
from runtime import Declined, Policy, Served, running
from runtime.accounts.sums import SumsLedger
from runtime.engines.simulated.virtual_time import run
from runtime.rounds.deciding.rounds import Watch

#: Adds figures of yours to a run: sees every end, and is asked at last.
Measure = Callable[[Traffic], "Measuring"]

#: Is told of an agent.
Joined = Callable[[SimulatedAgent], None]

#: Columns that are ours: figures of measures have other names.
TAKEN = frozenset(["cell", "policy", "seed", *(one.name for one in fields(Score))])

#: What an audit must have found of a mechanism before it is run at scale.
REQUIRED = ("truthful", "individually-rational", "no-deficit")


class Measuring:
    """A measure of one run: subclass or imitate it."""

    def __call__(self, end: Served | Declined) -> None:
        """One request has ended."""

    def figures(self) -> Mapping[str, float]:
        """What it came to, by name."""
        return {}


@dataclass(frozen=True, slots=True)
class Task:
    """A run to do. `insisted`: go on although what is served contradicts the audit."""

    cell: Cell
    entrant: Entrant
    seed: int
    insisted: bool = False
    measures: tuple[Measure, ...] = ()

    @property
    def title(self) -> str:
        """As errors name it."""
        return f"{self.entrant.name} in {self.cell.name} at seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Played:
    """What a run came to: its score, figures of yours, and what contradicted the audit."""

    score: Score
    figures: Mapping[str, float] = field(default_factory=dict)
    contradictions: tuple[Contradiction, ...] = ()
    measured: str = ""
    python: str = platform.python_version()


def play(task: Task) -> Played:
    """Run it, in virtual time.

    Raises:
        StudyError: the policy or the traffic cannot be made.
        ContradictionError: what is served contradicts the audit, and nobody insisted.
    """
    cell = task.cell
    load = cell.workload.draw(cell.bidders, task.seed)
    policy = task.entrant.make(cell, task.seed, load)
    scoring = Scoring(load, cell.fleet, cell.beginning)
    by_part = PartScoring(load, cell.fleet, cell.beginning)
    measuring = [measure(load) for measure in task.measures]
    # Rivals that ship take reports on trust: they claim nothing that could be contradicted.
    mechanism = mechanism_of(policy) if task.entrant.audited()[0] is not None else None
    watched = None
    if mechanism is not None:
        budget = round(getattr(policy, "budget", 0) * MICROS)
        watched = Watched(task.entrant.name, task.seed, mechanism, task.insisted, budget)

    def ended(end: Served | Declined) -> None:
        scoring(end)
        by_part(end)
        for each in measuring:
            each(end)

    def joined(agent: SimulatedAgent) -> None:
        scoring.joined(agent)
        by_part.joined(agent)

    held = hold(policy, load, cell, ended, joined, watched)
    figures = dict(by_part.figures(held.statistics))
    for each in measuring:
        for name, value in _numbers(each).items():
            if name in TAKEN or name in cell.axes:
                raise StudyError(f"a measure gives {name!r}, which is a column already; give it another name")
            if name in figures:
                raise StudyError(f"two measures give a figure called {name!r}; give each a name of its own")
            figures[name] = value
    found = () if watched is None else watched.audited(REQUIRED)
    return Played(scoring.score(held.statistics, held.seconds), figures, found, load.measured)


def _numbers(measuring: Measuring) -> dict[str, float]:
    """What a measure came to.

    Raises:
        StudyError: these are no numbers by name.
    """
    given = measuring.figures()
    try:
        return {str(name): float(value) for name, value in given.items()}
    except (AttributeError, TypeError, ValueError):
        raise StudyError(
            f"{type(measuring).__name__} gives the figures {given!r:.60}; expected a dict of numbers by name"
        ) from None


def hold(policy: Policy, load: Traffic, cell: Cell, ended: Ended, joined: Joined, watch: Watch | None = None) -> Held:
    """Put traffic to a policy on the cell's agents, which leave and join as it says, in virtual time.

    Args:
        joined: is told of each agent that joins.

    Raises:
        Exception: as `hold_traffic`.
    """

    async def held() -> Held:
        engines, lists = simulated_fleet(load, cell.beginning)
        prices = lists if cell.bidders.prices is None else [cell.bidders.prices] * len(engines)
        churn = Churn(cell.churn, cell.fleet, load, cell.bidders.prices, joined) if cell.churn else None
        async with running(engines):
            with SumsLedger() as ledger:
                return await hold_traffic(
                    policy,
                    load,
                    engines,
                    prices,
                    rounds=cell.bidders.rounds(cell.slots),
                    ledger=ledger,
                    ended=ended,
                    watch=watch,
                    churn=churn,
                )

    return run(held(), virtual=True)
