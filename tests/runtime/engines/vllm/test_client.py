"""The vLLM engine against a server that answers as vLLM does, and against one that does not."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from mechanisms import Preferences
from runtime import Router, Served
from runtime.engines.engine import Completion, Engine, EngineInfo, Message, Request, running
from runtime.engines.vllm.engine import EngineCounters, VllmEngine
from runtime.errors import EngineBusyError, EngineDownError, EngineError, ModelError, RequestError
from tests.runtime.engines.vllm.doubles import Script, chunk, delta, refusal, serving, stream, usage, vllm_script
from tests.runtime.fleet import PRICES
from tests.runtime.rounds.stories import Fixed

T = TypeVar("T")
CHAT = "/v1/chat/completions"
HELLO = Request("r1", "alice", (Message("user", "hello"),), max_tokens=3)


def ask(script: Script, what: Callable[[VllmEngine], Awaitable[T]], **options: Any) -> T:
    async def conversation(url: str) -> T:
        async with VllmEngine.connect("a", url, **options) as engine:
            return await what(engine)

    with serving(script) as url:
        return asyncio.run(conversation(url))


def generate(script: Script) -> Completion:
    return ask(script, lambda engine: engine.generate(HELLO))


def test_it_is_an_engine() -> None:
    assert isinstance(VllmEngine.connect("a", "http://127.0.0.1:1"), Engine)


def test_a_completion_is_what_the_stream_said() -> None:
    done = generate(vllm_script())
    assert done.text == "Grüße!"
    assert (done.prompt_tokens, done.cached_tokens, done.output_tokens) == (4, 2, 3)
    assert done.token_ids == (5, 6, 7, 8, 40, 41, 2)
    assert done.finish_reason == "stop"
    assert 0 < done.first_token_s <= done.latency_s


def test_the_question_is_greedy_streamed_and_asks_for_usage() -> None:
    script = vllm_script()
    generate(script)
    question = next(body for path, body, _ in script.questions if path == CHAT)
    assert question == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 3,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_token_ids": True,
    }


def test_the_engine_describes_itself_from_the_servers_answers() -> None:
    script = vllm_script()
    info = ask(script, lambda engine: engine.start(), slots=3)
    assert isinstance(info, EngineInfo)
    assert (info.model, info.block_size, info.cache_blocks) == ("tiny", 32, 364)
    assert (info.max_model_len, info.slots, info.simulated) == (2048, 3, False)
    script.answer("/tokenize", 200, {"tokens": [5, 6, 7, 9]})
    assert ask(script, lambda engine: engine.start()).tokenizer != info.tokenizer


def test_start_asks_once_and_stop_may_be_repeated() -> None:
    script = vllm_script()

    async def twice(engine: VllmEngine) -> None:
        assert await engine.start() == await engine.start()
        await engine.stop()
        await engine.stop()

    ask(script, twice)
    assert [path for path, _, _ in script.questions].count("/v1/models") == 1


def test_tokenize_sends_the_chat_with_its_generation_prompt() -> None:
    script = vllm_script()
    assert ask(script, lambda engine: engine.tokenize(HELLO.messages)) == (5, 6, 7, 8)
    _, question, _ = script.questions[-1]
    assert question["add_generation_prompt"] is True
    assert question["messages"] == [{"role": "user", "content": "hello"}]


def test_counters_are_summed_over_engines() -> None:
    counters = ask(vllm_script(), lambda engine: engine.metrics())
    assert counters == EngineCounters(prefix_queries=399, prefix_hits=224, prompt_tokens=400, generation_tokens=48)


def test_the_api_key_is_sent_with_every_question() -> None:
    script = vllm_script()
    ask(script, lambda engine: engine.generate(HELLO), api_key="secret")
    assert {key for _, _, key in script.questions} == {"Bearer secret"}


def test_an_address_may_end_in_v1() -> None:
    async def start(url: str) -> EngineInfo:
        async with VllmEngine.connect("a", url + "/v1/") as engine:
            return await engine.start()

    with serving(vllm_script()) as url:
        assert asyncio.run(start(url)).model == "tiny"


def test_a_server_without_token_ids_still_serves() -> None:
    script = vllm_script()
    chunks = [chunk(choices=[delta("Hi")]), chunk(choices=[delta("", finish="length")]), chunk(usage=usage(0))]
    script.answer(CHAT, 200, chunks)
    done = generate(script)
    assert (done.text, done.token_ids, done.finish_reason, done.cached_tokens) == ("Hi", (), "length", 0)


def test_a_missing_flag_is_named() -> None:
    script = vllm_script()
    script.answer(CHAT, 200, stream(cached=None))
    with pytest.raises(EngineError, match="--enable-prompt-tokens-details"):
        generate(script)


def test_a_prompt_that_is_too_long_is_the_requests_fault() -> None:
    script = vllm_script()
    script.answer(CHAT, 400, refusal("This model's maximum context length is 2048 tokens.", 400))
    with pytest.raises(RequestError, match=r"'r1'.*maximum context length is 2048"):
        generate(script)


@pytest.mark.parametrize(
    "request_",
    [
        Request("r1", "alice", ()),
        Request("r1", "alice", HELLO.messages, max_tokens=0),
        Request("r1", "alice", (Message("user", "half of a pair: \ud83d"),)),
    ],
    ids=["empty", "zero", "no text"],
)
def test_a_request_that_no_engine_could_serve_is_not_sent(request_: Request) -> None:
    script = vllm_script()
    with pytest.raises(RequestError, match="'r1'"):
        ask(script, lambda engine: engine.generate(request_))
    assert CHAT not in [path for path, _, _ in script.questions]


def test_an_error_inside_the_stream_is_raised() -> None:
    script = vllm_script()
    script.answer(CHAT, 200, [*stream()[:2], refusal("EngineCore encountered an issue", 500)])
    with pytest.raises(EngineError, match="EngineCore encountered an issue"):
        generate(script)


@pytest.mark.parametrize(
    "chunks",
    [
        stream()[:3],
        stream()[:4],
        [chunk(choices=None)],
        [chunk(choices=[{"no": "delta"}])],
        [*stream()[:4], chunk(usage={"prompt_tokens_details": {"cached_tokens": 1}})],
        [["no", "object"]],
    ],
    ids=["cut before the end", "no usage", "no choices", "no delta", "no counts", "no object"],
)
def test_a_malformed_stream_is_the_engines_fault(chunks: list[Any]) -> None:
    script = vllm_script()
    script.answer(CHAT, 200, chunks)
    with pytest.raises(EngineError, match="nonsense"):
        generate(script)


def test_an_aborted_answer_is_the_engines_fault() -> None:
    script = vllm_script()
    script.answer(CHAT, 200, [chunk(choices=[delta("x", [1], "abort")]), chunk(usage=usage(0))])
    with pytest.raises(EngineError, match="gave up"):
        generate(script)


def test_a_model_without_chat_template_is_named_at_the_start() -> None:
    script = vllm_script()
    message = "As of transformers v4.44, default chat template is no longer allowed"
    script.answer("/tokenize", 400, refusal(message, 400))
    with pytest.raises(ModelError, match="--chat-template"):
        ask(script, lambda engine: engine.start())


@pytest.mark.parametrize(
    ("path", "status", "body", "expected"),
    [
        ("/v1/models", 200, {"data": [{"id": "gpt"}]}, "max_model_len"),
        ("/v1/models", 200, "<html>", "nonsense"),
        ("/v1/models", 200, [], "nonsense"),
        ("/v1/models", 404, {"detail": "Not Found"}, "Not Found"),
        ("/v1/models", 401, {"error": "Unauthorized"}, "api_key"),
        ("/metrics", 200, "up 1.0\n", "cache_config_info"),
        ("/tokenize", 200, {"tokens": None}, "/tokenize"),
    ],
)
def test_a_server_that_is_not_vllm_is_found_out(path: str, status: int, body: Any, expected: str) -> None:
    script = vllm_script()
    script.answer(path, status, body)
    with pytest.raises(EngineError, match=expected):
        ask(script, lambda engine: engine.start())


def test_a_model_that_is_not_served_is_named_beside_those_that_are() -> None:
    with pytest.raises(EngineError, match=r"'huge'.*tiny"):
        ask(vllm_script(), lambda engine: engine.start(), model="huge")


def test_missing_counters_are_named() -> None:
    script = vllm_script()
    script.answer("/metrics", 200, 'vllm:cache_config_info{block_size="16",num_gpu_blocks="9"} 1.0\n')
    with pytest.raises(EngineError, match="prefix_cache_queries"):
        ask(script, lambda engine: engine.metrics())


def test_nobody_at_the_address() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(EngineDownError, match="cannot be reached"):
        asyncio.run(VllmEngine.connect("a", url).start())


def test_before_start_an_engine_says_so() -> None:
    with pytest.raises(EngineDownError, match="not running"):
        asyncio.run(VllmEngine.connect("a", "http://127.0.0.1:1").generate(HELLO))


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"])
@pytest.mark.parametrize("pieces", [None, 1])
def test_what_python_takes_for_the_end_of_a_line_is_text(separator: str, pieces: int | None) -> None:
    script = vllm_script()
    script.pieces = pieces
    text = f"one{separator}two"
    script.answer(CHAT, 200, [chunk(choices=[delta(text, [1], "stop")]), chunk(usage=usage(0))])
    assert generate(script).text == text


def test_lines_may_end_as_on_windows_and_hold_comments() -> None:
    events = [chunk(choices=[delta("fine", [1], "stop")]), chunk(usage=usage(0))]
    body = ": a comment\r\n\r\n" + "".join(f"event: x\r\ndata:{json.dumps(one)}\r\n\r\n" for one in events)
    script = vllm_script()
    script.answer(CHAT, 200, body + "data: [DONE]")
    assert generate(script).text == "fine"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("said", "seconds"), [(None, 1.0), ("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("1e9", 60.0), ("nan", 1.0), ("Wed", 1.0)]
)
def test_a_busy_server_is_busy_and_says_until_when(status: int, said: str | None, seconds: float) -> None:
    script = vllm_script()
    script.answer(CHAT, status, refusal("too many requests", status))
    script.headers = {} if said is None else {"Retry-After": said}
    with pytest.raises(EngineBusyError, match=r"'a'.*takes no more for now") as caught:
        generate(script)
    assert caught.value.retry_after_s == seconds


def test_a_server_that_is_busy_in_the_middle_of_an_answer_is_busy() -> None:
    script = vllm_script()
    script.answer(CHAT, 200, [*stream()[:2], refusal("overloaded", 503)])
    with pytest.raises(EngineBusyError):
        generate(script)


ONE_REQUESTS: dict[str, tuple[int, Any]] = {
    "404": (404, refusal("The model does not exist.", 404)),
    "500": (500, refusal("internal", 500)),
    "502": (502, "<html>bad gateway</html>"),
    "no events": (200, "<html>"),
    "an odd chunk": (200, [["no", "object"]]),
    "a number": (200, [5]),
    "half": (200, stream()[:3]),
    "no json": (200, "data: {half\n\n"),
    "no text": (200, [chunk(choices=[delta(5, [1], "stop")]), chunk(usage=usage(0))]),  # type: ignore[arg-type]
    "no ids": (200, [chunk(choices=[delta("x", ["a"], "stop")]), chunk(usage=usage(0))]),  # type: ignore[list-item]
    "infinite": (200, [*stream()[:4], chunk(usage=usage(0) | {"completion_tokens": float("inf")})]),
    "hung up": (200, None),
}


@pytest.mark.parametrize("kind", ONE_REQUESTS)
def test_what_goes_wrong_with_one_request_says_nothing_of_the_next(kind: str) -> None:
    script = vllm_script()
    script.once[CHAT] = [ONE_REQUESTS[kind]]

    async def twice(engine: VllmEngine) -> Completion:
        with pytest.raises(EngineError) as caught:
            await engine.generate(HELLO)
        assert type(caught.value) is EngineError
        return await engine.generate(HELLO)

    assert ask(script, twice).text == "Grüße!"


@pytest.mark.parametrize("kind", [*ONE_REQUESTS, "429", "503"])
def test_a_router_serves_on_whatever_one_server_answers_once(kind: str) -> None:
    """Retried elsewhere, and the requests after it are served."""
    first, second = vllm_script(), vllm_script()
    status, body = ONE_REQUESTS.get(kind) or (int(kind), refusal("busy", int(kind)))
    first.once[CHAT] = [(status, body)]
    policy = Fixed(0)

    async def story(urls: list[str]) -> list[Any]:
        engines = [VllmEngine.connect(name, url) for name, url in zip("ab", urls, strict=True)]
        async with running(engines):
            router = Router(engines, policy, [PRICES] * 2)
            await router.start()
            try:
                asked = [replace(HELLO, id=name) for name in ("r0", "r1", "r2")]
                return [await router.submit(one, Preferences(10.0, 0.1)) for one in asked]
            finally:
                await router.stop()

    with serving(first) as one, serving(second) as two:
        answers = asyncio.run(story([one, two]))
    assert all(isinstance(each, Served) for each in answers)
    assert answers[0].agent == 1
    if not kind.startswith(("429", "503")):
        assert [each.agent for each in answers[1:]] == [0, 0]


def test_a_server_that_everybody_gets_500_from_fails_one_request_alone() -> None:
    scripts = [vllm_script(), vllm_script()]
    for script in scripts:
        script.once[CHAT] = [(500, refusal("internal", 500))]

    async def story(urls: list[str]) -> list[Any]:
        engines = [VllmEngine.connect(name, url) for name, url in zip("ab", urls, strict=True)]
        async with running(engines):
            router = Router(engines, Fixed(0), [PRICES] * 2)
            await router.start()
            try:
                with pytest.raises(EngineError, match=r"failed wherever it was tried: a: .*500.*; b: .*500"):
                    await router.submit(HELLO, Preferences(10.0, 0.1))
                return [await router.submit(replace(HELLO, id=name), Preferences(10.0, 0.1)) for name in ("s", "t")]
            finally:
                await router.stop()

    with serving(scripts[0]) as one, serving(scripts[1]) as two:
        assert [each.agent for each in asyncio.run(story([one, two]))] == [0, 0]


def test_a_server_that_goes_away_is_down_and_one_that_comes_back_is_up() -> None:
    async def story() -> None:
        with serving(vllm_script()) as url:
            engine = VllmEngine.connect("a", url)
            await engine.start()
            assert (await engine.generate(HELLO)).text == "Grüße!"
        port = int(url.rpartition(":")[2])
        # The connection that was kept may break before a new one is refused.
        for _ in range(2):
            with pytest.raises(EngineError) as caught:
                await engine.generate(HELLO)
        assert isinstance(caught.value, EngineDownError)
        with pytest.raises(EngineDownError):
            await engine.tokenize(HELLO.messages)
        with serving(vllm_script(), port) as again:
            assert again == url
            assert (await engine.generate(HELLO)).text == "Grüße!"
        await engine.stop()

    asyncio.run(story())
