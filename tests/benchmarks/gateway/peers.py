"""Proxies to be judged, each started over the same engines: an address, a process, and what it cost.

`vllm-router` and `smg` are looked for beside this interpreter, in `.venv-peers/bin` and on PATH; `IEMAS_PEERS` names
another folder. Run `quick`, their breakers reopen after a second and their health checks come every second: else what
one check of conformance broke would be held against the next. Else their own defaults hold.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.gateway.engines import ROOT, Engine, free_port, wait_for_port

#: What clients of our own gateway send, and what it sends to engines.
CLIENT_KEY = "sk-of-the-client"
ENGINE_KEY = "sk-of-the-engine"

_QUICK = (
    "--cb-timeout-duration-secs", "1", "--health-check-interval-secs", "1", "--health-success-threshold", "1",
    "--retry-max-backoff-ms", "200",
)  # fmt: skip
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Proxy:
    """A proxy that runs.

    Args:
        name: as asked for.
        base: its address without `/v1`.
        pid: the process, whose children count too.
        engines: behind it.
        key: what its clients send; None where it asks for none.
        log: what it printed.
    """

    name: str
    base: str
    pid: int
    engines: Sequence[Engine]
    key: str | None = None
    log: Path | None = None

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What a client has to send."""
        return [("authorization", f"Bearer {self.key}")] if self.key else []

    def cpu_s(self) -> float:
        """CPU seconds of the process and its children so far."""
        return sum(_stat(pid)[0] for pid in _tree(self.pid))

    def rss_mb(self) -> float:
        """Memory of the process and its children, in MiB."""
        return sum(_rss_kb(pid) for pid in _tree(self.pid)) / 1024


def _stat(pid: int) -> tuple[float, int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0, 0
    return (int(fields[11]) + int(fields[12])) / _TICKS, int(fields[1])


def _rss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def _tree(pid: int) -> list[int]:
    parents = {int(entry.name): _stat(int(entry.name))[1] for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


@dataclass
class Peer:
    """How a proxy is started.

    Args:
        command: from a port, engines and a folder of its own.
        key: what its clients send.
        env: more of it.
        quick: arguments for checks that break engines one after another.
    """

    name: str
    command: Callable[[int, Sequence[Engine], Path], list[str]]
    key: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    quick: tuple[str, ...] = ()

    @contextmanager
    def run(self, fleet: Sequence[Engine], quick: bool = False) -> Iterator[Proxy]:
        """The proxy over these engines, until the end of the block."""
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            with log.open("wb") as out:
                process = subprocess.Popen(
                    self.command(port, fleet, Path(folder)) + list(self.quick if quick else ()),
                    cwd=ROOT,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *_site()])} | self.env,
                )
            proxy = Proxy(self.name, f"http://127.0.0.1:{port}", process.pid, fleet, self.key, log)
            try:
                try:
                    wait_for_port(port, process)
                    _wait_until_served(proxy, process)
                except RuntimeError as error:
                    raise RuntimeError(f"{self.name}: {error}\n{log.read_text(errors='replace')[-3000:]}") from None
                yield proxy
            finally:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _site() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _wait_until_served(proxy: Proxy, process: "subprocess.Popen[bytes]", seconds: float = 60.0) -> None:
    import asyncio

    from tests.benchmarks.gateway.wire import ask

    async def served() -> bool:
        body = {"model": "fake", "messages": [{"role": "user", "content": "#ready#"}], "max_tokens": 4}
        return (await ask(proxy.base, body, headers=proxy.headers, deadline=5)).status == 200

    until = time.monotonic() + seconds
    in_a_row = 0
    while in_a_row < 2 * len(proxy.engines):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError("it serves nothing")
        in_a_row = in_a_row + 1 if asyncio.run(served()) else 0
        if not in_a_row:
            time.sleep(0.1)


