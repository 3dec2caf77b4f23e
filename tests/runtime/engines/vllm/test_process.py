"""A server's life and death, with small programs in the place of vLLM's Python."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.engines.engine import Message, Request
from runtime.engines.vllm import process as vllm_process
from runtime.engines.vllm.engine import VllmEngine
from runtime.engines.vllm.process import ServerOptions, find_python
from runtime.errors import EngineDownError, EngineError, ModelError
from tests.runtime.engines.vllm.processes import alive, gone_within, members

pytestmark = pytest.mark.skipif(os.name != "posix", reason="servers run on POSIX systems")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (folder / "model.safetensors").touch()
    (folder / "tokenizer.json").touch()
    return folder


def program(tmp_path: Path, body: str) -> Path:
    """An executable that takes vLLM's command line and does something simpler."""
    path = tmp_path / "python"
    path.write_text(f"#!{sys.executable} -S\nimport os, signal, sys, time\n{body}\n")
    path.chmod(0o755)
    return path


def written(path: Path, seconds: float = 10.0) -> str:
    """The text of a file as soon as it has any."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{path} was not written")


def test_a_server_that_dies_leaves_its_last_words(tmp_path: Path, model: Path) -> None:
    python = program(tmp_path, "print('first', *sys.argv[3:5]); print('no memory left'); sys.exit(7)")
    engine = VllmEngine.launch("alice", model, python=python)
    with pytest.raises(EngineError) as caught:
        asyncio.run(engine.start())
    message = str(caught.value)
    assert "'alice'" in message
    assert "exit code 7" in message
    assert message.endswith(f"  first serve {model}\n  no memory left")


def test_a_server_that_is_not_ready_in_time_is_stopped_with_its_children(tmp_path: Path, model: Path) -> None:
    pids = tmp_path / "pids"
    body = f"""
print('loading weights', flush=True)
child = os.fork()
if child:
    open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child}}')
time.sleep(60)
"""
    seen: list[str] = []
    engine = VllmEngine.launch(
        "alice",
        model,
        python=program(tmp_path, body),
        ready_within_s=1.5,
        progress=lambda seconds, line: seen.append(line),
    )
    with pytest.raises(EngineError, match=r"not ready after \d s"):
        asyncio.run(engine.start())
    assert seen[-1] == "loading weights"
    assert all(gone_within(int(pid), 2.0) for pid in written(pids).split())
    assert engine.pid is None


def test_a_server_that_ignores_the_first_signal_gets_the_second(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_process, "_PATIENCE_S", 0.2)
    pids = tmp_path / "pids"
    body = f"""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open({str(pids)!r}, 'w').write(str(os.getpid()))
time.sleep(60)
"""

    async def cancelled() -> None:
        engine = VllmEngine.launch("alice", model, python=program(tmp_path, body))
        starting = asyncio.create_task(engine.start())
        while not pids.exists():
            await asyncio.sleep(0.02)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(cancelled())
    assert not alive(int(pids.read_text()))


def test_stop_ends_a_start_under_way(tmp_path: Path, model: Path) -> None:
    async def impatient() -> None:
        engine = VllmEngine.launch("alice", model, python=program(tmp_path, "time.sleep(60)"))
        starting = asyncio.create_task(engine.start())
        while engine.pid is None:
            await asyncio.sleep(0.02)
        pid = engine.pid
        await engine.stop()
        assert not alive(pid)
        with pytest.raises(EngineError, match="died with exit code -15"):
            await starting

    asyncio.run(impatient())


def test_stop_returns_when_the_last_child_is_gone(tmp_path: Path, model: Path) -> None:
    ready = tmp_path / "ready"
    # The children outlive the leader until the second signal, and the memory they share takes a fifth of a second then.
    body = f"""
memory = b'x' * (400 << 20)
for _ in range(20):
    if not os.fork():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
time.sleep(0.2)
open({str(ready)!r}, 'w').write('ready')
time.sleep(60)
"""

    async def stopped() -> list[int]:
        engine = VllmEngine.launch("alice", model, python=program(tmp_path, body))
        starting = asyncio.create_task(engine.start())
        while not ready.exists():
            await asyncio.sleep(0.02)
        group = engine.pid
        assert group is not None
        assert len(members(group)) == 21
        await engine.stop()
        left = members(group)
        with pytest.raises(EngineError):
            await starting
        return left

    assert asyncio.run(stopped()) == []


#: Answers as vLLM does as far as `start` asks, without any of Python's own libraries that a site would bring.
SERVER = """
import json
from http.server import BaseHTTPRequestHandler, HTTPServer

METRICS = 'vllm:cache_config_info{{block_size="16",num_gpu_blocks="9"}} 1.0\\n'
ANSWERS = {{
    "/v1/models": json.dumps({{"data": [{{"id": "tiny", "max_model_len": 64}}]}}),
    "/tokenize": json.dumps({{"tokens": [1, 2]}}),
    "/metrics": METRICS,
    "/health": "",
}}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = ANSWERS[self.path].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


