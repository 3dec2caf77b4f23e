"""Reads what a vLLM server publishes of its KV cache: batches with a sequence number over ZeroMQ, and their replay.

    vllm serve ... --kv-events-config '{"enable_kv_cache_events": true, "endpoint": "tcp://*:5557",
                                        "replay_endpoint": "tcp://*:5558"}'

A batch that was missed is asked for again. What cannot be had again is not guessed at: all that was known of the
server is forgotten, and learnt anew. ZeroMQ connects, and connects again, by itself.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from runtime.engines.vllm.kv_blocks import KvBlocks
from runtime.errors import EngineError

_log = logging.getLogger(__name__)
#: Seconds for a replay to begin, and between two of its batches.
_REPLAY_S = 2.0
#: Batches waiting to be read, and bytes of one: what is beyond is lost, and noticed as a gap.
_WAITING = 100_000
_BYTES = 64 << 20
_END = (-1).to_bytes(8, "big", signed=True)


@dataclass(slots=True)
class Counts:
    """What became of what was published: gaps that a replay filled and gaps that it did not, what was no batch."""

    batches: int = 0
    replayed: int = 0
    lost: int = 0
    restarts: int = 0
    hung_up: int = 0
    garbage: int = 0


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch; `events` is None if it cannot be read."""

    sequence: int
    at: float
    events: list[Any] | None


class KvEvents:
    """One server's events, kept up to date in `blocks` while `run` runs.

    Args:
        endpoint: where it publishes, such as `tcp://10.0.0.5:5557` or `ipc:///run/kv`.
        replay: where it replays; without it every gap is a loss.
        blocks: what is known of its cache.

    Raises:
        EngineError: pyzmq or msgspec is missing.
    """

    def __init__(self, endpoint: str, replay: str | None = None, blocks: KvBlocks | None = None) -> None:
        try:
            import msgspec
            import zmq.asyncio
        except ImportError as error:
            raise EngineError(f"KV events need pyzmq and msgspec ({error}); pip install 'iemas[gateway]'") from None
        self.endpoint, self.replay = endpoint, replay
        self.blocks = KvBlocks() if blocks is None else blocks
        self.counts = Counts()
        self._zmq = zmq
        self._decode = msgspec.msgpack.Decoder().decode
        #: The last batch that was applied.
        self._last: _Batch | None = None

    async def run(self) -> None:
        """Read until cancelled."""
        with self._zmq.asyncio.Context() as context:
            socket = self._socket(context, self._zmq.SUB)
            monitor = socket.get_monitor_socket(self._zmq.EVENT_DISCONNECTED)
            watching = asyncio.create_task(self._watch(monitor))
            socket.connect(self.endpoint)
            socket.subscribe(b"")
            try:
                while True:
                    batch = self._read(await socket.recv_multipart())
                    if batch is not None:
                        await self._take(context, batch)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                socket.disable_monitor()
                context.destroy(linger=0)

    async def _watch(self, monitor: Any) -> None:
        """A server that hangs up has ended, as far as can be told before another speaks."""
        while True:
            await monitor.recv_multipart()
            self.counts.hung_up += 1
            self._forget()

    def _socket(self, context: Any, kind: int) -> Any:
        socket = context.socket(kind)
        socket.setsockopt(self._zmq.LINGER, 0)
        socket.setsockopt(self._zmq.RCVHWM, _WAITING)
        socket.setsockopt(self._zmq.MAXMSGSIZE, _BYTES)
        return socket

    def _read(self, frames: list[bytes]) -> _Batch | None:
        """A batch from its frames; None if there is not even a sequence number."""
        if len(frames) < 2 or len(frames[-2]) != 8:
            self.counts.garbage += 1
            return None
        sequence = int.from_bytes(frames[-2], "big")
        try:
            at, events, *_ = self._decode(frames[-1])
            if isinstance(at, int | float) and isinstance(events, list):
                return _Batch(sequence, float(at), events)
        except (ValueError, TypeError, RecursionError):
            pass
        return _Batch(sequence, 0.0, None)

    async def _take(self, context: Any, batch: _Batch) -> None:
        last = self._last
        if last is not None and batch.sequence <= last.sequence:
            if batch.events is not None and batch.at > last.at:
                self.counts.restarts += 1
                self._forget()
                last = None
            else:
                # It came with a replay already, or the server's clock went back as it restarted: that ends as a gap.
                return
        expected = 0 if last is None else last.sequence + 1
        if batch.sequence > expected:
            await self._fill(context, batch.sequence)
        if self._last is None or batch.sequence > self._last.sequence:
            self._apply(batch)

    async def _fill(self, context: Any, until: int) -> None:
        """Have replayed what was missed before the batch `until`, or forget what is known.

        The replay begins with the last batch that is known: if it is another now, the server is another too.
        """
        last = self._last
        batches = _ending(await self._replayed(context, 0 if last is None else last.sequence), until - 1)
        if last is not None:
            if batches and (batches[0].sequence, batches[0].at) == (last.sequence, last.at):
                self.counts.replayed += 1
            else:
                self.counts.lost += 1
                self._forget()
        for batch in batches:
            if self._last is None or batch.sequence > self._last.sequence:
                self._apply(batch)

    async def _replayed(self, context: Any, start: int) -> list[_Batch]:
        """What the server still has from a batch on, in order; nothing if it does not answer."""
        if self.replay is None:
            return []
        batches: list[_Batch] = []
        socket = self._socket(context, self._zmq.DEALER)
        socket.connect(self.replay)
        try:
            await socket.send_multipart([b"", start.to_bytes(8, "big")])
            while True:
                async with asyncio.timeout(_REPLAY_S):
                    frames = await socket.recv_multipart()
                if len(frames) >= 2 and frames[-2] == _END:
                    return batches
                batch = self._read(frames)
                if batch is not None and (not batches or batch.sequence > batches[-1].sequence):
                    batches.append(batch)
        except TimeoutError:
            _log.warning("%s replays nothing; events that were missed are lost", self.replay)
            return []
        finally:
            socket.close(linger=0)

    def _apply(self, batch: _Batch) -> None:
        self.counts.batches += 1
        try:
            if batch.events is None:
                raise ValueError("no batch")
            self.blocks.apply(batch.events)
        except (ValueError, TypeError):
            # What it said of the cache is not known, so nothing is.
            self.counts.garbage += 1
            self.blocks.forget()
        self._last = batch

    def _forget(self) -> None:
        self._last = None
        self.blocks.forget()


def _ending(batches: list[_Batch], least: int) -> list[_Batch]:
    """The longest run of batches without a gap at the end, if it goes on to the number `least`."""
    if not batches or batches[-1].sequence < least:
        return []
    begin = len(batches) - 1
    while begin and batches[begin - 1].sequence == batches[begin].sequence - 1:
        begin -= 1
    return batches[begin:]
