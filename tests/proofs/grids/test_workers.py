"""Who runs a sweep changes nothing; an interrupted one goes on; nobody is left behind."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from allocation import Greedy, Market, MinCostFlow
from mechanisms import VCG, Mechanism, Outcome, PayAsBid
from proofs import ALL, AuditError, Grid, Sample, audit
from proofs.claims.property import NoDeficit, OutcomeProperty
from proofs.grids.checkpoint import Checkpoint, fingerprint
from proofs.grids.exhaustive import Exhaustive
from proofs.grids.ray_cluster import RayCluster
from proofs.grids.table import Block, Enumeration
from proofs.grids.workers import Pool, Processes, Serial
from tests.proofs.rules import EXACT, Dice, Dictators, Overbooked
from tests.runtime.engines.vllm.processes import members

GRID = Grid(bidders=2, agents=2, values=range(5))
CLAIMS = tuple(prop for prop in ALL if isinstance(prop, OutcomeProperty))


def found(mechanism: Dice | Mechanism, pool: Pool, checkpoint: Path | None = None) -> list[dict[str, object]]:
    kept = None if checkpoint is None else Checkpoint(checkpoint)
    findings = Exhaustive(pool=pool, checkpoint=kept).examine(mechanism, GRID, ALL, lambda done, total: None)
    return [{**finding.as_dict(), "seconds": 0} for finding in findings]


@dataclass(frozen=True)
class Backwards:
    """A pool that answers the last block first."""

    def answer(self, work: Enumeration, numbers: Sequence[int]) -> Iterator[Block]:
        yield from map(work.answer, reversed(numbers))


@dataclass(frozen=True)
class Interrupted:
    """A pool that is stopped after some blocks."""

    after: int

    def answer(self, work: Enumeration, numbers: Sequence[int]) -> Iterator[Block]:
        yield from map(work.answer, numbers[: self.after])
        raise KeyboardInterrupt


@dataclass(frozen=True)
class Counting:
    """A pool that counts what it is asked."""

    asked: list[int]

    def answer(self, work: Enumeration, numbers: Sequence[int]) -> Iterator[Block]:
        self.asked.extend(numbers)
        yield from map(work.answer, numbers)


@pytest.mark.parametrize("mechanism", [Dice(1), Mechanism(Greedy(), VCG())], ids=str)
def test_findings_do_not_depend_on_who_runs_the_mechanism(mechanism: Dice | Mechanism) -> None:
    expected = found(mechanism, Serial())
    assert found(mechanism, Backwards()) == expected
    assert found(mechanism, Processes(2)) == expected


@pytest.mark.slow
def test_a_ray_cluster_finds_the_same() -> None:
    pytest.importorskip("ray", reason="install the extra to run this: iemas[ray]")
    assert found(Dice(1), RayCluster()) == found(Dice(1), Serial())
    with pytest.raises(AuditError, match=r"no Ray cluster at '?127.0.0.1:9"):
        found(Dice(1), RayCluster("127.0.0.1:9"))


def test_errors_of_workers_arrive_as_they_are() -> None:
    with pytest.raises(AuditError, match="Overbooked is infeasible on Market"):
        audit(Overbooked(), GRID, workers=2)


def test_a_mechanism_that_cannot_travel_is_refused_by_name() -> None:
    class Local:
        def run(self, market: Market) -> Outcome:
            return EXACT.run(market)

    for pool in (Processes(2), RayCluster()):
        with pytest.raises(AuditError, match=r"Local cannot be sent to another process .*module of its own"):
            audit(Local(), GRID, workers=pool)


def test_workers_and_files_are_for_grids() -> None:
    with pytest.raises(AuditError, match="workers, resume and symmetry are for a Grid, not for a Sample"):
        audit(EXACT, Sample(draws=1), workers=2)
    with pytest.raises(AuditError, match="0 workers; expected an integer >= 1"):
        audit(EXACT, GRID, workers=0)


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file, asked = tmp_path / "sweep.sqlite", []
    with pytest.raises(KeyboardInterrupt):
        found(Dice(1), Interrupted(2), file)
    assert found(Dice(1), Counting(asked), file) == found(Dice(1), Serial())
    assert asked == [2]
    assert found(Dice(1), Counting(asked), file) == found(Dice(1), Serial()) and asked == [2]


def test_progress_starts_where_the_file_ends(tmp_path: Path) -> None:
    file, seen = tmp_path / "sweep.sqlite", []
    with pytest.raises(KeyboardInterrupt):
        found(Dice(1), Interrupted(1), file)
    Exhaustive(checkpoint=Checkpoint(file)).examine(Dice(1), GRID, ALL, lambda done, total: seen.append((done, total)))
    assert seen[0] == (256, 625) and seen[-1] == (625, 625)


@pytest.mark.parametrize(
    "other",
    [
        Enumeration(Dice(2), GRID, CLAIMS),
        Enumeration(Dictators(), GRID, CLAIMS),
        Enumeration(Mechanism(MinCostFlow(), PayAsBid()), GRID, CLAIMS),
        Enumeration(Dice(1), Grid(2, 2, range(4)), CLAIMS),
        Enumeration(Dice(1), GRID, (NoDeficit(),)),
    ],
    ids=["parameter", "class", "rule", "grid", "properties"],
)
def test_a_file_belongs_to_one_sweep(other: Enumeration, tmp_path: Path) -> None:
    mine, file = Enumeration(Dice(1), GRID, CLAIMS), Checkpoint(tmp_path / "sweep.sqlite")
    assert fingerprint(mine) == fingerprint(Enumeration(Dice(1), GRID, CLAIMS))
    file.load(mine)
    with pytest.raises(AuditError, match=r"sweep.sqlite holds a sweep of Dice.*name another file, or delete it"):
        file.load(other)


RULES = """
from inner import Free, Modest
class Outer:
    def __init__(self):
        self.parts = [Free()]
    def run(self, market):
        return self.parts[0].run(market)
