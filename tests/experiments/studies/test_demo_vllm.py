"""`iemas demo --engine vllm` as a process: real servers, a real report, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.models import fetch

pytestmark = pytest.mark.vllm

DEMO = "from experiments.cli import main; main()"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder of this test's own, so that its servers can be distinguished from all others by their command lines."""
    own = tmp_path / "smollm2-of-this-test"
    own.symlink_to(fetch("smollm2-135m"), target_is_directory=True)
    return own


def servers_of(model: Path) -> list[int]:
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = line.read_bytes()
        except OSError:
            continue
        if str(model).encode() in command and int(line.parent.name) != os.getpid():
            found.append(int(line.parent.name))
    return found


def start(model: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    asked = ["demo", "--engine", "vllm", "--model", str(model), "--data", "shipped", "--out", str(out), *more]
    return subprocess.Popen([sys.executable, "-c", DEMO, *asked], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_the_demo_serves_with_real_engines_and_leaves_no_process(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(model, out, "--dialogues", "1", "--turns", "2", "--policy", "iemas", "--policy", "sticky", "--json")
    printed, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors.decode()
    result = json.loads(printed)
    assert result["simulated"] is False
    for policy in ("iemas", "sticky"):
        figures = result["policies"][policy]["mean"]
        assert figures["requests"] == 2
        assert figures["hit_rate"] > 0.2
    rows = [json.loads(line) for line in (out / "requests.jsonl").read_text().splitlines()]
    first, second = (row for row in rows if row["policy"] == "sticky")
    assert first["cached_tokens"] == 0 < second["cached_tokens"]
    assert servers_of(model) == []


def test_ctrl_c_while_the_servers_start_leaves_no_process(model: Path, tmp_path: Path) -> None:
    process = start(model, tmp_path / "out")
    deadline = time.monotonic() + 120
    while len(servers_of(model)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(servers_of(model)) >= 2
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode not in (0, 2)
    assert servers_of(model) == []
