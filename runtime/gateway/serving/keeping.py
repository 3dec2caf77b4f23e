"""Keeps the servers of a fleet running without a gateway: launched, watched, started anew, stopped, none left behind.

`iemas fleet up` starts a keeper, a process of its own that holds the servers; they die with it however it ends. What it
says about them lies in a folder beside the fleet's file, where `status`, `down` and `iemas serve` read it.
"""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from runtime.engines.engine import Engine
from runtime.errors import ServingError

_EVERY_S = 1.0


@dataclass(slots=True)
class Kept:
    """One server: `starting`, `up`, `down` or `failed`; where it listens, and why it is not up."""

    state: str = "starting"
    url: str | None = None
    pid: int | None = None
    log: str | None = None
    since_s: float = field(default_factory=time.time)
    error: str = ""

    def become(self, state: str, error: str = "") -> None:
        """Another state, from now on."""
        if state != self.state:
            self.state, self.since_s = state, time.time()
        self.error = error


@dataclass(slots=True)
class State:
    """What a keeper says: its own process, and its servers by name."""

    pid: int
    agents: dict[str, Kept]

    @property
    def alive(self) -> bool:
        """Whether the keeper runs."""
        try:
            os.kill(self.pid, 0)
        except OSError:
            return False
        return not _zombie(self.pid)


def folder_of(file: Path) -> Path:
    """Where the keeper of a fleet's file writes: state and logs."""
    return file.parent / f".{file.name}.up"


def read_state(file: Path) -> State | None:
    """What the keeper of a fleet's file says; None if none runs."""
    try:
        told = json.loads((folder_of(file) / "state.json").read_text(encoding="utf-8"))
        state = State(told["pid"], {name: Kept(**each) for name, each in told["agents"].items()})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state if state.alive else None


async def keep(file: Path, engines: Sequence[Engine]) -> None:
    """Start the engines, and keep them up until SIGTERM or Ctrl-C; then stop them all.

    Args:
        file: the fleet's.
        engines: those of the agents that are launched.

    Raises:
        ServingError: the folder beside the file cannot be written, or another keeper has it.
    """
    other = read_state(file)
    if other is not None and other.pid != os.getpid():
        raise ServingError(f"the fleet of {file} is up already, kept by process {other.pid}; take it down first")
    folder = folder_of(file)
    state = State(os.getpid(), {engine.name: Kept(log=str(folder / f"{engine.name}.log")) for engine in engines})
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(_watch(engine, state.agents[engine.name])) for engine in engines]
    try:
        while not stop.is_set():
            for engine in engines:
                _look(engine, state.agents[engine.name])
            _write(folder, state)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _EVERY_S / 4)
    finally:
        for task in tasks:
            task.cancel()
        for engine in engines:
            await engine.stop()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(OSError):
            (folder / "state.json").unlink()


async def _watch(engine: Engine, kept: Kept) -> None:
    """Bring a server up, and up again whenever it went."""
    while True:
        try:
            await engine.start()
            well = await engine.healthy() if hasattr(engine, "healthy") else True
            kept.become("up" if well else "down", "" if well else "it does not answer /health")
        except ServingError as error:
            kept.become("failed", str(error).strip().splitlines()[-1][:300])
        await asyncio.sleep(_EVERY_S if kept.state == "up" else 5 * _EVERY_S)


def _look(engine: Engine, kept: Kept) -> None:
    kept.pid = getattr(engine, "pid", None)
    try:
        kept.url = engine.url if kept.pid is not None else None  # type: ignore[attr-defined]
    except ServingError:
        kept.url = None


def _write(folder: Path, state: State) -> None:
    """All at once: who reads never finds half of it."""
    try:
        folder.mkdir(exist_ok=True)
        scratch = folder / "state.json.new"
        scratch.write_text(json.dumps({"pid": state.pid, "agents": {k: asdict(v) for k, v in state.agents.items()}}))
        scratch.replace(folder / "state.json")
    except OSError as error:
        raise ServingError(
            f"cannot write {folder} ({error.strerror}); put the fleet's file where you may write"
        ) from None


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (OSError, IndexError):
        return False
