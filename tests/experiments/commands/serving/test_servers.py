"""`iemas fleet up`, `status`, `down`: servers of a fleet that run on, are watched, and leave nothing behind."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from tests.runtime.engines.vllm.processes import alive, gone_within
from tests.runtime.engines.vllm.test_process import SERVER, program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes as Linux has them")

#: As the guard of real servers asks for.
DIES_WITH_ITS_PARENT = "import ctypes\nctypes.CDLL(None).prctl(1, signal.SIGTERM)\n"
FLEET = """
[[agents]]
name = "one"
model = "./model"
serves = ["tiny"]
prices = { fresh = 0, cached = 0, output = 0 }
[[agents]]
name = "two"
model = "./model"
serves = ["tiny"]
prices = { fresh = 0, cached = 0, output = 0 }
[[agents]]
name = "elsewhere"
url = "http://127.0.0.1:9"
serves = ["far"]
capacity = 1
prices = { fresh = 0, cached = 0, output = 0 }
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (folder / "model.safetensors").touch()
    (folder / "tokenizer.json").touch()
    monkeypatch.setenv("IEMAS_VLLM_PYTHON", str(program(tmp_path, DIES_WITH_ITS_PARENT + SERVER.format())))
    made = tmp_path / "fleet.toml"
    made.write_text(FLEET)
    yield made
    iemas("down", made)


def iemas(*words: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "experiments.cli", "fleet", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_servers_run_on_are_shown_started_anew_and_taken_down(file: Path) -> None:
    up = iemas("up", file, "--json")
    assert up.returncode == 0, up.stderr
    told = json.loads(up.stdout)
    assert {name: each["state"] for name, each in told["agents"].items()} == {"one": "up", "two": "up"}
    again = iemas("up", file)
    assert again.returncode == 2 and "is up already" in again.stderr
    pids = [each["pid"] for each in told["agents"].values()]
    connection = http.client.HTTPConnection(told["agents"]["one"]["url"].removeprefix("http://"))
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()
    os.killpg(pids[0], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while True:
        shown = json.loads(iemas("status", file, "--json").stdout)["agents"]["one"]
        if shown["state"] == "up" and shown["pid"] not in (None, pids[0]):
            break
        assert time.monotonic() < deadline, shown
    table = iemas("status", file)
    assert table.returncode == 0 and "one" in table.stdout and "two" in table.stdout
    down = iemas("down", file)
    assert down.returncode == 0 and down.stdout == "stopped one, two\n"
    assert not any(alive(pid) for pid in (*pids, shown["pid"], told["keeper"]))
    assert iemas("status", file).returncode == 2
    assert iemas("down", file).stdout.endswith("is down already\n")
    assert (file.parent / ".fleet.toml.up" / "one.log").exists()


@pytest.mark.slow
def test_servers_end_with_their_keeper_however_it_ends(file: Path) -> None:
    told = json.loads(iemas("up", file, "--json").stdout)
    os.kill(told["keeper"], signal.SIGKILL)
    for each in told["agents"].values():
        assert gone_within(each["pid"], 10)
    assert iemas("status", file).returncode == 2
    assert json.loads(iemas("up", file, "--json").stdout)["up"]


@pytest.mark.slow
def test_what_does_not_come_up_takes_all_down(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IEMAS_VLLM_PYTHON", str(program(tmp_path, "print('no such flag'); sys.exit(3)")))
    up = iemas("up", file)
    assert up.returncode == 2 and "all are taken down" in up.stderr and "one" in up.stderr
    assert iemas("status", file).returncode == 2


def test_a_fleet_that_launches_nothing_has_nothing_to_bring_up(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text("[[agents]]" + FLEET.rpartition("[[agents]]")[2])
    result = CliRunner().invoke(app, ["fleet", "up", str(file)])
    assert result.exit_code == 2 and "launches no server" in result.output
    assert CliRunner().invoke(app, ["fleet", "status", str(file), "--json"]).exit_code == 2


@pytest.mark.slow
def test_a_gateway_uses_what_is_up(file: Path) -> None:
    from experiments.commands.serving.serve import kept_up
    from runtime.gateway.fleet.file import load_fleet

    fleet = load_fleet(file)
    assert kept_up(file, fleet) == fleet
    told = json.loads(iemas("up", file, "--json").stdout)
    placed = kept_up(file, fleet)
    assert [agent.url for agent in placed.agents] == [
        told["agents"]["one"]["url"],
        told["agents"]["two"]["url"],
        "http://127.0.0.1:9",
    ]
    assert placed.agents[0].names == ("tiny",) and placed.agents[0].capacity == 16
