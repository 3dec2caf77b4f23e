"""Many runs: every policy in every world at every seed, on all cores, kept as they come so that it can go on later."""

import hashlib
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from math import nan
from pathlib import Path

import numpy as np

from experiments.data import locate
from experiments.errors import DatasetError, StudyError
from experiments.results.made import commit as checked_out
from experiments.routers.catalogue import find_policy
from experiments.studies.arena.hindsight import hindsight
from experiments.studies.arena.pairs import Difference, compare, normalised
from experiments.studies.arena.play import DELAYS, Cell, Score, play
from experiments.studies.arena.rivals import everybody, rivals
from experiments.studies.arena.warm_up import lessons
from experiments.studies.study.keeping import kept as keeping
from experiments.studies.study.keeping.described import source_named
from experiments.studies.study.running.pool import run_all
from experiments.worlds.fleets import FLEET
from experiments.worlds.presets import find_preset
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.workloads.fields import written
from experiments.worlds.workloads.reading import corpus_of

#: Called with runs done and runs in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class World:
    """A cell by names, which a process of its own can build: files, rate, preset, agents by number, capacity.

    `data` are names or files; `dialogues` and `turns` cut each. `skill`, where given, is every agent's;
    `preferences` draws bidders of yours, such as `mine:draw`, instead of the preset's; `correlation` is of worth and
    delay cost where the preset's bidders differ, in [-1, 1]. The last `warm_up` dialogues of each file are kept out of
    the contest: the auction and its informed rivals have seen every agent's answers to them graded.
    """

    data: tuple[str, ...]
    rate: float
    preset: str = "differing"
    agents: tuple[int, ...] = (0, 1, 2, 3)
    slots: int | None = None
    dialogues: int = 20
    turns: int = 12
    skill: float | None = None
    preferences: str | None = None
    correlation: float = 0.0
    warm_up: int = 0

    @property
    def name(self) -> str:
        """As tables print it; different worlds have different names, but for files that are called alike."""
        files = "+".join(Path(name).parent.name if name.endswith("dev.json") else Path(name).stem for name in self.data)
        parts = [files, f"{written(self.rate)}/s", self.preset]
        parts += ["+".join(FLEET[k].name for k in self.agents)] if self.agents != tuple(range(len(FLEET))) else []
        parts += [f"{self.dialogues} dialogues each"] if self.dialogues != 20 else []
        parts += [f"{self.turns} turns each"] if self.turns != 12 else []
        parts += [f"slots {self.slots}"] if self.slots is not None else []
        parts += [f"skill {written(self.skill)}"] if self.skill is not None else []
        parts += [f"bidders of {self.preferences}"] if self.preferences else []
        parts += [f"correlation {written(self.correlation)}"] if self.correlation else []
        parts += [f"{self.warm_up} to warm up"] if self.warm_up else []
        return ", ".join(parts)

    def fleet(self) -> tuple[SimulatedAgent, ...]:
        """Its agents; twins of one that stands twice get names of their own."""
        chosen = [FLEET[k] for k in self.agents]
        return tuple(
            SimulatedAgent(
                f"{one.name}-{k}" if self.agents.count(self.agents[k]) > 1 else one.name,
                one.calibration,
                one.shape,
                one.prices,
                one.skill if self.skill is None else self.skill,
            )
            for k, one in enumerate(chosen)
        )

    def cell(self) -> Cell:
        """The cell itself.

        Raises:
            DatasetError, StudyError: it names what does not exist.
        """
        read = [corpus_of(name, self.dialogues, self.turns, warm_up=self.warm_up) for name in self.data]
        corpora, before = tuple(corpus for corpus, _ in read), tuple(one for _, more in read for one in more)
        preset = find_preset(self.preset, self.preferences, self.correlation)
        return Cell(self.name, corpora, self.rate, preset, self.fleet(), self.slots, warm_up=before)


#: A run to do: a world, a policy, a seed.
Task = tuple[World, str, int]
#: What a finished run is kept under: a fingerprint of what decided it, the world's name, the policy, the seed.
Key = tuple[str, str, str, int]


@dataclass(slots=True)
class Contest:
    """Scores by world, policy and seed; `delay` is one of `play.DELAYS`, until when waits count in what is compared.

    `most` is what no router could exceed (`hindsight`), by world and seed: welfare by conversation.
    """

    seeds: tuple[int, ...]
    scores: dict[tuple[str, str, int], Score] = field(default_factory=dict)
    delay: str = DELAYS[0]
    most: dict[tuple[str, int], tuple[float, ...]] = field(default_factory=dict)

    def of(self, world: str, policy: str) -> list[Score]:
        """A policy's scores in a world, one a seed.

        Raises:
            StudyError: it did not play there.
        """
        try:
            return [self.scores[world, policy, seed] for seed in self.seeds]
        except KeyError as error:
            raise StudyError(f"no run of {policy!r} in {world!r} at seed {error.args[0][2]}") from None

    def policies(self, world: str) -> list[str]:
        """Who played in a world."""
        return list(dict.fromkeys(policy for name, policy, _ in self.scores if name == world))

    def total(self, world: str, policy: str) -> float:
        """A policy's welfare in a world at all seeds together."""
        return sum(sum(score.judged(self.delay)) for score in self.of(world, policy))

    def over(self, world: str, one: str, other: str) -> Difference:
        """What `one` gains over `other`, in welfare."""
        ours, theirs = ([score.judged(self.delay) for score in self.of(world, name)] for name in (one, other))
        return compare(ours, theirs)

    def normalised(self, world: str, policy: str) -> float:
        """Welfare between random routing (0) and the best that anybody reached at each seed, oracle included (1).

        NaN where random routing did not play.
        """
        if "random" not in self.policies(world):
            return nan
        totals = {
            name: np.array([sum(score.judged(self.delay)) for score in self.of(world, name)])
            for name in self.policies(world)
        }
        return normalised(totals[policy], totals["random"], np.max(list(totals.values()), axis=0))


