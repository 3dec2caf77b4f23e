"""`iemas serve` as a process that is watched: what it writes and shows, and that watching does not keep it."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.commands.serving.serve import log_to
from experiments.errors import StudyError
from runtime.traces.reading import read_trace
from tests.experiments.commands.serving.test_serve import FLEET, serving

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX systems have them")


@pytest.mark.slow
def test_log_trace_and_metrics_of_a_process_that_a_listener_does_not_keep(tmp_path: Path) -> None:
    log, trace = tmp_path / "requests.log", tmp_path / "trace.jsonl"
    with (
        serving(tmp_path, "--log-requests", str(log), "--record", str(trace)) as gateway,
        closing(gateway.connect()) as listening,
        closing(gateway.connect()) as looking,
    ):
        listening.request("GET", "/iemas/v1/events")
        events = listening.getresponse()
        assert events.readline() == b"event: hello\n"
        assert gateway.ask(max_tokens=3)[0] == 200 and gateway.ask(max_tokens=3, iemas={"worth": 0.0})[0] == 402
        looking.request("GET", "/metrics")
        assert b'iemas_ended_total{outcome="served"} 1.0' in looking.getresponse().read()
        began = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(60) == 0 and time.monotonic() - began < 60, "drain_s is 180"
        assert events.read().endswith(b"\n\n")
    assert [json.loads(line)["outcome"] for line in log.read_text().splitlines()] == ["served", "declined"]
    assert "hello there" not in log.read_text() + trace.read_text()
    read = read_trace(trace)
    assert [one.outcome for one in read.requests] == ["served", "declined"] and not read.cut_off
    ran = CliRunner().invoke(app, ["replay", str(trace), "--policy", "random"])
    assert ran.exit_code == 0 and "2 requests, simulated" in ran.stdout


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_a_trace(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    with serving(tmp_path, "--record", str(trace), "--record-text", "--log-requests", "-") as gateway:
        assert gateway.ask(max_tokens=3)[0] == 200
        assert gateway.process.stdout is not None
        assert json.loads(gateway.process.stdout.readline())["code"] == "ok"
        for _ in range(100):
            if trace.read_text().count("\n") == 2:
                break
            time.sleep(0.05)
        gateway.process.kill()
    [one] = read_trace(trace).requests
    assert one.outcome == "served" and one.text is not None and "hello there" in one.text


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(FLEET.format(port=8080, worth=1.0))
    (tmp_path / "old.jsonl").write_text("{}")
    command = [sys.executable, "-m", "experiments.cli", "serve", str(file), "--port", "0"]
    command += ["--record", str(tmp_path / "old.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "is there already" in done.stderr and len(done.stderr.splitlines()) == 1
    with pytest.raises(StudyError, match="cannot write to --log-requests"):
        log_to(str(tmp_path))
    log_to(None)
    ran = CliRunner().invoke(app, ["serve", str(file), "--record-text"])
    assert ran.exit_code == 2 and "--record TRACE" in ran.output
