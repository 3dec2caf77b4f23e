"""`iemas audit` of code that is not ours: whatever it does to its process, the verdict is right or there is none."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from experiments.cli import app
from experiments.commands.failures import one_line

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and process groups as POSIX systems have them")

MAIN = "import sys; from experiments.cli import main; sys.argv[0] = 'iemas'; main()"
ONE = ("--bidders", "2", "--agents", "1", "--values", "0..2")

RULES = """
import os, signal, sys, time
from mechanisms import VCG, PayAsBid, Payments

class Right(VCG):
    pass
class Exits:
    def charge(self, market, allocation, allocator):
        os._exit(0)
class Dies:
    def charge(self, market, allocation, allocator):
        os.kill(os.getpid(), signal.SIGSEGV)
class Hangs:
    def charge(self, market, allocation, allocator):
        open("hangs", "a").close()
        while True:
            pass
class Slow:
    def charge(self, market, allocation, allocator):
        time.sleep(0.3)
        return VCG().charge(market, allocation, allocator)
class Prints:
    def charge(self, market, allocation, allocator):
        print('{"answer": 1}', flush=True)
        os.write(1, b'not json\\n')
        return PayAsBid().charge(market, allocation, allocator)
class Raises:
    def charge(self, market, allocation, allocator):
        return {}["a"]  # line 29
class Nothing:
    def charge(self, market, allocation, allocator):
        return None
class Pair:
    def charge(self, market, allocation, allocator):
        return allocation.agents, allocation.agents
class NoOutcome:
    def run(self, market):
        return None
class NoAllocation:
    def allocate(self, market):
        return None
class Interrupts:
    def charge(self, market, allocation, allocator):
        raise KeyboardInterrupt
