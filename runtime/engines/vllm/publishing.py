"""`Publishing`: an engine whose server publishes what its KV cache holds, with a reader at its side.

    place = Sockets.fresh()
    engine = Publishing(VllmEngine.launch("a", model, options=ServerOptions(extra=place.flags())), place)

Each call goes out under its id as a session, which the server's events carry: so it is known who filled which blocks.
"""

import asyncio
import contextlib
import json
import logging
import secrets
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, Self

from runtime.engines.call import Answer, Call
from runtime.engines.engine import Engine, EngineInfo
from runtime.engines.request import Completion, Message, Request
from runtime.engines.vllm.kv_blocks import KvBlocks
from runtime.engines.vllm.kv_events import Counts, KvEvents

_log = logging.getLogger(__name__)
_SESSION = b"x-session-id"


@dataclass(frozen=True, slots=True)
class Sockets:
    """Where a server publishes and replays; `folder` is ours to make and to remove."""

    events: str
    replay: str | None = None
    folder: Path | None = None

    @classmethod
    def fresh(cls) -> Self:
        """Sockets of this machine alone, for a server that we launch; nobody else's account can read them."""
        folder = Path(tempfile.gettempdir()) / f"iemas-kv-{secrets.token_hex(8)}"
        return cls(f"ipc://{folder}/events", f"ipc://{folder}/replay", folder)

    def flags(self) -> tuple[str, ...]:
        """For `vllm serve`."""
        told = {"enable_kv_cache_events": True, "publisher": "zmq", "endpoint": self.events}
        return (
            "--kv-events-config",
            json.dumps(told | ({} if self.replay is None else {"replay_endpoint": self.replay})),
        )


class Publishing:
    """An engine and its events; anything else is the engine's own.

    Args:
        engine: whose server publishes.
        sockets: where.

    Raises:
        EngineError: pyzmq or msgspec is missing.
    """

    def __init__(self, engine: Engine, sockets: Sockets) -> None:
        self.name = engine.name
        self.contents = KvBlocks()
        self._engine, self._sockets = engine, sockets
        self._reader = KvEvents(sockets.events, sockets.replay, self.contents)
        self._reading: asyncio.Task[None] | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "_engine":
            raise AttributeError(name)
        return getattr(self._engine, name)

    @property
    def counts(self) -> Counts:
        """What became of what was published."""
        return self._reader.counts

    async def start(self) -> EngineInfo:
        """Start reading, and the engine."""
        if self._sockets.folder is not None and not self._sockets.folder.exists():
            self._sockets.folder.mkdir(mode=0o700)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._reader.run(), name=f"kv events of {self.name}")
            self._reading.add_done_callback(self._ended)
        return await self._engine.start()

    async def stop(self) -> None:
        """Stop the engine, and reading."""
        try:
            await self._engine.stop()
        finally:
            reading, self._reading = self._reading, None
            if reading is not None:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await reading
            if self._sockets.folder is not None:
                shutil.rmtree(self._sockets.folder, ignore_errors=True)

    async def tokenize(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """See `Engine.tokenize`."""
        return await self._engine.tokenize(messages)

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        """See `Engine.generate`; what it stores is not tied to the request."""
        return await self._engine.generate(request, first_token)

    async def open(self, call: Call, deadline: float = inf) -> Answer:
        """Send a call under its id as a session; see `Engine.open`."""
        kept = {name: value for name, value in call.headers.items() if name.lower() != _SESSION}
        return await self._engine.open(replace(call, headers={**kept, _SESSION: call.id.encode()}), deadline)

    async def reset_cache(self) -> None:
        """See `Engine.reset_cache`."""
        await self._engine.reset_cache()

    def _ended(self, reading: "asyncio.Task[None]") -> None:
        """Without news nothing of what was known can be trusted."""
        self.contents.forget()
        if not reading.cancelled() and reading.exception() is not None:
            _log.error("KV events of engine %s are read no more", self.name, exc_info=reading.exception())