def program(name: str) -> str | None:
    """Where a peer's command is installed."""
    places = [os.environ.get("IEMAS_PEERS", ""), str(Path(sys.executable).parent), str(ROOT / ".venv-peers" / "bin")]
    return shutil.which(name, path=os.pathsep.join([place for place in places if place] + [os.environ["PATH"]]))


def _program(name: str) -> str:
    found = program(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed; `make peers` does it, or IEMAS_PEERS names its folder")
    return found


def _shared(port: int, fleet: Sequence[Engine], policy: str) -> list[str]:
    return [
        "--host", "127.0.0.1", "--port", str(port), "--worker-urls", *(engine.url for engine in fleet),
        "--policy", policy, "--prometheus-port", str(free_port()), "--prometheus-host", "127.0.0.1",
        "--worker-startup-check-interval", "1", "--request-timeout-secs", "10",
    ]  # fmt: skip


def vllm_router(policy: str, name: str) -> Peer:
    """vllm-project/router."""
    return Peer(
        name,
        lambda port, fleet, _: [_program("vllm-router"), *_shared(port, fleet, policy), "--log-level", "warning"],
        quick=_QUICK,
    )


def smg(policy: str, name: str) -> Peer:
    """Shepherd Model Gateway."""
    return Peer(
        name,
        lambda port, fleet, _: [_program("smg"), "launch", *_shared(port, fleet, policy), "--log-level", "warn"],
        quick=_QUICK,
    )


def _floor(port: int, fleet: Sequence[Engine], _: Path) -> list[str]:
    python = program("python") if program("vllm-router") else None
    beside = Path(_program("vllm-router")).with_name("python") if python else Path(sys.executable)
    return [str(beside), "-m", "tests.benchmarks.gateway.forwarder", "--port", str(port), *(e.url for e in fleet)]


def iemas(policy: str, name: str, key: str | None = None, capacity: int = 512) -> Peer:
    """Our own: `iemas serve` with this policy; with a key, only who sends it is served.

    An engine is given so many requests at once.
    """

    def command(port: int, fleet: Sequence[Engine], folder: Path) -> list[str]:
        file = folder / "fleet.toml"
        file.write_text(_fleet(port, fleet, policy, key, capacity))
        return [sys.executable, "-m", "experiments.cli", "serve", str(file)]

    return Peer(name, command, key, {"BENCH_CLIENT_KEY": CLIENT_KEY, "BENCH_ENGINE_KEY": ENGINE_KEY})


# Requests of checks say nothing of what they are worth: a long prompt is not to be declined for what it may come to.
def _fleet(port: int, fleet: Sequence[Engine], policy: str, key: str | None, capacity: int) -> str:
    agents = [
        f'[[agents]]\nname = "{engine.name}"\nurl = "{engine.url}"\nmodel = "fake"\ncapacity = {capacity}\n'
        'key = { env = "BENCH_ENGINE_KEY" }\n'
        "prices = { fresh = 0.0000002, cached = 0.00000002, output = 0.000001 }\n"
        for engine in fleet
    ]
    keys = '[[keys]]\nname = "bench"\nkey = { env = "BENCH_CLIENT_KEY" }\n' if key else ""
    return f"""version = 1
[server]
port = {port}
ledger = "books.db"

{"".join(agents)}
{keys}
[preferences]
worth = 100000.0

[auction]
policy = "{policy}"

[limits]
requests = 4096
requests_per_key = 4096
connect_s = 2.0
first_byte_s = 3.0
idle_s = 3.0
drain_s = 1.0
"""


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("forwarder", _floor),
        vllm_router("round_robin", "vllm-router round_robin"),
        vllm_router("cache_aware", "vllm-router cache_aware"),
        smg("round_robin", "smg round_robin"),
        smg("cache_aware", "smg cache_aware"),
        iemas("round-robin", "iemas round-robin"),
        iemas("cache-aware", "iemas cache-aware"),
        iemas("iemas", "iemas auction"),
        # Fewer than checks send at once, as engines take in earnest: one that could take them all would be given them.
        iemas("iemas", "iemas keyed", CLIENT_KEY, capacity=128),
    )
}