def contest(
    worlds: Sequence[World],
    seeds: Sequence[int],
    policies: Sequence[str] = (),
    *,
    delay: str = DELAYS[0],
    kept: Path | None = None,
    workers: int | None = None,
    progress: Progress = lambda done, total: None,
) -> Contest:
    """Play every world with every policy and seed.

    Args:
        policies: names of `everybody`, or yours, such as `mine:Policy`; empty: all `rivals`.
        delay: until when waits count, one of `play.DELAYS`. Runs are the same either way: decisions forecast the first
            token, and what is kept has both.
        kept: a file of finished runs, one a line, which is read first and added to; runs of other code, of ours or of
            yours, or on other data do not count.
        workers: processes; default as many as there are cores. They end when this call does, however it ends.

    Raises:
        StudyError: a policy or such a delay does not exist, two different worlds have one name, or `kept` cannot be
            written.
        DatasetError: a world's data do not exist.
    """
    if delay not in DELAYS:
        raise StudyError(f"no delay {delay!r}; there are: {', '.join(DELAYS)}")
    known = everybody(FLEET)
    wanted = list(dict.fromkeys(policies)) or list(rivals(FLEET))
    for name in wanted:
        find_policy(name, known)(0)
    for world in worlds:
        find_preset(world.preset, world.preferences, world.correlation)
        if world.warm_up:
            made = world.cell()
            lessons(made.warm_up, made.fleet, 0)
    _require_names(worlds)
    keeping.require_writable(kept)
    found = Contest(tuple(seeds), delay=delay)
    before = _read(kept)
    tasks = [(world, policy, seed) for world in dict.fromkeys(worlds) for policy in wanted for seed in found.seeds]
    open_ = []
    for world, policy, seed in tasks:
        score = before.get((_code_of(world, policy), world.name, policy, seed))
        if score is None:
            open_.append((world, policy, seed))
        else:
            found.scores[world.name, policy, seed] = score
    with closing(_played(open_, workers)) as running:
        for (world, policy, seed), score in running:
            found.scores[world.name, policy, seed] = score
            _write(kept, _code_of(world, policy), world.name, policy, seed, score)
            progress(len(found.scores), len(tasks))
    # As asked, not as they came.
    found.scores = {key: found.scores[key] for key in ((world.name, policy, seed) for world, policy, seed in tasks)}
    found.most = {(world.name, seed): _most(world, seed) for world in dict.fromkeys(worlds) for seed in found.seeds}
    return found


def _played(tasks: Sequence[Task], workers: int | None) -> Generator[tuple[Task, Score]]:
    """Runs as they are done, in processes of their own; they end when this generator does.

    Raises:
        StudyError: a run took two processes with it.
    """
    count = min(workers or os.cpu_count() or 1, max(len(tasks), 1))
    with closing(run_all(_play_task, tasks, count, _title)) as running:
        for place, score in running:
            yield tasks[place], score


def _title(task: Task) -> str:
    world, policy, seed = task
    return f"{policy} in {world.name} at seed {seed}"


def _play_task(task: Task) -> Score:
    return _play(*task)


def _require_names(worlds: Sequence[World]) -> None:
    """Refuse worlds that a table could not tell apart."""
    by_name = {world.name: world for world in worlds}
    for world in worlds:
        if by_name[world.name] != world:
            raise StudyError(f"two worlds are called {world.name!r}; rename a file of theirs")


def seeds_of(commit: str, count: int) -> tuple[int, ...]:
    """Seeds that nobody chose: from a commit's hash."""
    digests = (hashlib.sha256(f"{commit}/{k}".encode()).digest() for k in range(count))
    return tuple(int.from_bytes(digest[:4], "big") for digest in digests)


def commit() -> str:
    """The hash of the commit that is checked out; "unknown" outside a clone."""
    return checked_out().rstrip("+") or "unknown"


def _play(world: World, policy: str, seed: int) -> Score:
    cell = world.cell()
    return play(find_policy(policy, everybody(cell.fleet, lessons(cell.warm_up, cell.fleet, seed))), cell, seed)


def _most(world: World, seed: int) -> tuple[float, ...]:
    cell = world.cell()
    return hindsight(cell.workload(seed), cell.fleet, cell.preset.prices)


def _code_of(world: World, policy: str) -> str:
    """A fingerprint of all that decides a run but names and seed: our code, yours as far as it is named, the data."""
    digest = hashlib.sha256(keeping.ours().encode())
    for name in (policy, world.preferences or ""):
        digest.update(source_named(name).encode())
    for name in world.data:
        digest.update(_content(name))
    return digest.hexdigest()[:16]


@cache
def _content(name: str) -> bytes:
    path = locate(name)
    if not path.is_file():
        raise DatasetError(f"{name} is a folder; name its files, one --data each")
    return hashlib.sha256(path.read_bytes()).digest()


def _read(kept: Path | None) -> Mapping[Key, Score]:
    """Finished runs."""
    found: dict[Key, Score] = {}
    for row in keeping.rows(kept):
        try:
            found[row["code"], row["world"], row["policy"], row["seed"]] = keeping.score(row["score"])
        except (KeyError, TypeError, AttributeError):
            continue
    return found


def _write(kept: Path | None, code: str, world: str, policy: str, seed: int, score: Score) -> None:
    row = {"code": code, "world": world, "policy": policy, "seed": seed, "score": score.as_dict()}
    keeping.append(kept, row)
