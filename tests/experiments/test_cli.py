"""The command as a user meets it: its exit code, its last line; a process where one is needed to tell."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.routers.catalogue import SHOWN

IEMAS = [sys.executable, "-c", "from experiments.cli import main; main()"]
SMALL = ["demo", "--data", "shipped", "--dialogues", "2", "--turns", "2", "--seeds", "1", "--rate", "1"]


def iemas(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*IEMAS, *arguments], capture_output=True, text=True, timeout=240, cwd=cwd)


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], replayed_here: None
) -> Command:
    """`iemas` in this process, as its script calls it: a process of its own takes a second to begin."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        known = set(sys.modules)
        monkeypatch.setattr(sys, "argv", ["iemas", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        for name in ("strange", "unfinished", "quits"):
            if name not in known:
                sys.modules.pop(name, None)
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return subprocess.CompletedProcess(arguments, code or 0, *capfd.readouterr())

    return run


def test_the_demo_prints_a_verdict_a_table_and_where_the_report_is(tmp_path: Path) -> None:
    done = iemas(*SMALL, "--out", str(tmp_path / "out"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "VERIFIED" in done.stdout
    for policy in SHOWN:
        assert policy in done.stdout
    assert "report.html" in done.stdout
    page = (tmp_path / "out" / "report.html").read_text()
    assert "simulated" in page.lower()
    books = {path.name for path in (tmp_path / "out" / "books").glob("*.sqlite")}
    assert books == {f"{policy}-0.sqlite" for policy in SHOWN}


def test_json_is_json_and_a_second_run_replaces_the_first(here: Command, tmp_path: Path) -> None:
    for _ in range(2):
        done = here(*SMALL, "--policy", "iemas", "--json", "--out", str(tmp_path / "out"))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["policies"]["iemas"]["mean"]["requests"] == 4


def test_settled_on_measurement_the_auctioneer_keeps_what_the_auction_promised(here: Command, tmp_path: Path) -> None:
    asked = [*SMALL, "--policy", "iemas", "--preset", "paper", "--settlement", "on-measurement", "--json"]
    done = here(*asked, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    figures = result["policies"]["iemas"]["mean"]
    assert figures["surplus"] == figures["auction_surplus"] and figures["payments"] > 0
    assert result["settings"]["settlement"] == "on-measurement" and "published" in result["settings"]["preferences"]


def test_a_refuted_mechanism_is_not_run_unless_the_user_insists(here: Command, tmp_path: Path) -> None:
    asked = [*SMALL, "--mechanism", "pay-as-bid", "--policy", "iemas", "--out", str(tmp_path / "out")]
    refused = here(*asked)
    assert refused.returncode == 1
    assert "not run at scale: the audit refuted truthful" in " ".join(refused.stderr.split())
    assert not (tmp_path / "out" / "report.html").exists()
    insisted = here(*asked, "--despite-audit")
    assert insisted.returncode == 0, insisted.stderr
    assert "despite" in (tmp_path / "out" / "report.html").read_text().lower()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--data", "no-such-file.json"], "neither a file nor a name"),
        (["demo", "--data", "."], "holds no dialogues"),
        (["demo", "--mechanism", "vgc"], "no 'vgc' here; shipped: "),
        (["demo", "--policy", "psychic", "--seeds", "1"], "no policy 'psychic'; there are: iemas, "),
        (["demo", "--settlement", "on-time"], "no 'on-time' here; shipped: on-prediction"),
        (["demo", "--settlement", "execution-contingent"], "settles whole rounds"),
        (["demo", "--preset", "cheap"], "no preset 'cheap'; there are: differing, varied, paper"),
        (["demo", "--engine", "vllm", "--url", "http://127.0.0.1:9", "--policy", "iemas"], "127.0.0.1:9"),
        (["demo", "--engine", "vllm", "--model", ".", "--policy", "iemas"], "config.json"),
        (["demo", "--out", "/proc/nowhere"], "cannot write to"),
        (["audit", "vcg", "--values", "0..x"], "--values"),
        (["audit", "nowhere:Rule"], "nowhere"),
        (["model", "fetch", "gpt-17"], "no model is called 'gpt-17'"),
        (["data", "fetch", "imagenet"], "imagenet"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], message: str, here: Command) -> None:
    done = here(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_an_error_ends_the_process_with_2(tmp_path: Path) -> None:
    done = iemas("audit", "nowhere:Rule", cwd=tmp_path)
    assert done.returncode == 2 and "nowhere" in done.stderr and "Traceback" not in done.stderr


def test_every_command_helps_with_an_example(here: Command) -> None:
    for command in (["demo"], ["audit"], ["calibrate"], ["data", "fetch"], ["model", "fetch"]):
        done = here(*command, "--help")
        assert done.returncode == 0
        assert "Example: iemas" in " ".join(done.stdout.split())


def test_ctrl_c_ends_a_run_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    asked = [*IEMAS, "demo", "--data", "shipped", "--seeds", "50", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        asked, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "out").glob("books/*.sqlite")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode not in (0, 2)
    assert b"Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


STRANGE = """
import sys
print("hello")
class Broken:
    def run(self, market):
        return {}["a"]
class Quits:
    def run(self, market):
        sys.exit(0)
class Bids:
    def charge(self, market, allocation, allocator):
        from mechanisms import PayAsBid
        return PayAsBid().charge(market, allocation, allocator)
class Careless:
    name = "careless"
    def check(self, outcome, truth):
        sys.exit(0)
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["strange:Broken"], "KeyError: 'a' while Broken ran on Market"),
        (["strange:Quits"], "Quits ends the process"),
        (["vcg", "--property", "strange:Careless"], "the code under audit ended the process"),
        (["unfinished:Rule"], "unfinished:Rule: importing unfinished raises SyntaxError"),
        (["quits:Rule"], "quits:Rule: importing quits raises SystemExit"),
        ([":"], "':' names no module"),
        (["vcg", "--values", ""], "expected integers such as"),
        (["vcg", "--values", "0..1000000000"], "more than 4,194,304 micro-units"),
        (["vcg", "--reals", "--values", "1..0"], "expected integers such as"),
        (["vcg", "--save", "."], "is a folder"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_no_error_looks_like_a_verdict(arguments: list[str], message: str, here: Command, tmp_path: Path) -> None:
    (tmp_path / "strange.py").write_text(STRANGE)
    (tmp_path / "unfinished.py").write_text("class Rule(\n")
    (tmp_path / "quits.py").write_text("raise SystemExit(0)\n")
    done = here("audit", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr and done.stdout == ""


def test_what_the_audited_code_prints_is_not_in_the_json(tmp_path: Path) -> None:
    (tmp_path / "strange.py").write_text(STRANGE)
    done = iemas("audit", "strange:Bids", "--bidders", "1", "--agents", "1", "--json", cwd=tmp_path)
    assert done.returncode == 1 and "hello" in done.stderr
    assert json.loads(done.stdout)["findings"]
