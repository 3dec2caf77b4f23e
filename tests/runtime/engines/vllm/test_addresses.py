"""Servers that are none: each is one line that names it, in ten seconds at most."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from runtime.engines.vllm import engine as module
from runtime.engines.vllm.engine import VllmEngine
from runtime.errors import EngineError
from tests.runtime.engines.vllm.doubles import METRICS, serving, stream, usage, vllm_script
from tests.runtime.engines.vllm.test_client import CHAT, ask, generate


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for one in held:
            one.close()


def started(url: str, api_key: str | None = None) -> None:
    async def conversation() -> None:
        async with VllmEngine.connect("a", url, api_key):
            pass

    asyncio.run(conversation())


def test_a_silent_server_is_given_up_by_name(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module._ANSWER_S == 10
    monkeypatch.setattr(module, "_ANSWER_S", 0.2)
    with pytest.raises(EngineError, match=f"{silent} takes connections and has not answered"):
        started(silent)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999", "http://127.0.0.1:0", "127.0.0.1:8000", "http://", "ftp://x", "http://h:abc"]
)
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(EngineError, match=r"is no address.*http://host:port"):
        started(url)


def test_a_key_that_no_header_carries_is_said() -> None:
    with pytest.raises(EngineError, match="API key"):
        started("http://127.0.0.1:1", "schlüssel")


def test_an_empty_list_of_models_is_said() -> None:
    script = vllm_script()
    script.answer("/v1/models", 200, {"object": "list", "data": []})
    with pytest.raises(EngineError, match="lists no model at all"):
        ask(script, lambda engine: engine.start())


def test_a_cache_without_blocks_is_said() -> None:
    script = vllm_script()
    script.answer("/metrics", 200, METRICS.replace('num_gpu_blocks="364"', 'num_gpu_blocks="0"'))
    with pytest.raises(EngineError, match="cache_blocks is 0"):
        ask(script, lambda engine: engine.start())


@pytest.mark.parametrize("cached", [-1, 5])
def test_counts_that_cannot_be_are_nonsense(cached: int) -> None:
    script = vllm_script()
    script.answer(CHAT, 200, stream(cached))
    assert usage(cached)["prompt_tokens"] == 4
    with pytest.raises(EngineError, match="answered with nonsense"):
        generate(script)
    with serving(script) as url:
        assert url
