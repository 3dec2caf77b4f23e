"""Processes of fake engines: started, asked, told, killed, started again."""

import asyncio
import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.gateway.wire import ask

ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", seconds: float = 60.0) -> None:
    """Until somebody listens there; raises RuntimeError if the process ends or takes too long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not listen on port {port}")


@dataclass
class Seen:
    """A request as an engine got it."""

    path: str
    head: bytes
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case."""
        lines = [line.partition(b":") for line in self.head.split(b"\r\n")[1:] if line]
        return {name.decode("latin-1").lower(): text.strip().decode("latin-1") for name, _, text in lines}


@dataclass
class Engine:
    """One engine, wherever its process is in its life."""

    name: str
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None
    starts: int = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """A new process, without waiting for it."""
        command = [sys.executable, "-m", "tests.benchmarks.gateway.fake_engine"]
        command += ["--port", str(self.port), "--name", self.name]
        self.process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
        self.starts += 1

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    def suspend(self, stopped: bool) -> None:
        """Stop it where it is, or let it go on."""
        if self.process is not None and self.alive:
            self.process.send_signal(signal.SIGSTOP if stopped else signal.SIGCONT)

    async def tell(self, **settings: Any) -> None:
        """See `POST /_admin`."""
        await ask(self.url, settings, path="/_admin", deadline=5)

    async def reset(self) -> None:
        """See `POST /_reset`."""
        await ask(self.url, {}, path="/_reset", deadline=5)

    async def state(self) -> dict[str, Any]:
        """See `GET /_state`; nothing of an engine that is down."""
        reply = await ask(self.url, path="/_state", method="GET", deadline=5)
        return dict(reply.json()) if reply.status == 200 else {}

    async def seen(self) -> list[Seen]:
        """Requests since it was told to record them."""
        reply = await ask(self.url, path="/_seen", method="GET", deadline=5)
        return [Seen(e["path"], base64.b64decode(e["head"]), base64.b64decode(e["body"])) for e in reply.json()]


@contextmanager
def engines(count: int = 3) -> Iterator[list[Engine]]:
    """So many engines that run."""
    made = [Engine(chr(ord("a") + i)) for i in range(count)]
    try:
        for engine in made:
            engine.start()
        for engine in made:
            assert engine.process is not None
            wait_for_port(engine.port, engine.process)
        yield made
    finally:
        for engine in made:
            engine.kill()


async def in_flight(fleet: Sequence[Engine]) -> int:
    """Requests that engines are busy with."""
    return sum([int((await engine.state()).get("in_flight", 0)) for engine in fleet])


async def quiet(fleet: Sequence[Engine], seconds: float) -> bool:
    """Whether no engine is busy any more within so many seconds."""
    until = time.monotonic() + seconds
    while await in_flight(fleet):
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.005)
    return True


async def keep_alive(fleet: Sequence[Engine], after_s: float) -> None:
    """Start again whoever dies, so many seconds later, until cancelled."""
    died: dict[str, float] = {}
    while True:
        for engine in fleet:
            if engine.alive:
                died.pop(engine.name, None)
            elif time.monotonic() - died.setdefault(engine.name, time.monotonic()) >= after_s:
                died.pop(engine.name)
                engine.start()
        await asyncio.sleep(0.02)
