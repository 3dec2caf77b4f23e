"""A publisher of KV events as vLLM's is: numbered batches over PUB, a buffer that is replayed over ROUTER."""

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import zmq
import zmq.asyncio

END = (-1).to_bytes(8, "big", signed=True)


class Publisher:
    """One life of a server; `batches` it still has, `published` says which of them went out.

    Args:
        folder: of its sockets.
        replays: whether it answers whoever missed something.
        kept: batches that it can replay.
        clock: the time of its first batch.
    """

    def __init__(self, folder: Path, *, replays: bool = True, kept: int = 100, clock: float = 1.0) -> None:
        self.events, self.replay = f"ipc://{folder}/events", f"ipc://{folder}/replay"
        self._replays, self._clock, self._next = replays, clock, 0
        self._buffer: deque[tuple[int, bytes]] = deque(maxlen=kept)
        self.asked: list[int] = []

    async def __aenter__(self) -> "Publisher":
        self._context = zmq.asyncio.Context()
        self._pub = self._context.socket(zmq.XPUB)
        self._pub.bind(self.events)
        self._router = self._context.socket(zmq.ROUTER)
        self._router.bind(self.replay)
        self._task = asyncio.create_task(self._answer())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._context.destroy(linger=0)

    async def subscribed(self) -> None:
        """Until somebody listens."""
        await self._pub.recv()

    async def publish(self, *events: Any, lose: bool = False, payload: bytes | None = None) -> None:
        """A batch; a lost one is in the buffer alone."""
        number, self._next = self._next, self._next + 1
        self._clock += 1.0
        body = msgspec.msgpack.encode([self._clock, events, 0]) if payload is None else payload
        self._buffer.append((number, body))
        if not lose:
            await self.send(b"kv", number.to_bytes(8, "big"), body)

    def begin_anew(self) -> None:
        """Another server behind the same sockets: it counts from 0, and knows nothing of what was."""
        self._next = 0
        self._buffer.clear()

    async def send(self, *frames: bytes) -> None:
        """Frames as they are."""
        await self._pub.send_multipart(frames)

    async def _answer(self) -> None:
        while True:
            who, _, start = await self._router.recv_multipart()
            self.asked.append(int.from_bytes(start, "big"))
            if not self._replays:
                continue
            for number, body in list(self._buffer):
                if number >= self.asked[-1]:
                    await self._router.send_multipart([who, b"", b"kv", number.to_bytes(8, "big"), body])
            await self._router.send_multipart([who, b"", b"", END, b""])


def stored(*blocks: int, parent: int | None = None, session: str | None = None, **more: Any) -> dict[str, Any]:
    """As vLLM 0.32 has it."""
    told = {"type": "BlockStored", "block_hashes": list(blocks), "parent_block_hash": parent, "token_ids": []}
    return told | {"block_size": 4, "medium": "GPU", "session_id": session, "group_idx": 0, **more}


def removed(*blocks: int, **more: Any) -> dict[str, Any]:
    return {"type": "BlockRemoved", "block_hashes": list(blocks), "medium": "GPU", "group_idx": 0, **more}


CLEARED = {"type": "AllBlocksCleared"}


async def until(happened: Callable[[], bool], seconds: float = 10.0) -> None:
    """Until something is so."""
    async with asyncio.timeout(seconds):
        while not happened():
            await asyncio.sleep(0.005)
