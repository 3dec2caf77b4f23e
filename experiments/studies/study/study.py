"""`Study`: policies against each other, in cells, at seeds: audited first, run on all cores, kept as they come."""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.errors import AuditRefusedError, StudyError
from experiments.progress import counting
from experiments.results.made import Made, made_here
from experiments.studies.study.cells.cell import Cell, cells, columns, columns_of
from experiments.studies.study.cells.policies import Entrant, embed_all, entrants
from experiments.studies.study.keeping import kept as keeping
from experiments.studies.study.keeping.kept import Kept
from experiments.studies.study.running.playing import REQUIRED, Measure, Task, play
from experiments.studies.study.telling.result import StudyResult
from experiments.worlds.churn import changes, require_joining
from experiments.worlds.presets import Preset, find_preset
from experiments.worlds.running.scores import DELAYS
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.workloads.workload import Workload
from mechanisms import Preferences
from proofs import SUITE, Report, audit

#: Called with runs done and runs in all.
Progress = Callable[[int, int], None]

#: Who plays unless somebody is named.
USUAL = ("iemas", "cache-aware", "sticky", "random")

_RANGE = re.compile(r"(\d+)\.\.(\d+)")


@dataclass(slots=True)
class Study:
    """The same traffic under every policy, in every cell, at every seed.

    Args:
        workload: what is asked, one or several.
        policies: one or several: names of the catalogue, `mine:Policy`, `policy+predictor` (the auction with a learned
            router's idea of quality: `iemas+knn`), policies of yours, or `Entrant`s. Differences are of the first over
            each other.
        seeds: how many, from 0, or which: `[3, 5]`, `"0..9"`.
        fleet: simulated agents; default the workload's own. Several fleets by name: `{"two": [...], "four": [...]}`.
        bidders: a preset's name, a function of a numpy Generator that draws `Preferences`, or a `Preset`; or several,
            by name or number where a plot is to have them as its axis: `{1.0: draw_alike, 10.0: draw_apart}`.
        slots: requests an agent may serve at once, None for as many as its engine can; or several.
        mechanism, allocator: of the auctions: a name, `mine:Rule`, or a mechanism. It is audited before anything runs.
        predictor: what auctions and informed rivals foretell with; see `Entrant`.
        measures: figures of yours for each run, one or several: functions of the traffic that make a `Measuring`.
        churn: agents that leave and join, `(12.0, "small-a", "leaves")`, in seconds from the beginning of each run; one
            whose first change is that it joins is not there before.
        despite_audit: run a mechanism whose audit failed, and say so.
        delay: until when waits count in welfare, `first-token` or `last-token`.
        name: what reports call it.

    Raises:
        StudyError: something is none of these, two of something are called alike, or nothing is to be done.

    >>> from experiments.studies.study import Dialogues, Study
    >>> few = Dialogues("shipped", rate=2.0, dialogues=2, turns=2)
    >>> result = Study(few, policies=["cache-aware", "random"], seeds=2).run(workers=0)
    >>> result.frame().shape[0]
    4
    """

    workload: Workload | Sequence[Workload]
    policies: object = USUAL
    seeds: int | str | Iterable[int] = 5
    fleet: Sequence[SimulatedAgent] | dict[str, Sequence[SimulatedAgent]] | None = None
    bidders: object = "differing"
    slots: int | Sequence[int | None] | None = None
    mechanism: object = "vcg"
    allocator: str | None = None
    predictor: object = None
    measures: Measure | Sequence[Measure] = ()
    despite_audit: bool = False
    delay: str = "first-token"
    name: str = "study"
    churn: Iterable[object] = ()
    cells: list[Cell] = field(init=False)
    entrants: list[Entrant] = field(init=False)

    def __post_init__(self) -> None:
        workloads: list[Workload] = _listed(self.workload)
        for one in workloads:
            if isinstance(one, type) or not callable(getattr(one, "draw", None)):
                raise StudyError(f"{one!r:.60} is no workload; use Dialogues, Questions, Trace or a Mix")
        if isinstance(self.fleet, SimulatedAgent):
            raise StudyError(f"fleet is one agent, {self.fleet.name!r}; give a list of agents")
        fleets: dict[str, Sequence[SimulatedAgent]] = (
            self.fleet if isinstance(self.fleet, dict) else {"": () if self.fleet is None else tuple(self.fleet)}
        )
        if any(self.fleet is not None and not len(one) for one in fleets.values()):
            raise StudyError("fleet: there is no agent; name one at least, or None for the workload's own")
        if isinstance(self.bidders, dict):
            drawn = [(name, _preset(one)[1]) for name, one in self.bidders.items()]
        else:
            drawn = [_preset(one) for one in _listed(self.bidders)]
        slots: list[int | None] = _listed(self.slots)
        self.churn = changes(self.churn)
        self.cells = cells(
            {
                "workload": workloads,
                "bidders": [preset for _, preset in drawn],
                "fleet": [tuple(one) for one in fleets.values()],
                "slots": slots,
            },
            {
                "workload": columns_of(workloads),
                "bidders": columns("bidders", [name for name, _ in drawn]),
                "fleet": columns("fleet", list(fleets)),
                "slots": columns("slots", slots),
            },
            self.churn,
        )
        self.entrants = entrants(_listed(self.policies), self.mechanism, self.allocator, self.predictor)
        self.seeds = seeds_of(self.seeds)
        if self.delay not in DELAYS:
            raise StudyError(f"no delay {self.delay!r}; there are: {', '.join(DELAYS)}")
        for measure in self._measures:
            if not callable(measure):
                raise StudyError(f"{measure!r} measures nothing; give a function of the traffic that makes a Measuring")

    @property
    def _measures(self) -> tuple[Measure, ...]:
        return tuple(_listed(self.measures))

    @property
    def runs(self) -> int:
        """Runs in all."""
        assert isinstance(self.seeds, tuple)
        return len(self.cells) * len(self.entrants) * len(self.seeds)

    def audit(self, progress: Callable[[int, int], None] | None = None) -> list[Report]:
        """What small scopes say of every mechanism that plays, that of an auction of yours too.

        Raises:
            AuditRefusedError: a required property is refuted or was never examined, and nobody insisted.
        """
        found: list[Report] = []
        seen: list[tuple[object, str | None]] = []
        for one in self.entrants:
            given, allocator = one.audited()
            if given is None or (given, allocator) in seen:
                continue
            seen.append((given, allocator))
            report = audit(given, SUITE, progress=progress, allocator=allocator)
            broken = [name for name in REQUIRED if not report[name]]
            if broken and not self.despite_audit:
                raise AuditRefusedError(report, broken)
            found.append(report)
        return found

    def run(
        self,
        *,
        workers: int | str | None = None,
        kept: str | Path | Kept | None = None,
        progress: Progress | None = None,
    ) -> StudyResult:
        """Audit, then play whatever is not kept.

        Args:
            workers: processes; 0 for this one; "ray"; default as many as there are cores. Numbers are the same.
            kept: a file of finished runs, read first and added to: stop a study and start it again as you like. How
                many of the runs it had is told on stderr and in the result's `made`.
            progress: is called with runs done and in all; default a bar on stderr.

        Raises:
            StudyError: something cannot be made, or a run took two workers with it.
            ContradictionError: what is served contradicts the audit, and nobody insisted.
        """
        file = kept if isinstance(kept, Kept) else Kept(None if kept is None else Path(kept))
        reports = self.audit()
        tasks = self._tasks()
        with counting("questions embedded") if progress is None else nullcontext(_unseen) as tell:
            embed_all(self.cells, self.entrants, tell)
        self._rehearse(tasks[0].seed)
        keeping.require_writable(file.path)
        keys = keeping.keys(tasks)
        with counting(self.name) if progress is None else nullcontext(progress) as tell:
            found = file.finish(play, tasks, keys, keeping.RUNS, workers, tell, lambda task: task.title)
        runs = [(task.cell, task.entrant.name, task.seed, run) for task, run in zip(tasks, found, strict=True)]
        made = replace(self._made(), kept=file.said)
        return StudyResult.of(self.name, runs, tuple(reports), made, self.delay)

    def _rehearse(self, seed: int) -> None:
        """Make everything once: whoever cannot be made is to be found before the first run has taken its hour."""
        for cell in self.cells:
            load = cell.workload.draw(cell.bidders, seed)
            for one in self.entrants:
                policy = one.make(cell, seed, load)
                require_joining(policy, cell.fleet, cell.churn, cell.slots, one.name)
            for agent in cell.fleet:
                load.engine(agent)
                load.quality(agent, f"{load.names[0]}/0")
            for measure in self._measures:
                try:
                    made = measure(load)
                except Exception as error:
                    error.add_note(f"in measure {getattr(measure, '__name__', measure)}")
                    raise
                lacking = [part for part in ("__call__", "figures") if not callable(getattr(made, part, None))]
                if lacking:
                    raise StudyError(
                        f"{measure!r:.60} gives {made!r:.60}, which measures nothing: it has no {', '.join(lacking)}"
                    )

    def _tasks(self) -> list[Task]:
        assert isinstance(self.seeds, tuple)
        return [
            Task(cell, one, seed, self.despite_audit, self._measures)
            for cell in self.cells
            for seed in self.seeds
            for one in self.entrants
        ]

    def _made(self) -> Made:
        assert isinstance(self.seeds, tuple)
        sources: dict[str, str] = {}
        for cell in self.cells:
            for name, sha256 in cell.workload.sources:
                # Two files of different places may be called alike.
                again = sources.get(name, sha256) != sha256
                sources[f"{name} ({sha256[:8]})" if again else name] = sha256
        return replace(made_here(), seeds=self.seeds, sources=sources)


