"""`iemas demo` at its edges: what makes no sense, what fails, and what is left behind."""

import errno
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from experiments.cli import app
from experiments.commands.studying.output import RESULTS, OutputFolder
from experiments.errors import StudyError
from runtime.engines.vllm import engine as vllm

QUICK = ("--data", "shipped", "--dialogues", "2", "--turns", "2", "--seeds", "1", "--policy", "iemas")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("free.py").write_text(FREE)
    monkeypatch.syspath_prepend(tmp_path)
    for mine in ("free", "late"):
        monkeypatch.delitem(sys.modules, mine, raising=False)


FREE = """
from mechanisms import PayAsBid


class Rule(PayAsBid):
    promises = {}
"""


def demo(*options: str) -> Result:
    return CliRunner().invoke(app, ["demo", *options])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--url", "http://127.0.0.1:1"), "add --engine vllm"),
        (("--model", "smollm2-135m"), "add --engine vllm"),
        (("--engine", "vllm", "--model", "x", "--url", "http://h:1"), "--model or --url"),
    ],
)
def test_options_that_would_be_ignored_are_refused(options: tuple[str, ...], message: str) -> None:
    done = demo(*options, *QUICK)
    assert done.exit_code == 2 and message in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "nowhere"])
def test_an_address_that_is_none_is_one_line_before_any_audit(url: str) -> None:
    done = demo("--engine", "vllm", "--url", url, *QUICK)
    assert done.exit_code != 0 and "is no address" in str(done.exception) and "VERIFIED" not in done.stdout


def test_a_silent_server_is_given_up_before_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "_ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        done = demo("--engine", "vllm", "--url", url, *QUICK)
    assert f"{url} takes connections" in str(done.exception) and "VERIFIED" not in done.stdout


def left(folder: Path) -> set[str]:
    return {name for name in RESULTS if (folder / name).exists()}


def test_a_refused_run_leaves_nobody_elses_report(audited_here: None) -> None:
    assert demo(*QUICK, "--out", "o").exit_code == 0
    assert left(Path("o")) == set(RESULTS)
    done = demo(*QUICK, "--out", "o", "--mechanism", "free:Rule", "--json")
    assert done.exit_code == 1 and left(Path("o")) == set()
    told = json.loads(done.stdout)
    assert "truthful" in told["refused"] and told["audit"]["findings"][0]["status"] == "REFUTED"


def test_a_folder_is_made_only_once_checks_passed(audited_here: None) -> None:
    assert demo(*QUICK, "--out", "o", "--mechanism", "free:Rule").exit_code == 1
    assert demo(*QUICK, "--out", "o", "--policy", "nobody").exit_code != 0
    assert not Path("o").exists()


def test_a_folder_does_not_take_the_name_of_a_data_set() -> None:
    for name in ("shipped", "inscit-dev"):
        done = demo(*QUICK, "--out", name)
        assert done.exit_code != 0 and "would hide the data set" in str(done.exception)


def test_two_runs_do_not_share_a_folder() -> None:
    with OutputFolder(Path("o")) as first:
        first.make()
        done = demo(*QUICK, "--out", "o")
        assert done.exit_code != 0 and "another run writes to o" in str(done.exception)
    assert demo(*QUICK, "--out", "o").exit_code == 0


def test_a_file_in_the_place_of_a_folder() -> None:
    Path("o").touch()
    with pytest.raises(StudyError, match="is no folder"):
        OutputFolder(Path("o"))
    with pytest.raises(StudyError, match="is no folder"):
        OutputFolder(Path("o/p/q"))


def test_a_full_disk_is_one_line_and_leaves_no_half_of_a_report() -> None:
    with (
        pytest.raises(StudyError, match=r"cannot write to .*results.json: the disk is full"),
        OutputFolder(Path("o")) as o,
    ):
        o.make()
        Path("o/report.html").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device", "o/results.json")
    assert left(Path("o")) == set()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX systems have them")
def test_an_interrupted_run_leaves_no_older_report(tmp_path: Path) -> None:
    assert demo(*QUICK, "--out", "o").exit_code == 0
    command = [sys.executable, "-m", "experiments.cli", "demo", "--data", "shipped", "--seeds", "40", "--out", "o"]
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from experiments.cli import main; sys.argv[0] = 'iemas'; main()",
            *command[3:],
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    for _ in range(400):
        if not left(Path("o")):
            break
        time.sleep(0.05)
    child.send_signal(2)
    assert child.wait(10) == 130 and left(Path("o")) == set()


