"""`VllmEngine`: one real vLLM server as an agent, either a process we start and stop or a server at a URL.

    engine = VllmEngine.launch("alice", model=fetch("smollm2-135m"))
    async with engine:
        print(await engine.start(), await engine.generate(request))

Block size, number of blocks and context length are read from the running server; only it knows them.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Self

from runtime.engines.call import Answer, Call
from runtime.engines.engine import EngineInfo
from runtime.engines.openai.answer import Limits
from runtime.engines.openai.attempt import check_request
from runtime.engines.openai.refusals import reworded
from runtime.engines.request import Completion, Message, Request
from runtime.engines.vllm.client import Sample, VllmClient
from runtime.engines.vllm.process import SMALL_CPU, ServerOptions, ServerProcess, find_python
from runtime.errors import EngineError, RequestError, Unreachable
from runtime.models.folder import validate_model_folder

__all__ = ["EngineCounters", "ServerOptions", "StartProgress", "VllmEngine"]

StartProgress = Callable[[float, str], None]
"""Called with the seconds since the start and the last line of the server's log."""

_POLL_S = 0.25
_REPORT_S = 1.0
#: A server that runs says what it is in milliseconds; one that takes connections and is silent is given up.
_ANSWER_S = 10.0
# Words, digits, accents, other scripts, white space, code: vocabularies differ on at least one of them.
_PROBE = (Message("user", "Zebra 3.14159 naïve 東京 Ωmega\n\tdef f(x): return x**2  # straße"),)


@dataclass(frozen=True, slots=True)
class EngineCounters:
    """What a server has counted since it started, in tokens.

    `prefix_queries` are the prompt tokens looked up in the prefix cache, `prefix_hits` those found there.
    """

    prefix_queries: int
    prefix_hits: int
    prompt_tokens: int
    generation_tokens: int


@dataclass(frozen=True, slots=True)
class _Launch:
    """What is needed to start a server of our own."""

    model: str | Path
    python: str | Path | None
    options: ServerOptions
    log: Path | None
    ready_within_s: float
    progress: StartProgress
    limits: Limits | None
    port: int | None
    slots: int | None


@dataclass(frozen=True, slots=True)
class _Address:
    """What is needed to reach a server that runs already."""

    url: str
    api_key: str | None
    model: str | None
    slots: int
    limits: Limits | None