def _unseen(done: int, total: int) -> None:
    """Whoever counts runs counts nothing else."""


def _preset(given: object) -> tuple[str, Preset]:
    if isinstance(given, Preset):
        return given.description, given
    if isinstance(given, str):
        return given, find_preset("differing", given) if ":" in given else find_preset(given)
    if callable(given):
        name = getattr(given, "__name__", type(given).__name__)
        drawn = given(np.random.default_rng(0))
        if not isinstance(drawn, Preferences):
            raise StudyError(f"{name} draws no Preferences: it returns {drawn!r:.60}; return mechanisms.Preferences")
        return name, replace(find_preset("differing"), draw=given, description=f"drawn by {name}")
    raise StudyError(f"{given!r} draws no bidders; give a preset's name, or a function of a numpy Generator")


def _listed(given: object) -> list[Any]:
    """One of something, or several."""
    return list(given) if isinstance(given, (list, tuple)) else [given]


def seeds_of(given: object) -> tuple[int, ...]:
    """Seeds as they are said: how many, "0..9", or which.

    Raises:
        StudyError: it is none of these, there is none, or one stands twice.
    """
    wanted = f'seeds = {given!r}; expected how many, a range such as "0..9", or a list of different whole numbers'
    if isinstance(given, str):
        found = _RANGE.fullmatch(given)
        if found is None:
            raise StudyError(wanted)
        seeds: tuple[object, ...] = tuple(range(int(found[1]), int(found[2]) + 1))
    elif isinstance(given, int) and not isinstance(given, bool):
        seeds = tuple(range(given))
    elif isinstance(given, Iterable):
        seeds = tuple(given)
    else:
        raise StudyError(wanted)
    numbers = tuple(int(one) for one in seeds if isinstance(one, (int, np.integer)) and one is not True and one >= 0)
    if len(numbers) < len(seeds) or len(set(numbers)) < len(numbers):
        raise StudyError(wanted)
    if not numbers:
        raise StudyError(f"seeds = {given!r}: there is no seed; give one at least")
    return numbers
