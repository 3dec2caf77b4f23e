"""The referee of the standard library alone: its solver against ours, what it imports, what it says to whom."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from allocation import MinCostFlow
from mechanisms import find_mechanism
from runtime.accounts.archive import Archive
from runtime.referees import referee
from runtime.referees.export import lines
from tests.markets import random_market
from tests.runtime.referees.played import play

FILE = Path(referee.__file__)


def weights_of(market: "object") -> "list[list[int | None]]":
    return [
        [None if w < -(2**50) else int(w) for w in row]
        for row in market.weights.tolist()  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize("seed", range(40))
def test_its_optimum_and_its_charges_are_ours(seed: int) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng, int(rng.integers(1, 9)), int(rng.integers(1, 5)))
    weights, capacities = weights_of(market), market.capacities.tolist()
    allocation = MinCostFlow().allocate(market)
    assert referee.greatest(weights, capacities) == market.welfare(allocation)
    able = None if market.feasible is None else market.feasible.astype(int).tolist()
    told = {
        "agents": [f"a{j}" for j in range(market.shape[1])],
        "requests": [f"r{i}" for i in range(market.shape[0])],
        "bidders": [f"b{k}" for k in market.bidders.tolist()],
        "charges": [0] * market.shape[0],
        "rules": {"mechanism": "vcg", "allocator": None},
        "basis": None,
        "market": {
            "values": market.values.tolist(),
            "costs": market.costs.tolist(),
            "feasible": able,
            "capacities": capacities,
            "agents": allocation.agents.tolist(),
            "prices": None if allocation.prices is None else allocation.prices.tolist(),
            "receipts": [],
        },
    }
    charges = find_mechanism("vcg").run(market).payments.charges
    assert referee.Round(told).externalities() == charges.tolist()
    assert list(referee.Round(told).allocation()) == []


def test_what_is_not_optimal_has_a_circle_that_gains() -> None:
    with pytest.raises(ValueError, match="not optimal"):
        referee.lowest_prices([[5, 1], [1, 5]], [1, 0])


def test_it_imports_nothing_but_the_standard_library() -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(FILE.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    assert imported and imported <= set(sys.stdlib_module_names)


def test_it_says_by_its_exit_code_what_it_found(tmp_path: Path) -> None:
    play(str(tmp_path / "books.db"), requests=12)
    with Archive(tmp_path / "books.db") as books:
        written = list(lines(books))
    forged = [json.loads(line) for line in written]
    entry = next(one["entry"] for one in forged if one.get("entry", {}).get("state") == "settled")
    entry["final"] += 1

    def run(name: str, text: str, *how: str) -> "subprocess.CompletedProcess[str]":
        (tmp_path / name).write_text(text)
        return subprocess.run(
            [sys.executable, *how, str(tmp_path / name)], capture_output=True, text=True, cwd=tmp_path, check=False
        )

    alone = ("-I", "-S", str(FILE))
    honest = run("honest.jsonl", "\n".join(written) + "\n", *alone)
    assert (honest.returncode, honest.stderr) == (0, "") and honest.stdout.startswith("HOLDS: ")
    tampered = run("forged.jsonl", "\n".join(map(json.dumps, forged)) + "\n", *alone)
    assert tampered.returncode == 1 and f"request {entry['request']}, attempt 1: settlement" in tampered.stdout
    for text, said in (
        (written[0] + "\n", "no auction is in it"),
        ("{}\n", "line 1 does not begin an export"),
        ("", "no auction"),
    ):
        refused = run("refused.jsonl", text, *alone)
        assert refused.returncode == 2 and said in refused.stderr and refused.stdout == ""
