"""Many runs: every policy in every world at every seed, on all cores, kept as they come so that it can go on later."""

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from experiments.data import Corpus, load, locate
from experiments.errors import StudyError
from experiments.studies.arena.pairs import Difference, compare, normalised
from experiments.studies.arena.play import Cell, Score, play
from experiments.studies.arena.rivals import ablations, rivals
from experiments.worlds.fleets import FLEET, SimulatedAgent
from experiments.worlds.presets import find_preset

#: Called with runs done and runs in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class World:
    """A cell by names, which a process of its own can build: files, rate, preset, agents by number, capacity.

    `data` are names or files; `dialogues` and `turns` cut each. `skill`, where given, is every agent's.
    """

    data: tuple[str, ...]
    rate: float
    preset: str = "differing"
    agents: tuple[int, ...] = (0, 1, 2, 3)
    slots: int | None = None
    dialogues: int = 20
    turns: int = 12
    skill: float | None = None

    @property
    def name(self) -> str:
        """As tables print it."""
        files = "+".join(Path(name).parent.name if name.endswith("dev.json") else Path(name).stem for name in self.data)
        parts = [files, f"{self.rate:g}/s", self.preset]
        parts += ["+".join(FLEET[k].name for k in self.agents)] if self.agents != tuple(range(len(FLEET))) else []
        parts += [f"{self.dialogues} dialogues each"] if self.dialogues != 20 else []
        parts += [f"slots {self.slots}"] if self.slots else []
        parts += [f"skill {self.skill:g}"] if self.skill is not None else []
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
        corpora = tuple(_corpus(name, self.dialogues, self.turns) for name in self.data)
        return Cell(self.name, corpora, self.rate, find_preset(self.preset), self.fleet(), self.slots)


@dataclass(slots=True)
class Contest:
    """Scores by world, policy and seed."""

    seeds: tuple[int, ...]
    scores: dict[tuple[str, str, int], Score] = field(default_factory=dict)

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

    def over(self, world: str, one: str, other: str) -> Difference:
        """What `one` gains over `other`, in welfare."""
        ours, theirs = ([score.welfare for score in self.of(world, name)] for name in (one, other))
        return compare(ours, theirs)

    def normalised(self, world: str, policy: str) -> float:
        """Welfare between random routing (0) and the best that anybody reached at each seed, oracle included (1)."""
        totals = {name: np.array([score.total for score in self.of(world, name)]) for name in self.policies(world)}
        return normalised(totals[policy], totals["random"], np.max(list(totals.values()), axis=0))


def contest(
    worlds: Sequence[World],
    seeds: Sequence[int],
    policies: Sequence[str] = (),
    *,
    kept: Path | None = None,
    workers: int | None = None,
    progress: Progress = lambda done, total: None,
) -> Contest:
    """Play every world with every policy and seed.

    Args:
        policies: names of `rivals` and `ablations`; empty: all rivals.
        kept: a file of finished runs, one a line, which is read first and added to; runs of other code do not count.
        workers: processes; default as many as there are cores.

    Raises:
        StudyError: a policy does not exist.
    """
    known = {**rivals(FLEET), **ablations()}
    wanted = list(policies) or list(rivals(FLEET))
    unknown = set(wanted) - set(known)
    if unknown:
        raise StudyError(f"no policy {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    found = Contest(tuple(seeds))
    before = _read(kept)
    open_ = []
    for world in worlds:
        for policy in wanted:
            for seed in seeds:
                score = before.get((world.name, policy, seed))
                if score is None:
                    open_.append((world, policy, seed))
                else:
                    found.scores[world.name, policy, seed] = score
    total = len(open_) + len(found.scores)
    with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(_play, *task): task for task in open_}
        try:
            for job in as_completed(jobs):
                world, policy, seed = jobs[job]
                found.scores[world.name, policy, seed] = score = job.result()
                _write(kept, world.name, policy, seed, score)
                progress(len(found.scores), total)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def seeds_of(commit: str, count: int) -> tuple[int, ...]:
    """Seeds that nobody chose: from a commit's hash."""
    digests = (hashlib.sha256(f"{commit}/{k}".encode()).digest() for k in range(count))
    return tuple(int.from_bytes(digest[:4], "big") for digest in digests)


def commit() -> str:
    """The hash of the commit that is checked out; "unknown" outside a clone."""
    asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    return asked.stdout.strip() or "unknown"


def _play(world: World, policy: str, seed: int) -> Score:
    cell = world.cell()
    return play({**rivals(cell.fleet), **ablations()}[policy], cell, seed)


@cache
def _corpus(name: str, dialogues: int, turns: int) -> Corpus:
    corpus = load(locate(name)).first(dialogues).shortened(turns)
    longest = max((len(one.context.split()) for one in corpus.dialogues), default=0)
    return corpus.capped(400) if longest > 400 else corpus


@cache
def _code() -> str:
    """A fingerprint of all that decides a run."""
    root = Path(__file__).parents[3]
    digest = hashlib.sha256()
    for room in ("allocation", "mechanisms", "prediction", "runtime", "experiments"):
        for path in sorted((root / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _read(kept: Path | None) -> Mapping[tuple[str, str, int], Score]:
    if kept is None or not kept.exists():
        return {}
    rows: Iterable[dict[str, object]] = map(json.loads, kept.read_text().splitlines())
    found = {}
    for row in rows:
        if row["code"] == _code():
            fields = dict(row["score"])  # type: ignore[call-overload]
            fields["welfare"] = tuple(fields["welfare"])
            found[str(row["world"]), str(row["policy"]), int(str(row["seed"]))] = Score(**fields)
    return found


def _write(kept: Path | None, world: str, policy: str, seed: int, score: Score) -> None:
    if kept is None:
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    row = {"code": _code(), "world": world, "policy": policy, "seed": seed, "score": score.as_dict()}
    with kept.open("a") as lines:
        lines.write(json.dumps(row) + "\n")