"""


@pytest.fixture(autouse=True)
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "foreign.py").write_text(RULES)
    monkeypatch.chdir(tmp_path)


def audit(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


def started(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, "audit", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
    )


def message(done: Result) -> str:
    assert isinstance(done.exception, Exception) and done.stdout == ""
    return one_line(done.exception)


def test_code_of_ones_own_gets_its_verdict(tmp_path: Path) -> None:
    done = audit("foreign:Right", *ONE, "--save", "found.json")
    assert done.exit_code == 0 and done.stdout.count("VERIFIED") == 4
    assert "VERIFIED" in Path("found.json").read_text()
    done = audit(f"{tmp_path}/foreign.py:Prints", *ONE, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["findings"][0]["status"] == "REFUTED"


@pytest.mark.parametrize(("rule", "how"), [("Exits", "exit status 0"), ("Dies", "signal SIGSEGV")])
def test_ending_the_process_is_no_verdict(rule: str, how: str) -> None:
    said = message(audit(f"foreign:{rule}", *ONE))
    assert said.startswith(f"foreign:{rule} ended the process of the audit before it could answer") and how in said


def test_nobody_interrupted_but_the_rule() -> None:
    assert message(audit("foreign:Interrupts", *ONE)).startswith("KeyboardInterrupt: ")


@pytest.mark.parametrize(("rule", "how"), [("Exits", "exit status 0"), ("Dies", "signal SIGSEGV")])
def test_a_worker_that_is_ended_is_no_verdict(rule: str, how: str) -> None:
    assert f"a worker process died, {how}: " in message(audit(f"foreign:{rule}", *ONE, "--workers", "2"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_never_returns_is_stopped(workers: str) -> None:
    began = time.monotonic()
    said = message(audit("foreign:Hangs", *ONE, "--time-limit", "4", "--workers", workers))
    assert "did not move on for 4 s; --time-limit SECONDS" in said and time.monotonic() - began < 60


@pytest.mark.slow
def test_what_is_slow_but_moves_on_is_not_stopped() -> None:
    few = ("--bidders", "1", "--agents", "1", "--values", "0..9", "--property", "no-deficit")
    assert audit("foreign:Slow", *few, "--time-limit", "2.5").exit_code == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_raises_is_located_at_its_own_line(workers: str, tmp_path: Path) -> None:
    said = message(audit("foreign:Raises", *ONE, "--workers", workers))
    line = RULES.splitlines().index('        return {}["a"]  # line 29') + 1
    assert "KeyError: 'a'" in said and f"({tmp_path}/foreign.py:{line};" in said and "\n" not in said


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (["foreign:Nothing"], "Nothing.charge returned None; expected Payments"),
        (["foreign:Nothing", "--workers", "2"], "Nothing.charge returned None; expected Payments"),
        (["foreign:Pair"], "Pair.charge returned a tuple of 2; expected Payments"),
        (["foreign:NoOutcome"], "NoOutcome returned NoneType on Market"),
        (["vcg", "--allocator", "foreign:NoAllocation"], "NoAllocation.allocate returned None; expected an Allocation"),
    ],
)
def test_what_returns_something_else_is_told_so(asked: list[str], what: str) -> None:
    assert what in message(audit(*asked, *ONE))


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        ["foreign:Hangs", *ONE],
        ["foreign:Hangs", *ONE, "--workers", "2"],
        ["vcg", "--reals", "--bidders", "5", "--agents", "3", "--property", "truthful"],
    ],
    ids=["hangs", "workers", "reals"],
)
def test_ctrl_c_is_130_at_once_and_leaves_nobody(asked: list[str]) -> None:
    process = started(*asked)
    until = time.monotonic() + 60
    while asked[0] != "vcg" and not Path("hangs").exists() and time.monotonic() < until:
        time.sleep(0.05)
    if asked[0] == "vcg":
        time.sleep(3)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "") and "interrupted" in said and "Traceback" not in said
    assert time.monotonic() - began < 10 and not children_here()


@pytest.mark.slow
def test_a_parent_that_is_killed_leaves_nobody() -> None:
    process = started("foreign:Hangs", *ONE, "--workers", "2")
    until = time.monotonic() + 60
    while not Path("hangs").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert children_here()
    process.kill()
    process.communicate(timeout=30)
    until = time.monotonic() + 20
    while children_here() and time.monotonic() < until:
        time.sleep(0.1)
    assert not children_here()


def children_here() -> list[int]:
    """Processes, zombies apart, that work in this folder and are not this one; of systems with /proc."""
    here, found = Path.cwd(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            if alive and (entry / "cwd").readlink() == here and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_what_is_unknown_has_an_exit_code_of_its_own(replayed_here: None) -> None:
    asked = ("vcg", "--sample", "3", "--bidders", "3", "--agents", "2")
    assert audit(*asked).exit_code == 3
    assert audit(*asked, "--allow-unknown").exit_code == 0
    assert audit("pay-as-bid", "--sample", "9", "--allow-unknown").exit_code == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--certificates", "c"), "add --reals"),
        (("--seed", "3"), "give --sample N"),
        (("--resume", "f"), "a file keeps one grid"),
        (("--reals", "--feasible", "11"), "for grids and samples"),
        (("--reals", "--symmetry"), "for grids"),
        (("--owners", "0,0", "--bidders", "1"), "--requests-per-bidder"),
        (("--feasible", "12"), "such as 11,01"),
        (("--costs", "1,2/3"), "rows of equally many"),
        (("--private-costs", "0..1", "--costs", "1"), "in place of --costs"),
        (("--save", "/proc/found.json"), "cannot write to"),
        (("--save", "nowhere/found.json"), "there is no folder"),
    ],
)
def test_options_that_make_no_sense_are_said_before_anything_begins(options: tuple[str, ...], said: str) -> None:
    done = audit("vcg", *options)
    assert done.exit_code == 2 and said in " ".join(done.output.replace("│", " ").split())
    assert not Path("c").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--bidders", "0"), "--bidders = 0"),
        (("--values", "1,1"), "--values [1, 1] repeat"),
        (("--capacity", "1,2,3"), "--capacity of shape (3,)"),
        (("--requests-per-bidder", "0"), "--requests-per-bidder = 0"),
        (("--values", "0..9", "--bidders", "4"), "or --sample N, or raise --limit"),
        (("--owners", "0,2"), "--owners = [0, 2] must name"),
        (("--feasible", "11,01"), "feasible"),
        (("--ties", "some"), "--ties = 'some'"),
        (("--sample", "0"), "--sample = 0"),
    ],
)
def test_messages_speak_of_options(options: tuple[str, ...], said: str) -> None:
    assert said in message(audit("vcg", *options))


def test_a_grid_has_owners_forbidden_pairs_and_costs_per_request(replayed_here: None) -> None:
    more = ("--owners", "0,0,1", "--feasible", "11,01,10", "--costs", "0,2/3,1/1,1", "--values", "0..1")
    scope = json.loads(audit("vcg", *more, "--json").stdout)["scope"]
    assert "2 bidders with 2,1 requests x 2 agents" in scope and "forbidden pairs (1, 0), (2, 1)" in scope
    assert "costs [[0, 2], [3, 1], [1, 1]]" in scope


def test_a_file_is_whole_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("found.json").write_text("older")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    done = audit("vcg", *ONE, "--save", "found.json")
    assert "VERIFIED" in done.stdout and "No space left" in str(done.exception)
    assert Path("found.json").read_text() == "older" and not list(Path().glob(".found*"))
