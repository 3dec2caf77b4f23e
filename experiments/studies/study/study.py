"""`Study`: policies against each other, in cells, at seeds: audited first, run on all cores, kept as they come."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from experiments.errors import AuditRefusedError, StudyError
from experiments.progress import counting
from experiments.results.made import Made, made_here
from experiments.studies.study import kept as keeping
from experiments.studies.study.cell import Cell, cells, named, workload_columns
from experiments.studies.study.playing import REQUIRED, Measure, Played, Task, play
from experiments.studies.study.policies import Entrant, embed_all, entrants
from experiments.studies.study.pool import run_all
from experiments.studies.study.result import StudyResult
from experiments.worlds.presets import Preset, find_preset
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.workload import Workload
from mechanisms import DirectMechanism
from proofs import SUITE, Report, audit

#: Called with runs done and runs in all.
Progress = Callable[[int, int], None]

#: Who plays unless somebody is named.
USUAL = ("iemas", "cache-aware", "sticky", "random")


@dataclass(slots=True)
class Study:
    """The same traffic under every policy, in every cell, at every seed.

    Args:
        workload: what is asked, one or several.
        policies: names of the catalogue, `mine:Policy`, `policy+predictor` (the auction with a learned router's idea of
            quality: `iemas+knn`), policies of yours, or `Entrant`s. Differences are of the first over each other.
        seeds: how many, from 0, or which.
        fleet: simulated agents; default the workload's own. Several fleets by name: `{"two": [...], "four": [...]}`.
        bidders: a preset's name, a function of a numpy Generator that draws `Preferences`, or a `Preset`; or several,
            by name or number where a plot is to have them as its axis: `{1.0: draw_alike, 10.0: draw_apart}`.
        slots: requests an agent may serve at once, None for as many as its engine can; or several.
        mechanism, allocator: of the auctions: a name, `mine:Rule`, or a mechanism. It is audited before anything runs.
        predictor: what auctions and informed rivals foretell with; see `Entrant`.
        measures: figures of yours for each run: functions of the traffic that make a `Measuring`.
        despite_audit: run a mechanism whose audit failed, and say so.
        delay: until when waits count in welfare, `first-token` or `last-token`.
        name: what reports call it.

    >>> from experiments.studies.study import Dialogues, Study
    >>> few = Dialogues("shipped", rate=2.0, dialogues=2, turns=2)
    >>> result = Study(few, policies=["cache-aware", "random"], seeds=2).run(workers=0)
    >>> result.frame().shape[0]
    4
    """

    workload: Workload | Sequence[Workload]
    policies: Sequence[object] = USUAL
    seeds: int | Iterable[int] = 5
    fleet: Sequence[SimulatedAgent] | dict[str, Sequence[SimulatedAgent]] | None = None
    bidders: object = "differing"
    slots: int | Sequence[int | None] | None = None
    mechanism: object = "vcg"
    allocator: str | None = None
    predictor: object = None
    measures: Sequence[Measure] = ()
    despite_audit: bool = False
    delay: str = "first-token"
    name: str = "study"
    cells: list[Cell] = field(init=False)
    entrants: list[Entrant] = field(init=False)

    def __post_init__(self) -> None:
        workloads = [self.workload] if isinstance(self.workload, Workload) else list(self.workload)
        for one in workloads:
            if not isinstance(one, Workload):
                raise StudyError(f"{one!r} is no workload; use Dialogues, Questions or Trace")
        fleets: dict[str, Sequence[SimulatedAgent]] = (
            self.fleet if isinstance(self.fleet, dict) else {"": () if self.fleet is None else tuple(self.fleet)}
        )
        if isinstance(self.bidders, dict):
            drawn = [(name, _preset(one)[1]) for name, one in self.bidders.items()]
        else:
            several = self.bidders if isinstance(self.bidders, (list, tuple)) else [self.bidders]
            drawn = [_preset(one) for one in several]
        slots = list(self.slots) if isinstance(self.slots, Sequence) else [self.slots]
        self.cells = cells(
            {
                "workload": workloads,
                "bidders": [preset for _, preset in drawn],
                "fleet": [tuple(one) for one in fleets.values()],
                "slots": slots,
            },
            {
                "workload": workload_columns(workloads),
                "bidders": named("bidders", [name for name, _ in drawn]),
                "fleet": named("fleet", list(fleets)),
                "slots": named("slots", ["all" if one is None else one for one in slots]),
            },
        )
        self.entrants = entrants(self.policies, self.mechanism, self.allocator, self.predictor)
        self.seeds = tuple(range(self.seeds)) if isinstance(self.seeds, int) else tuple(self.seeds)
        if not self.seeds:
            raise StudyError("there is no seed; give one at least")

    @property
    def runs(self) -> int:
        """Runs in all."""
        assert isinstance(self.seeds, tuple)
        return len(self.cells) * len(self.entrants) * len(self.seeds)

    def audit(self, progress: Callable[[int, int], None] | None = None) -> list[Report]:
        """What small scopes say of every mechanism that plays.

        Raises:
            AuditRefusedError: a required property is refuted or was never examined, and nobody insisted.
        """
        found: list[Report] = []
        seen: list[tuple[object, str | None]] = []
        for one in self.entrants:
            if not one.auctions or (one.mechanism, one.allocator) in seen:
                continue
            seen.append((one.mechanism, one.allocator))
            given = one.mechanism if isinstance(one.mechanism, str) else _mechanism(one.mechanism)
            report = audit(given, SUITE, progress=progress, allocator=one.allocator)
            broken = [name for name in REQUIRED if not report[name]]
            if broken and not self.despite_audit:
                raise AuditRefusedError(report, broken)
            found.append(report)
        return found

    def run(
        self,
        *,
        workers: int | str | None = None,
        kept: str | Path | None = None,
        progress: Progress | None = None,
    ) -> StudyResult:
        """Audit, then play whatever is not kept.

        Args:
            workers: processes; 0 for this one; "ray"; default as many as there are cores. Numbers are the same.
            kept: a file of finished runs, read first and added to: stop a study and start it again as you like.
            progress: is called with runs done and in all; default a bar on stderr.

        Raises:
            StudyError: something cannot be made, or a run took two workers with it.
            ContradictionError: what is served contradicts the audit, and nobody insisted.
        """
        path = None if kept is None else Path(kept)
        keeping.require_writable(path)
        if self.delay not in ("first-token", "last-token"):
            raise StudyError(f"no delay {self.delay!r}; there are: first-token, last-token")
        reports = self.audit()
        tasks = self._tasks()
        with counting("questions embedded") if progress is None else nullcontext(_unseen) as tell:
            embed_all(self.cells, self.entrants, tell)
        # Whoever cannot be made is to be found before the first run has taken its hour.
        for cell in self.cells:
            load = cell.workload.draw(cell.bidders, tasks[0].seed)
            for one in self.entrants:
                one.make(cell, tasks[0].seed, load)
            for agent in cell.fleet:
                load.engine(agent)
                load.quality(agent, f"{load.names[0]}/0")
        before = keeping.read(path)
        keys = [keeping.key(task) for task in tasks]
        found: dict[int, Played] = {k: before[name] for k, name in enumerate(keys) if name in before}
        todo = [k for k in range(len(tasks)) if k not in found]
        with counting(self.name) if progress is None else nullcontext(progress) as tell:
            tell(len(found), len(tasks))
            for place, run in run_all(play, [tasks[k] for k in todo], workers, lambda task: task.title):
                k = todo[place]
                found[k] = run
                keeping.write(path, keys[k], run)
                tell(len(found), len(tasks))
        runs = [(tasks[k].cell, tasks[k].entrant.name, tasks[k].seed, found[k]) for k in range(len(tasks))]
        return StudyResult.of(self.name, runs, tuple(reports), self._made(), self.delay)

    def _tasks(self) -> list[Task]:
        assert isinstance(self.seeds, tuple)
        return [
            Task(cell, one, seed, self.despite_audit, tuple(self.measures))
            for cell in self.cells
            for seed in self.seeds
            for one in self.entrants
        ]

    def _made(self) -> Made:
        assert isinstance(self.seeds, tuple)
        sources: dict[str, str] = {}
        for cell in self.cells:
            sources |= dict(cell.workload.sources)
        return replace(made_here(), seeds=self.seeds, sources=sources)


def _unseen(done: int, total: int) -> None:
    """Whoever counts runs counts nothing else."""


def _mechanism(given: object) -> DirectMechanism:
    found: DirectMechanism = given  # type: ignore[assignment]
    if not callable(getattr(found, "run", None)):
        raise StudyError(f"{given!r} is no mechanism: it has no `run`")
    return found


def _preset(given: object) -> tuple[str, Preset]:
    if isinstance(given, Preset):
        return given.description, given
    if isinstance(given, str):
        return given, find_preset("differing", given) if ":" in given else find_preset(given)
    if callable(given):
        name = getattr(given, "__name__", type(given).__name__)
        return name, replace(find_preset("differing"), draw=given, description=f"drawn by {name}")
    raise StudyError(f"{given!r} draws no bidders; give a preset's name, or a function of a numpy Generator")