def test_a_server_that_died_is_down_and_another_start_brings_one_up(tmp_path: Path, model: Path) -> None:
    hello = (Message("user", "hello"),)

    async def story() -> None:
        engine = VllmEngine.launch("alice", model, python=program(tmp_path, SERVER.format()))
        async with engine:
            first = engine.pid
            assert first is not None
            assert await engine.tokenize(hello) == (1, 2)
            os.killpg(first, signal.SIGKILL)
            with pytest.raises(EngineDownError, match="died with exit code -9"):
                await engine.tokenize(hello)
            with pytest.raises(EngineDownError, match="died with exit code -9"):
                await engine.generate(Request("r", "b", hello))
            await engine.start()
            assert engine.pid not in (None, first)
            assert await engine.tokenize(hello) == (1, 2)

    asyncio.run(story())


def test_a_log_of_the_users_own_is_kept(tmp_path: Path, model: Path) -> None:
    log = tmp_path / "logs" / "alice.log"
    engine = VllmEngine.launch("alice", model, python=program(tmp_path, "print('bye')"), log=log)
    with pytest.raises(EngineError, match="bye"):
        asyncio.run(engine.start())
    assert log.read_text() == "bye\n"


def test_no_model_no_process(tmp_path: Path) -> None:
    python = program(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ModelError, match="neither"):
        asyncio.run(VllmEngine.launch("alice", tmp_path / "nothing", python=python).start())
    assert not (tmp_path / "ran").exists()


LAUNCHER = """
import subprocess, sys
from runtime.engines.vllm.process import ServerOptions, ServerProcess
from pathlib import Path
server = ServerProcess(Path(sys.argv[1]), "m", "m", ServerOptions(), Path(sys.argv[2]))
print(server.pid, flush=True)
{}
"""


def launcher(tmp_path: Path, python: Path, ending: str) -> tuple["subprocess.Popen[str]", int]:
    """A process of its own that starts a server and then ends in the given way; with the server's pid."""
    command = [sys.executable, "-c", LAUNCHER.format(ending), str(python), str(tmp_path / "log")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_a_parent_that_exits_takes_its_server_along(tmp_path: Path) -> None:
    python = program(tmp_path, "time.sleep(60)")
    process, server = launcher(tmp_path, python, "raise ValueError('unexpected')")
    process.communicate(timeout=20)
    assert gone_within(server, 2.0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_a_parent_that_is_killed_takes_its_server_along(tmp_path: Path) -> None:
    # The guard itself runs here, under a Python where `vllm` is a stand-in.
    package = tmp_path / "stub" / "vllm" / "entrypoints" / "cli"
    package.mkdir(parents=True)
    ready = tmp_path / "ready"
    (package / "main.py").write_text(f"""
import sys, time
def main():
    open({str(ready)!r}, 'w').write(' '.join(sys.argv[:2]))
    time.sleep(60)
""")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexport PYTHONPATH="{tmp_path / "stub"}"\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    process, server = launcher(tmp_path, python, "import time; time.sleep(60)")
    try:
        assert written(ready) == "vllm serve"
        assert alive(server)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        assert gone_within(server, 2.0)
    finally:
        process.kill()


def test_options_become_flags() -> None:
    options = ServerOptions(dtype="bfloat16", block_size=64, kv_cache_bytes=1 << 20, eager=False, extra=("--seed", "1"))
    line = " ".join(options.arguments("folder", "tiny", 8123))
    assert line.startswith("serve folder --served-model-name tiny --host 127.0.0.1 --port 8123 --dtype bfloat16")
    assert "--block-size 64 --kv-cache-memory-bytes 1048576" in line
    assert "--enable-prompt-tokens-details" in line
    assert "--enforce-eager" not in line
    assert line.endswith("--seed 1")
    assert ServerOptions(threads=3).environment()["OMP_NUM_THREADS"] == "3"


def test_vllms_own_choices_are_not_flagged() -> None:
    line = ServerOptions(block_size=None, kv_cache_bytes=None).arguments("folder", "tiny", 8123)
    assert "--block-size" not in line
    assert "--kv-cache-memory-bytes" not in line


def test_an_impossible_option_is_named() -> None:
    with pytest.raises(EngineError, match="block_size is 0"):
        ServerOptions(block_size=0)


def test_python_is_the_one_given_then_the_variable_then_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, variable = program(tmp_path, ""), tmp_path / "other"
    variable.symlink_to(given)
    monkeypatch.setenv("IEMAS_VLLM_PYTHON", str(variable))
    assert find_python(given) == given
    assert find_python(None) == variable
    monkeypatch.delenv("IEMAS_VLLM_PYTHON")
    monkeypatch.chdir(tmp_path)
    assert (vllm_process._PROJECT / "runtime" / "engines" / "vllm").is_dir()
    monkeypatch.setattr(vllm_process, "_PROJECT", tmp_path / "project")
    with pytest.raises(EngineError, match="make vllm"):
        find_python(None)
    for folder in (tmp_path / "project", tmp_path):
        python = folder / ".venv-vllm" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.symlink_to(given)
        assert find_python(None) == python


def test_a_python_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IEMAS_VLLM_PYTHON", str(tmp_path / "none"))
    with pytest.raises(EngineError, match="IEMAS_VLLM_PYTHON names"):
        find_python(None)
