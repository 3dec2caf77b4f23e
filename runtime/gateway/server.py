"""Runs a gateway on a socket: SIGTERM lets requests end, Ctrl-C breaks them off, SIGHUP reads the file again.

uvicorn reads HTTP (with uvloop and httptools where they are installed) and nothing else: signals, logs and headers are
ours.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from runtime.engines.engine import Engine, running
from runtime.errors import ServingError
from runtime.gateway.app import Gateway
from runtime.gateway.door.connections import TimedProtocol
from runtime.gateway.door.door import Door
from runtime.gateway.fleet.config import Fleet
from runtime.gateway.fleet.file import load_fleet
from runtime.gateway.fleet.reload import changes
from runtime.gateway.operators.office import Office
from runtime.gateway.serving.engines import make_engine
from runtime.gateway.serving.serving import Serving

_log = logging.getLogger(__name__)
#: Idle connections are kept longer than clients keep them (openai-python: 5 s; most proxies: 60 s).
_KEEP_S = 75
#: Seconds for telling those whose answers break off.
_PARTING_S = 2


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by `run_gateway`."""
        yield


def bind(fleet: Fleet, port: int | None = None) -> socket.socket:
    """The socket that clients will find; bound before anything slow begins.

    Args:
        fleet: as checked.
        port: another than the file's; 0 is any free one.

    Raises:
        ServingError: the address is taken, or none of this machine's.
    """
    host, number = fleet.server.host.strip("[]"), fleet.server.port if port is None else port
    try:
        family = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, number))
    except OSError as error:
        raise ServingError(
            f"cannot listen on {host} port {number} ({error.strerror}); name another [server] host or port"
        ) from None
    return bound


async def run_gateway(
    file: Path,
    bound: socket.socket,
    engines: list[Engine],
    serving: Serving,
    gateway: Gateway,
    *,
    ready: Callable[[str], None] = lambda url: None,
    load: Callable[[Path], Fleet] = load_fleet,
    make: Callable[[Fleet, int], Engine] = make_engine,
    office: Office | None = None,
) -> None:
    """Start engines, serve until told to stop, and stop every engine that was started.

    Args:
        file: what SIGHUP reads again.
        bound: where clients come in.
        engines, serving, gateway: over one fleet.
        ready: told the address once requests are taken.
        load: reads and checks a file.
        make: the engine of an agent that comes later, by its number in the file.
        office: the admin API, on a port of its own.

    Raises:
        EngineError: an engine does not come up.
    """
    loop = asyncio.get_running_loop()
    server = _Server(_config(gateway))
    stopping = asyncio.Event()
    task = asyncio.current_task()
    assert task is not None

    def stop(at_once: bool) -> None:
        if server.started:
            gateway.drain()
            if at_once:
                server.config.timeout_graceful_shutdown = _PARTING_S
                stopping.set()
            else:
                # What is not done by then breaks off with an event, uncharged, before the connection goes.
                loop.call_later(max(gateway.fleet.limits.drain_s - _PARTING_S, 0.1), stopping.set)
            server.should_exit = True
        else:
            task.cancel()

    reloading = _Reloading(file, serving, gateway, load, make)
    handlers: dict[signal.Signals, Callable[[], None]] = {
        signal.SIGTERM: lambda: stop(False),
        signal.SIGINT: lambda: stop(True),
        signal.SIGHUP: reloading.begin,
    }
    for number, handle in handlers.items():
        loop.add_signal_handler(number, handle)
    try:
        async with running(engines):
            await serving.start()
            breaking = asyncio.create_task(_break_off(stopping, serving))
            tended = (serving, gateway) if office is None else (serving, gateway, office)
            tending = [asyncio.create_task(each.tend(), name="tend") for each in tended]
            try:
                host, port = bound.getsockname()[:2]
                serve = asyncio.create_task(server.serve(sockets=[bound]))
                while not server.started and not serve.done():
                    await asyncio.sleep(0.01)
                _settle_garbage()
                ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
                await serve
            finally:
                for beside in (breaking, *tending):
                    beside.cancel()
                await asyncio.gather(breaking, *tending, reloading.end(), return_exceptions=True)
                await serving.stop()
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
        bound.close()


def _settle_garbage() -> None:
    """What is loaded by now stays; looking through all of it for garbage again and again costs a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _break_off(stopping: asyncio.Event, serving: Serving) -> None:
    await stopping.wait()
    await serving.stop()


def _config(gateway: Gateway) -> uvicorn.Config:
    limits = gateway.fleet.limits
    return uvicorn.Config(
        app=gateway,
        lifespan="off",
        http=TimedProtocol,
        log_config=None,
        access_log=False,
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_S,
        timeout_graceful_shutdown=max(1, round(limits.drain_s)),
        h11_max_incomplete_event_size=limits.header_bytes + 4096,
        backlog=2048,
    )


class _Reloading:
    """Takes a changed file over, one at a time, or goes on with the old one and says why."""

    def __init__(
        self,
        file: Path,
        serving: Serving,
        gateway: Gateway,
        load: Callable[[Path], Fleet],
        make: Callable[[Fleet, int], Engine],
    ) -> None:
        self._file, self._serving, self._gateway, self._load, self._make = file, serving, gateway, load, make
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Read the file; agents that it has more come up first."""
        if self._task is not None and not self._task.done():
            _log.error("%s is being taken over already; send SIGHUP again afterwards", self._file)
            return
        self._task = asyncio.create_task(self._reload(), name="reload")

    async def end(self) -> None:
        """Give up what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _reload(self) -> None:
        try:
            fleet = self._load(self._file)
            difference = changes(self._gateway.fleet, fleet)
            if difference.restart:
                needed = ", ".join(difference.restart)
                _log.error("%s was not taken over: a restart is needed for %s", self._file, needed)
                return
            # Whatever is wrong with it is found before an engine is started for it.
            Door.of(fleet)
            take_over = await self._serving.adopt(fleet, self._make)
            self._gateway.adopt(fleet)
            take_over()
        except ServingError as error:
            _log.error("%s was not taken over: %s", self._file, error)
        else:
            _log.warning("%s was taken over: %s", self._file, ", ".join(difference.live) or "nothing has changed")
