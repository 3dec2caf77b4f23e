"""How many requests a second of processor time a simulation plays, and whether a million of them stay small.

`pytest tests/benchmarks/bench_simulation.py -o python_files='bench_*.py' -p no:benchmark -s -q` prints the former;
`python -m tests.benchmarks.bench_simulation --million` plays the latter, on two processes with half of them each, and
says how much memory each had at a tenth of the way and at the end.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread

import pytest

from experiments.progress import Counts, counting
from experiments.studies.study.cells.cell import Cell
from experiments.studies.study.cells.policies import Entrant
from experiments.studies.study.running.playing import Measure, Task, play
from experiments.worlds.fleets import FLEET
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.traffic import Traffic
from experiments.worlds.workloads.workload import Dialogues
from runtime import Declined, Served


def fleet_of(agents: int) -> tuple[SimulatedAgent, ...]:
    """The usual four engines, over and over."""
    return tuple(replace(FLEET[k % 4], name=f"{FLEET[k % 4].name}-{k}") for k in range(agents))


def played(
    policy: str, agents: int, requests: int, seed: int = 0, measures: tuple[Measure, ...] = ()
) -> tuple[int, float]:
    """Play about so many requests; how many ended, and the seconds of processor time they took."""
    once = Dialogues("shipped", dialogues=1000, rate=0.5 * agents / 4)
    turns = once.draw(Cell(once).bidders, 0).turns
    load = replace(once, repeat=max(round(requests / turns), 1))
    began = time.process_time()
    score = play(
        Task(Cell(load, fleet=fleet_of(agents), slots=4), Entrant(policy, policy), seed, measures=measures)
    ).score
    return score.served + score.declined, time.process_time() - began


@pytest.mark.parametrize("agents", [4, 20])
@pytest.mark.parametrize("policy", ["sticky", "iemas"])
def test_requests_per_second_of_processor_time(policy: str, agents: int) -> None:
    played(policy, agents, 200)
    ended, took = min((played(policy, agents, 3000) for _ in range(3)), key=lambda one: one[1] / one[0])
    print(f"\n{policy}, {agents} agents: {ended / took:,.0f} requests per CPU-second")
    assert ended > 2000


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@dataclass
class Watching:
    """Counts the ends of a run's requests and tells `bar`, at each hundredth of them, how far it is."""

    load: Traffic
    bar: Counts
    ended: int = 0
    #: Conversations that were declined end early: the last hundredths may never come.
    hundredth: int = field(init=False)
    resident_at_tenth: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.hundredth = max(self.load.turns // 100, 1)

    def __call__(self, end: Served | Declined) -> None:
        """One request has ended."""
        self.ended += 1
        if self.ended == 10 * self.hundredth:
            self.resident_at_tenth = _resident_mib()
        if self.ended % self.hundredth == 0:
            self.bar(self.ended, self.load.turns)

    def figures(self) -> Mapping[str, float]:
        """No figures of the run's own."""
        return {}


def _print_far(done: int, total: int) -> None:
    """For whoever started this process, who has the bar."""
    print(json.dumps({"done": done, "of": total}), flush=True)


def play_one(policy: str, agents: int, requests: int, seed: int, bar: Counts) -> dict[str, object]:
    """What one process plays, in figures."""
    played(policy, agents, 500)
    watching: list[Watching] = []

    def watch(load: Traffic) -> Watching:
        watching.append(Watching(load, bar))
        return watching[0]

    began = time.perf_counter()
    ended, took = played(policy, agents, requests, seed, (watch,))
    return {
        "policy": policy,
        "agents": agents,
        "seed": seed,
        "requests": ended,
        "cpu_s": round(took, 1),
        "wall_s": round(time.perf_counter() - began, 1),
        "per_cpu_s": round(ended / took),
        "rss_mib_at_tenth": round(watching[0].resident_at_tenth),
        "rss_mib": round(_resident_mib()),
    }


def play_in(processes: int, policy: str, agents: int, requests: int) -> list[dict[str, object]]:
    """What that many processes play, each its share under a seed of its own, in figures; a bar shows how far they are.

    Raises:
        RuntimeError: one of them failed.
    """
    command = [sys.executable, "-m", "tests.benchmarks.bench_simulation", "--policy", policy, "--agents", str(agents)]
    command += ["--requests", str(requests // processes), "--part", "--seed"]
    parts = [subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, text=True) for seed in range(processes)]
    far: list[tuple[int, int]] = [(0, 0)] * processes
    rows: list[dict[str, object]] = [{} for _ in parts]
    with counting("requests") as bar:

        def listen(k: int) -> None:
            stream = parts[k].stdout
            assert stream is not None
            with stream as lines:
                for said in map(json.loads, lines):
                    if "done" in said:
                        far[k] = said["done"], said["of"]
                        bar(sum(done for done, _ in far), sum(of for _, of in far))
                    else:
                        rows[k] = said

        listening = [Thread(target=listen, args=(k,)) for k in range(processes)]
        try:
            for each in listening:
                each.start()
            for each in listening:
                each.join()
        except BaseException:
            # None is left behind by Ctrl-C.
            for part in parts:
                part.terminate()
            raise
    if any(part.wait() for part in parts):
        raise RuntimeError("a process failed; what it said is above")
    return rows


def main(given: Sequence[str] | None = None) -> None:
    """Play, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help="1,000,000 requests, half on each of two processes")
    parser.add_argument("--requests", type=int, default=10_000, help="in all")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--policy", default="iemas")
    parser.add_argument("--agents", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of a single process")
    parser.add_argument("--part", action="store_true", help="print how far it is, for the process that has the bar")
    args = parser.parse_args(given)
    if args.million:
        args.requests, args.processes = 1_000_000, 2
    if args.processes == 1:
        shown: AbstractContextManager[Counts] = nullcontext(_print_far) if args.part else counting("requests")
        with shown as bar:
            row = play_one(args.policy, args.agents, args.requests, args.seed, bar)
        print(json.dumps(row), flush=True)
        return
    began = time.perf_counter()
    rows = play_in(args.processes, args.policy, args.agents, args.requests)
    for row in rows:
        print(json.dumps(row))
    ended = sum(int(str(row["requests"])) for row in rows)
    print(f"{ended:,} requests on {args.processes} processes in {time.perf_counter() - began:,.0f} s")


if __name__ == "__main__":
    main()
