"""A small HTTP server that answers as vLLM 0.32 does, and can be set to answer badly."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

METRICS = """\
# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="32",cache_dtype="auto",engine="0",num_gpu_blocks="364",note="a \\"b\\""} 1.0
vllm:prefix_cache_queries_total{engine="0",model_name="tiny"} 399.0
vllm:prefix_cache_hits_total{engine="0",model_name="tiny"} 224.0
vllm:prompt_tokens_total{engine="0",model_name="tiny"} 399.0
vllm:prompt_tokens_total{engine="1",model_name="tiny"} 1.0
vllm:generation_tokens_total{engine="0",model_name="tiny"} 4.8e+01
"""


def refusal(message: str, code: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": "BadRequestError", "param": None, "code": code}}


def chunk(**fields: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "tiny",
        "choices": [],
    } | fields


def delta(text: str, tokens: list[int] | None = None, finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": {"content": text}, "finish_reason": finish, "token_ids": tokens}


def usage(cached: int | None) -> dict[str, Any]:
    details = None if cached is None else {"cached_tokens": cached}
    return {"prompt_tokens": 4, "total_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": details}


def stream(cached: int | None = 2) -> list[dict[str, Any]]:
    role = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    return [
        chunk(choices=[role], prompt_token_ids=[5, 6, 7, 8]),
        chunk(choices=[delta("", [40])]),
        chunk(choices=[delta("Grüße", [41])]),
        chunk(choices=[delta("!", [2], "stop")]),
        chunk(usage=usage(cached)),
    ]


@dataclass
class Script:
    """What the server answers to each path: (status, body); the chat's body is a list of chunks, or a refusal.

    `once` are answers to the next questions, before those; `headers` go with every answer. An answer of None hangs up.
    `pieces` cuts bodies into writes of so many bytes.
    """

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    once: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    pieces: int | None = None
    questions: list[tuple[str, Any, str | None]] = field(default_factory=list)

    def answer(self, path: str, status: int, body: Any) -> None:
        self.answers[path] = (status, body)


def vllm_script() -> Script:
    return Script(
        {
            "/health": (200, ""),
            "/v1/models": (200, {"object": "list", "data": [{"id": "tiny", "max_model_len": 2048}]}),
            "/metrics": (200, METRICS),
            "/tokenize": (200, {"count": 4, "max_model_len": 2048, "tokens": [5, 6, 7, 8]}),
            "/v1/chat/completions": (200, stream()),
        }
    )


@contextmanager
def serving(script: Script, port: int = 0) -> Iterator[str]:
    """Serve the script on a free port, or a certain one; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(None)

        def do_POST(self) -> None:
            self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _reply(self, question: Any) -> None:
            script.questions.append((self.path, question, self.headers.get("Authorization")))
            first = script.once.get(self.path)
            status, body = first.pop(0) if first else script.answers.get(self.path, (404, {"detail": "Not Found"}))
            if body is None:
                self.close_connection = True
                return
            if isinstance(body, list):
                events = [f"data: {json.dumps(each, ensure_ascii=False)}\n\n" for each in body]
                data = "".join([*events, "data: [DONE]\n\n"]).encode()
            else:
                data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            for name, value in script.headers.items():
                self.send_header(name, value)
            self.end_headers()
            size = script.pieces or len(data) or 1
            for start in range(0, len(data), size):
                self.wfile.write(data[start : start + size])
                self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
