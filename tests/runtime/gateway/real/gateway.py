"""A fleet's file, and `iemas serve` over it as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.engines.vllm.process import find_python
from runtime.models import fetch
from tests.runtime.engines.vllm.processes import members
from tests.runtime.gateway.real.noting import NOTES

_PROJECT = Path(__file__).parents[4]
#: Three servers start one after the other, on a machine that may be busy.
_READY_S = 420.0
#: Name, model, name for clients. The third model of the catalogue has no chat template: the first serves twice.
AGENTS = (
    ("small", "smollm2-135m", "smollm2"),
    ("coder", "qwen2.5-coder-0.5b", "qwen"),
    ("twin", "smollm2-135m", "smollm2-twin"),
)
POOL = "smol"

_AGENT = """
[[agents]]
name = "{name}"
model = "{model}"
serves = ["{serves}"]
capacity = 4
flags = {flags}
prices = {{ fresh = 0.0004, cached = 0.0001, output = 0.001 }}
{more}
"""


def fleet_file(folder: Path, *, flags: tuple[str, ...] = (), more: str = "", agents: int = len(AGENTS)) -> Path:
    """Writes the file of these agents, or of the first so many; `more` is added to each."""
    text = f"[pools]\n{POOL} = {json.dumps(['small', 'twin'] if agents > 2 else ['small'])}\n"
    text += '[auction]\npolicy = "tests.runtime.gateway.real.noting:Noting"\n'
    text += "".join(
        _AGENT.format(
            name=name, model=model, serves=serves, flags=json.dumps(["--max-num-seqs", "4", *flags]), more=more
        )
        for name, model, serves in AGENTS[:agents]
    )
    file = folder / "fleet.toml"
    file.write_text(text)
    return file


class Gateway:
    """A gateway that runs, its address and its files."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self.process, self.folder = process, folder
        self.url = ""

    @property
    def notes(self) -> list[dict[str, object]]:
        """What its policy wrote down, so far."""
        file = self.folder / "notes.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def servers(self) -> dict[str, int]:
        """The process ids of the vLLM servers it has launched, by port, each the leader of its group."""
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                line = stat.with_name("cmdline").read_text().split("\0")
            except OSError:
                continue
            if parent == self.process.pid and "--port" in line:
                found[line[line.index("--port") + 1]] = int(stat.parent.name)
        return found

    def server_of(self, agent: str) -> int:
        """The process id of an agent's server: they are started in the file's order."""
        place = [name for name, _, _ in AGENTS].index(agent)
        return sorted(self.servers().values())[place]

    def log(self) -> str:
        """What it wrote to standard error."""
        return (self.folder / "serve.log").read_text()


@contextmanager
def serving(file: Path, *, ready_s: float = _READY_S) -> Iterator[Gateway]:
    """`iemas serve FILE` until the end of the block, and none of its processes after it.

    Raises:
        AssertionError: it did not come up.
    """
    folder = file.parent
    # Models are not fetched on the server's time.
    for model in {model for _, model, _ in AGENTS}:
        fetch(model)
    environment = {
        **os.environ,
        NOTES: str(folder / "notes.jsonl"),
        "PYTHONPATH": str(_PROJECT),
        "IEMAS_VLLM_PYTHON": str(find_python(None)),
    }
    line = [sys.executable, "-m", "experiments.cli", "serve", str(file), "--port", "0", "--json"]
    output = folder / "serve.json"
    with (folder / "serve.log").open("w") as log, output.open("w") as first:
        process = subprocess.Popen([*line, "--logs", str(folder)], stdout=first, stderr=log, env=environment)
    gateway = Gateway(process, folder)
    groups: set[int] = set()
    try:
        gateway.url = json.loads(_first_line(process, output, ready_s) or "{}").get("url", "")
        assert gateway.url, gateway.log()[-3000:]
        groups = set(gateway.servers().values())
        yield gateway
    finally:
        groups |= set(gateway.servers().values())
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for group in groups:
            if members(group):
                os.killpg(group, signal.SIGKILL)


def _first_line(process: "subprocess.Popen[bytes]", output: Path, within_s: float) -> str:
    until = time.monotonic() + within_s
    while time.monotonic() < until and process.poll() is None and not output.read_text().endswith("\n"):
        time.sleep(0.05)
    return output.read_text()