"""

INNER = """
from allocation import Allocation
from mechanisms import Outcome, Payments
from proofs import Violation
class Free:
    def run(self, market):
        n, m = market.shape
        return Outcome(market, Allocation([-1] * n), Payments([FEE] * n, [0] * m))
class Modest:
    name = "modest"
    def check(self, outcome, truth):
        return Violation(1, "dear") if outcome.payments.charges.sum() > BOUND else None
"""


ASK = """
from pathlib import Path
from outer import Modest, Outer
from proofs import Grid, audit
print(audit(Outer(), Grid(2, 1, range(2)), [Modest()], resume=Path("sweep.sqlite"))["modest"].status)
"""


@pytest.mark.parametrize("changed", [{"FEE": "1"}, {"BOUND": "-1"}], ids=["mechanism", "property"])
def test_a_file_knows_the_sources_of_parts_and_properties(changed: dict[str, str], tmp_path: Path) -> None:
    """A file of answers, or of claims, that other code gave must not be gone on from."""
    (tmp_path / "outer.py").write_text(RULES)

    def asked(**constants: str) -> subprocess.CompletedProcess[str]:
        text = INNER
        for name, value in {"FEE": "0", "BOUND": "0", **constants}.items():
            text = text.replace(name, value)
        (tmp_path / "inner.py").write_text(text)
        paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path), str(Path.cwd())])
        env = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run([sys.executable, "-c", ASK], cwd=tmp_path, env=env, capture_output=True, text=True)

    assert asked().stdout.strip() == "VERIFIED"
    assert asked().stdout.strip() == "VERIFIED"
    assert "made by other code" in asked(**changed).stderr


def test_a_sweep_whose_file_was_replaced_leaves_the_new_one_alone(tmp_path: Path) -> None:
    path, mine = tmp_path / "sweep.sqlite", Enumeration(Dice(1), GRID, CLAIMS)
    other, file = Enumeration(Dictators(), GRID, CLAIMS), Checkpoint(path)
    file.load(mine)
    path.unlink()
    with pytest.raises(AuditError, match="cannot be written now"):
        file.save(mine.answer(0), fingerprint(mine))
    path.unlink()
    file.load(other)
    file.save(mine.answer(0), fingerprint(mine))
    file.save(other.answer(1), fingerprint(other))
    assert list(file.load(other)) == [1]


@pytest.mark.parametrize("content", [b"no database", None])
def test_files_that_hold_no_sweep_are_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "folder" / "sweep.sqlite" if content is None else tmp_path / "sweep.sqlite"
    if content is not None:
        file.write_bytes(content * 100)
    with pytest.raises(AuditError, match=r"cannot hold a sweep.*name another file"):
        audit(Dice(1), GRID, resume=file)


def test_a_damaged_block_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sweep.sqlite"
    audit(Dictators(), GRID, resume=file)
    with sqlite3.connect(file) as database:
        database.execute("update block set answers = x'00'")
    database.close()
    with pytest.raises(AuditError, match="cannot hold a sweep"):
        audit(Dictators(), GRID, resume=file)


def test_a_file_with_other_answers_is_found_out(tmp_path: Path) -> None:
    """Where the source looks the same and the mechanism is not."""
    file = tmp_path / "sweep.sqlite"
    audit(Dictators(), GRID, resume=file)
    work = Enumeration(Dictators(), GRID, CLAIMS)
    kept = Checkpoint(file).load(work)
    for block in kept.values():
        block.charges[...] += 1
        Checkpoint(file).save(block, fingerprint(work))
    with pytest.raises(AuditError, match=r"holds another answer to Market"):
        audit(Dictators(), GRID, resume=file)


SLOW = """
import os
import time
from allocation import Allocation
from mechanisms import Outcome, Payments


class Slow:
    def run(self, market):
        time.sleep(float(os.environ.get("SLOW_RULES_S", "0")))
        n, m = market.shape
        return Outcome(market, Allocation([-1] * n), Payments([0] * n, [0] * m))
"""


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_keeps_what_was_run(tmp_path: Path) -> None:
    (tmp_path / "slow_rules.py").write_text(SLOW)
    command = [sys.executable, "-c", "from experiments.cli import main; main()", "audit", "slow_rules:Slow"]
    options = ["--bidders", "2", "--values", "0..5", "--workers", "2", "--resume", "sweep.sqlite"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
    child = subprocess.Popen(
        [*command, *options],
        cwd=tmp_path,
        env={**environment, "SLOW_RULES_S": "0.01"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while child.poll() is None and _blocks(tmp_path / "sweep.sqlite") < 1:
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130 and "interrupted; sweep.sqlite keeps what was run" in said
    deadline = time.monotonic() + 10
    while members(child.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert members(child.pid) == []
    kept = _blocks(tmp_path / "sweep.sqlite")
    again = subprocess.run(
        [*command, *options[:4], "--json", "--resume", "sweep.sqlite"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    statuses = {finding["property"]: finding["status"] for finding in json.loads(again.stdout)["findings"]}
    assert statuses == {
        "truthful": "VERIFIED",
        "individually-rational": "VERIFIED",
        "no-deficit": "VERIFIED",
        "efficient": "REFUTED",
    }
    assert 1 <= kept < _blocks(tmp_path / "sweep.sqlite") == 6


def _blocks(file: Path) -> int:
    if not file.exists():
        return 0
    database = sqlite3.connect(file)
    try:
        count: int = database.execute("select count(*) from block").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
    finally:
        database.close()
    return count