class VllmEngine:
    """A vLLM server behind the `Engine` protocol; make one with `launch` or `connect`.

    An engine belongs to the event loop that started it; on Linux a server of ours ends with that loop's thread.
    """

    def __init__(self, name: str, source: _Launch | _Address) -> None:
        """For `launch` and `connect`; starts nothing."""
        self.name = name
        self._source = source
        self._server: ServerProcess | None = None
        self._client: VllmClient | None = None
        self._info: EngineInfo | None = None
        self._changing = asyncio.Lock()

    @classmethod
    def launch(
        cls,
        name: str,
        model: str | Path,
        *,
        python: str | Path | None = None,
        options: ServerOptions = SMALL_CPU,
        log: Path | None = None,
        ready_within_s: float = 300.0,
        progress: StartProgress = lambda seconds, line: None,
        limits: Limits | None = None,
        port: int | None = None,
        slots: int | None = None,
    ) -> Self:
        """An engine that runs `vllm serve` on this machine from `start` to `stop`.

        `model` is a folder (see `runtime.models`) or a hub id. `python` is one that has vLLM; without it
        IEMAS_VLLM_PYTHON or `.venv-vllm` is used. The server's output goes to `log`, or to a temporary file that
        `stop` removes. `port` is any free one by default, `slots`, its capacity, the number in `options`. `start` takes
        about half a minute and raises `ModelError` for a model that is none, `EngineError` when vLLM is missing, dies,
        or is not ready within `ready_within_s` seconds.
        """
        return cls(name, _Launch(model, python, options, log, ready_within_s, progress, limits, port, slots))

    @classmethod
    def connect(
        cls,
        name: str,
        url: str,
        api_key: str | None = None,
        *,
        model: str | None = None,
        slots: int = 16,
        limits: Limits | None = None,
    ) -> Self:
        """An engine at a URL, started with `--enable-prompt-tokens-details`; `stop` only hangs up.

        `model` chooses among several that the server lists. `slots` is its capacity, how many requests it shall get
        at once: a server does not publish its own limit. `limits` say for how long it may be silent.
        """
        return cls(name, _Address(url, api_key, model, slots, limits))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The server's address; `EngineError` before `start`."""
        return self._connected().url

    @property
    def in_flight(self) -> int:
        """Calls that the server has and is not done with."""
        return 0 if self._client is None else self._client.in_flight

    async def healthy(self) -> bool:
        """Whether it answers; one of ours that has died is started anew first, which takes as long as `start`."""
        if self._server is not None and self._server.exit_code() is not None:
            await self.start()
        return self._client is not None and await self._client.healthy()

    @property
    def pid(self) -> int | None:
        """The process id of a server of ours while it is held, else None."""
        return None if self._server is None else self._server.pid

    async def start(self) -> EngineInfo:
        """Start or reach the server, and read from it what it is; one of ours that has died is started anew."""
        async with self._changing:
            if self._info is not None and self._server is not None and self._server.exit_code() is not None:
                await self._close()
            if self._info is None:
                try:
                    self._info = await self._open()
                except BaseException:
                    await self._close()
                    raise
            return self._info

    async def stop(self) -> None:
        """End the server if it is ours, in ten seconds at most, and hang up; a `start` under way fails."""
        if self._server is not None:
            await self._server.stop()
        async with self._changing:
            await self._close()

    async def tokenize(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Token ids of the prompt that `generate` would see for these messages, chat template applied."""
        client, info = self._connected(), self._described()
        try:
            return await client.tokenize(info.model, messages)
        except EngineError as error:
            raise await self._explained(error) from error

    async def reset_cache(self) -> None:
        """Forget every cached prefix; a server that was not launched here must run with VLLM_SERVER_DEV_MODE=1."""
        try:
            await self._connected().reset_prefix_cache()
        except EngineError as error:
            raise await self._explained(error) from error

    async def open(self, call: Call, deadline: float = inf) -> Answer:
        """Send a call; see `Engine.open`. A server of ours that has died is `Unreachable`, with its last words."""
        client = self._connected()
        self._described()
        try:
            return await client.open(call, deadline)
        except RequestError as error:
            raise reworded(error, f"engine {self.name!r}: {error}") from error
        except EngineError as error:
            raise await self._explained(error) from error

    async def generate(self, request: Request, first_token: Callable[[], None] | None = None) -> Completion:
        """Serve one request with temperature 0 and measure it; see `Engine.generate`."""
        client, info = self._connected(), self._described()
        check_request(request)
        try:
            return await client.complete(info.model, request, first_token)
        except RequestError as error:
            raise reworded(error, f"request {request.id!r}: {error}") from error
        except EngineError as error:
            raise await self._explained(error) from error

    async def metrics(self) -> EngineCounters:
        """The server's counters since it started. They may trail the last answer by a few milliseconds."""
        try:
            samples = await self._connected().metrics()
        except EngineError as error:
            raise await self._explained(error) from error
        return EngineCounters(
            prefix_queries=_count(samples, "vllm:prefix_cache_queries_total"),
            prefix_hits=_count(samples, "vllm:prefix_cache_hits_total"),
            prompt_tokens=_count(samples, "vllm:prompt_tokens_total"),
            generation_tokens=_count(samples, "vllm:generation_tokens_total"),
        )

    async def _open(self) -> EngineInfo:
        source = self._source
        if isinstance(source, _Launch):
            await self._launch(source)
            return await self._describe(None, source.slots or source.options.max_num_seqs)
        self._client = VllmClient(source.url, source.api_key, source.limits)
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._describe(source.model, source.slots)
        except TimeoutError:
            raise EngineError(
                f"{source.url} takes connections and has not answered within {_ANSWER_S:g} s; is it a vLLM server, "
                "and is it up?"
            ) from None

    async def _launch(self, source: _Launch) -> None:
        model = validate_model_folder(source.model)
        served_name = Path(model).name if Path(model).is_dir() else model
        server = ServerProcess(find_python(source.python), model, served_name, source.options, source.log, source.port)
        self._server, self._client = server, VllmClient(server.url, limits=source.limits)
        began = reported = time.monotonic()
        while not await self._client.healthy():
            now = time.monotonic()
            if server.exit_code() is not None:
                raise self._death(server)
            if now - began > source.ready_within_s:
                raise EngineError(
                    f"vLLM of engine {self.name!r} was not ready after {now - began:.0f} s; raise ready_within_s "
                    f"or see how its log ends:\n{_indented(server.tail())}"
                )
            if now - reported >= _REPORT_S:
                reported = now
                source.progress(now - began, (server.tail(1) or ["starting"])[0])
            await asyncio.sleep(_POLL_S)

    async def _describe(self, model: str | None, slots: int) -> EngineInfo:
        client = self._connected()
        served = await client.model(model)
        blocks = [sample.labels for sample in await client.metrics() if sample.name == "vllm:cache_config_info"]
        try:
            block_size, cache_blocks = int(blocks[0]["block_size"]), int(blocks[0]["num_gpu_blocks"])
        except (IndexError, KeyError, ValueError):
            raise EngineError(
                f"{client.url}/metrics does not describe the KV cache (vllm:cache_config_info); is it vLLM, "
                "with --disable-log-stats unset?"
            ) from None
        probe = ",".join(map(str, await client.tokenize(served.name, _PROBE)))
        return EngineInfo(
            model=served.name,
            block_size=block_size,
            cache_blocks=cache_blocks,
            max_model_len=served.max_model_len,
            slots=slots,
            tokenizer=f"probe-{hashlib.sha256(probe.encode()).hexdigest()[:12]}",
            simulated=False,
            adapters=served.others,
        )

    async def _close(self) -> None:
        client, server = self._client, self._server
        self._client = self._server = self._info = None
        if server is not None:
            await server.stop()
        if client is not None:
            # Raised if the loop that opened the connections is closed, and they with it.
            with contextlib.suppress(RuntimeError):
                await client.close()

    async def _explained(self, error: EngineError) -> EngineError:
        """The error itself, or the death of our server if that is what was behind it."""
        server = self._server
        if server is not None:
            # A connection breaks a moment before the process can be seen to be dead.
            for _ in range(10):
                if server.exit_code() is not None:
                    death = self._death(server)
                    death.sent = not isinstance(error, Unreachable) or error.sent
                    return death
                await asyncio.sleep(_POLL_S / 10)
        return reworded(error, f"engine {self.name!r}: {error}")

    def _death(self, server: ServerProcess) -> Unreachable:
        return Unreachable(
            f"vLLM of engine {self.name!r} died with exit code {server.exit_code()}; its log ended:\n"
            f"{_indented(server.tail())}"
        )

    def _connected(self) -> VllmClient:
        if self._client is None:
            words = f"engine {self.name!r} is not running; use `async with engine:` or await engine.start()"
            raise Unreachable(words, sent=False)
        return self._client

    def _described(self) -> EngineInfo:
        if self._info is None:
            raise Unreachable(f"engine {self.name!r} is not ready; await engine.start() first", sent=False)
        return self._info


def _count(samples: Sequence[Sample], name: str) -> int:
    """The sum of a counter over all label sets (a server may run several engines)."""
    values = [sample.value for sample in samples if sample.name == name]
    if not values:
        raise EngineError(f"the server's /metrics has no {name}; vLLM 0.11 or newer is needed, with statistics on")
    return int(sum(values))


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line}" for line in lines) or "  (empty)"
