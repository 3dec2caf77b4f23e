"""`python -m tests.benchmarks.gateway [PART ...]`: judge proxies, print tables, exit 1 if a bar is missed."""

import argparse
import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.gateway import chaos, load, poison, streams
from tests.benchmarks.gateway.conformance import run as conformance
from tests.benchmarks.gateway.engines import engines
from tests.benchmarks.gateway.peers import PEERS

#: Which proxies are shown in which part, unless told otherwise.
SHOWN = {
    "conformance": ("forwarder", "vllm-router cache_aware", "smg cache_aware", "iemas keyed"),
    "chaos": ("vllm-router cache_aware", "smg cache_aware", "iemas auction"),
    "poison": ("vllm-router cache_aware", "smg cache_aware", "iemas auction"),
    "streams": ("forwarder", "vllm-router cache_aware", "smg cache_aware", "iemas auction"),
    "bench": (
        "forwarder", "vllm-router round_robin", "vllm-router cache_aware", "smg cache_aware", "iemas round-robin",
        "iemas cache-aware", "iemas auction",
    ),
}  # fmt: skip

console = Console(width=170)


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on screen."""
    table = Table(title=title)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*(str(entry) for entry in row))
    console.print(table)


def run_bench(names: Sequence[str], asked: argparse.Namespace) -> tuple[list[dict[str, Any]], list[tuple[str, bool]]]:
    rows = load.bench(names, asked.repeats, asked.seconds)
    columns = ["proxy", *(f"{column}, {load.UNITS[column]}" for column in load.COLUMNS), "requests/s c32", "wrong"]
    cells = [
        [row.name, *(load.cell(row, c) for c in load.COLUMNS), f"{max(row.rate):.0f}", f"{row.wrong}/{row.replies}"]
        for row in rows
    ]
    show(f"cost, median [least..greatest] of {asked.repeats} interleaved repeats", columns, cells)
    return [{"proxy": row.name, **row.figures, "wrong": row.wrong} for row in rows], load.bars(rows)


def run_conformance(
    names: Sequence[str], asked: argparse.Namespace
) -> tuple[list[dict[str, Any]], list[tuple[str, bool]]]:
    told, bars = [], []

    def tell(result: conformance.Result) -> None:
        if result.reason or asked.verbose:
            line = f"  {result.seconds:5.1f} s  {result.group}: {result.name}: {result.reason or 'passed'}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    for name in names:
        console.print(name)
        with engines() as fleet, PEERS[name].run(fleet, quick=True) as proxy:
            results = conformance.judge(proxy, asked.only, tell=tell)
        console.print(conformance.score(name, results), highlight=False)
        told += [{"proxy": name, "check": r.name, "reason": r.reason, "skipped": r.skipped} for r in results]
        if name.startswith("iemas"):
            bars.append((f"{name}: every check passes", not any(result.reason for result in results)))
    return told, bars


def each(
    title: str, story: Callable[[Any, argparse.Namespace], dict[str, Any]], names: Sequence[str], asked: Any
) -> list[dict[str, Any]]:
    """One story about each proxy, a row each."""
    rows = []
    for name in names:
        with engines() as fleet, PEERS[name].run(fleet) as proxy:
            rows.append({"proxy": name} | story(proxy, asked))
    show(title, list(rows[0]), [list(row.values()) for row in rows])
    return rows


def run_chaos(names: Sequence[str], asked: argparse.Namespace) -> tuple[list[dict[str, Any]], list[tuple[str, bool]]]:
    def story(proxy: Any, asked: argparse.Namespace) -> dict[str, Any]:
        return asyncio.run(chaos.chaos(proxy, asked.chaos_seconds))

    rows = each(f"chaos, {asked.chaos_seconds:g} s", story, names, asked)
    return rows, [bar for row in rows if row["proxy"].startswith("iemas") for bar in chaos.bars(row)]


def run_poison(names: Sequence[str], asked: argparse.Namespace) -> tuple[list[dict[str, Any]], list[tuple[str, bool]]]:
    rows = each("poison", lambda proxy, _: asyncio.run(poison.poison(proxy)), names, asked)
    return rows, [bar for row in rows if row["proxy"].startswith("iemas") for bar in poison.bars(row)]


def run_streams(names: Sequence[str], asked: argparse.Namespace) -> tuple[list[dict[str, Any]], list[tuple[str, bool]]]:
    rows = each("1,000 streams at once", lambda proxy, _: asyncio.run(streams.streams(proxy)), names, asked)
    return rows, [bar for row in rows if row["proxy"].startswith("iemas") for bar in streams.bars(row)]


PARTS = {
    "conformance": run_conformance,
    "poison": run_poison,
    "streams": run_streams,
    "chaos": run_chaos,
    "bench": run_bench,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--peers", help=f"of {', '.join(PEERS)}; parts of names do", default="")
    parser.add_argument("--repeats", type=int, default=3, help="of each figure")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each repeat")
    parser.add_argument("--chaos-seconds", type=float, default=60.0)
    parser.add_argument("--only", default="", help="checks whose name has this in it")
    parser.add_argument("--verbose", action="store_true", help="tell checks that pass, too")
    parser.add_argument("--table", default="runs/gateway.json", help="where the rows are written")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    wanted = [word.strip() for word in asked.peers.split(",") if word.strip()]
    told: dict[str, Any] = {"load average": os.getloadavg()}
    missed = 0
    for part in asked.parts or PARTS:
        if wanted:
            names: Sequence[str] = [name for name in PEERS if any(word in name for word in wanted)]
        else:
            names = SHOWN[part]
        if not names:
            parser.error(f"no proxy is called {asked.peers}; there are {', '.join(PEERS)}")
        told[part], bars = PARTS[part](names, asked)
        for text, held in bars:
            console.print(f"{'held  ' if held else 'MISSED'}  {text}", highlight=False)
            missed += not held
    target = Path(asked.table)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(told, indent=1))
    console.print(f"Rows: {target}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
