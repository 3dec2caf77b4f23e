"""How many requests a second of processor time a simulation plays, and whether a million of them stay small.

`pytest tests/benchmarks/bench_simulation.py -o python_files='bench_*.py' -p no:benchmark -s -q` prints the former;
`python -m tests.benchmarks.bench_simulation --million` plays the latter, on two processes with half of them each.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.studies.study.cell import Cell
from experiments.studies.study.playing import Task, play
from experiments.studies.study.policies import Entrant
from experiments.worlds.fleets import FLEET
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.workload import Dialogues


def fleet_of(agents: int) -> tuple[SimulatedAgent, ...]:
    """The usual four engines, over and over."""
    return tuple(replace(FLEET[k % 4], name=f"{FLEET[k % 4].name}-{k}") for k in range(agents))


def played(policy: str, agents: int, requests: int, seed: int = 0) -> tuple[int, float]:
    """Play about so many requests; how many ended, and the seconds of processor time they took."""
    once = Dialogues("shipped", dialogues=1000, rate=0.5 * agents / 4)
    turns = once.draw(Cell(once).bidders, 0).turns
    load = replace(once, repeat=max(round(requests / turns), 1))
    began = time.process_time()
    score = play(Task(Cell(load, fleet=fleet_of(agents), slots=4), Entrant(policy, policy), seed)).score
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


def main() -> None:
    """Play, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help="1,000,000 requests, half on each of two processes")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--policy", default="iemas")
    parser.add_argument("--agents", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not args.million:
        played(args.policy, args.agents, 500)
        before, began = _resident_mib(), time.perf_counter()
        ended, took = played(args.policy, args.agents, args.requests, args.seed)
        row = {
            "policy": args.policy,
            "agents": args.agents,
            "requests": ended,
            "cpu_s": round(took, 1),
            "wall_s": round(time.perf_counter() - began, 1),
            "per_cpu_s": round(ended / took),
            "rss_mib": round(_resident_mib()),
            "rss_before_mib": round(before),
        }
        print(json.dumps(row), flush=True)
        return
    began = time.perf_counter()
    command = [sys.executable, "-m", "tests.benchmarks.bench_simulation", "--requests", "500000"]
    command += ["--policy", args.policy, "--agents", str(args.agents), "--seed"]
    halves = [subprocess.Popen([*command, str(seed)]) for seed in range(2)]
    if any(half.wait() for half in halves):
        sys.exit(1)
    print(f"1,000,000 requests in {time.perf_counter() - began:,.0f} s")


if __name__ == "__main__":
    main()