LATE = """
import numpy as np
from mechanisms import VCG, Payments

class Generous(VCG):
    charge_many = None
    def charge(self, market, allocation, allocator):
        right = super().charge(market, allocation, allocator)
        less = 10**6 * allocation.served if market.shape[1] > 3 else 0
        return Payments(right.charges - less, right.receipts)

class Greedy(VCG):
    charge_many = None
    def charge(self, market, allocation, allocator):
        right = super().charge(market, allocation, allocator)
        if market.shape[1] <= 3:
            return right
        return Payments(np.maximum(right.charges, market.take(market.values, allocation) * 9 // 10), right.receipts)

class Forgets(VCG):
    charge_many = None
    def charge(self, market, allocation, allocator):
        right = super().charge(market, allocation, allocator)
        return Payments(right.charges - market.take(market.costs, allocation), right.receipts)
"""


@pytest.mark.parametrize(("rule", "prop"), [("Generous", "no-deficit"), ("Greedy", "truthful")])
def test_what_fails_while_it_serves_stops_the_run_unless_one_insists(
    rule: str, prop: str, audited_here: None, tmp_path: Path
) -> None:
    (tmp_path / f"late_{rule}.py").write_text(LATE)
    asked = (*QUICK, "--out", "o", "--mechanism", f"{tmp_path}/late_{rule}.py:{rule}")
    stopped = demo(*asked)
    assert stopped.exit_code == 1 and left(Path("o")) == set()
    assert "CONTRADICTED" in stopped.stdout and f"{prop} fails while iemas serves" in stopped.stderr
    assert f"{prop} fails while" in json.loads(demo(*asked, "--json").stdout)["refused"]
    insisted = demo(*asked, "--despite-audit")
    assert insisted.exit_code == 0 and "CONTRADICTED WHILE SERVING" in insisted.stdout
    assert f"Contradicted while serving: {prop}" in Path("o/report.html").read_text()
    assert prop in {one["property"] for one in json.loads(Path("o/results.json").read_text())["contradictions"]}


def test_a_rule_that_forgets_costs_is_not_served(audited_here: None, tmp_path: Path) -> None:
    (tmp_path / "late_forgets.py").write_text(LATE)
    done = demo(*QUICK, "--out", "o", "--mechanism", f"{tmp_path}/late_forgets.py:Forgets")
    assert done.exit_code == 1 and "no-deficit fails" in done.stdout and left(Path("o")) == set()


def test_vcg_serves_the_shipped_dialogues_without_a_contradiction() -> None:
    done = demo("--data", "shipped", "--policy", "iemas", "--policy", "posted", "--out", "o")
    assert done.exit_code == 0 and "CONTRADICTED" not in done.stdout
    assert left(Path("o")) == set(RESULTS)


UNRULY = """
import os, signal
from mechanisms import VCG, PayAsBid

class Exits(PayAsBid):
    def charge(self, market, allocation, allocator):
        os._exit(0)
class Dies(PayAsBid):
    def charge(self, market, allocation, allocator):
        os.kill(os.getpid(), signal.SIGSEGV)
class Hangs(PayAsBid):
    def charge(self, market, allocation, allocator):
        while True:
            pass
class Right(VCG):
    pass
"""


@pytest.mark.skipif(os.name != "posix", reason="signals and process groups as POSIX systems have them")
@pytest.mark.parametrize(
    ("named", "options", "said"),
    [
        ("unruly:Exits", (), "unruly:Exits ended the process of the audit before it could answer: exit status 0"),
        ("./unruly.py:Dies", (), "signal SIGSEGV"),
        pytest.param(
            *("unruly:Hangs", ("--time-limit", "3"), "did not move on for 3 s; --time-limit SECONDS"),
            marks=pytest.mark.slow,
        ),
        ("unruly:Missing", (), "has no attribute 'Missing'"),
    ],
)
def test_code_of_others_that_ends_its_process_or_hangs_is_one_line(
    named: str, options: tuple[str, ...], said: str
) -> None:
    Path("unruly.py").write_text(UNRULY)
    command = "import sys; from experiments.cli import main; sys.argv[0] = 'iemas'; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "demo", *QUICK, "--out", "o", "--mechanism", named, *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
    )
    assert (done.returncode, done.stdout) == (2, "") and not Path("o").exists()
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("iemas: ") and said in line


def test_code_of_others_that_is_right_is_served_with_its_own_audit() -> None:
    Path("unruly.py").write_text(UNRULY)
    done = demo(*QUICK, "--out", "o", "--mechanism", "unruly:Right", "--json")
    assert done.exit_code == 0, done.exception
    audited = json.loads(Path("o/results.json").read_text())["audit"]
    assert audited["mechanism"]["name"] == "unruly:Right" and len(audited["scopes"]) == 11
    assert {found["status"] for found in audited["findings"]} == {"VERIFIED"}
