"""An engine like vLLM that does what it is told: cheap, honest about what it saw, faulty on demand.

    python -m tests.benchmarks.gateway.fake_engine --port 9001 --name a

Beside OpenAI's paths and vLLM's `/health`, `/tokenize`, `/metrics`, `/version`:

    GET  /_state    requests in flight, served, hung up on; peak of those in flight
    GET  /_seen     requests as they came: path, head and body, base64
    POST /_admin    {"fault": "s503", "times": 2, "pace_ms": 5, "delay_ms": 0, "record": true}; `times` null: for ever
    POST /_reset    forget all of it

A fault comes from the body (`@fault=NAME@`) or from `/_admin`: `s400` .. `s503` statuses; `garbage`, `html`, `gzip`,
`redirect`, `closing`, `plain10` (no length, no chunks), `hints` (103 first); `u2028`, `nousage`, `nulldetails`,
`nullchoices`, `extra`; of streams `half`, `nodone`, `stall`, `errorevent`, `long`, `crlf`, `comments`, `split`,
`midcrash`, `cut`; `reset`, `silence`, `short` (fewer bytes than announced), `crash`.
"""

import argparse
import asyncio
import base64
import gzip
import json
import os
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast

from tests.benchmarks.gateway import answers
from tests.benchmarks.gateway.answers import MODEL, Request
from tests.benchmarks.gateway.wire import dechunk

SERVED = ("/v1/chat/completions", "/v1/completions")
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
STREAM += b"X-Engine: fake\r\n\r\n"
LONG = 48 << 20

METRICS = """# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",num_gpu_blocks="8192",enable_prefix_caching="True"} 1.0
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="fake"} %d
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{model_name="fake"} 0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{model_name="fake"} 0.1
"""


@dataclass
class State:
    """What the process was told and what it saw."""

    name: str
    fault: str | None = None
    times: int | None = None
    pace_ms: float = 0.0
    delay_ms: float = 0.0
    record: bool = False
    in_flight: int = 0
    peak: int = 0
    served: int = 0
    hung_up: int = 0
    trapped: int = 0
    seen: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=4000))

    def take_fault(self, request: Request) -> str | None:
        """What shall go wrong with this request."""
        if "fault" in request.orders:
            return request.orders["fault"]
        if self.fault is None or self.times == 0:
            return None
        if self.times is not None:
            self.times -= 1
        return self.fault


def response(status: int, body: bytes, *lines: str, kind: str = "application/json") -> bytes:
    head = [f"HTTP/1.1 {status} Said", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


class Connection(asyncio.Protocol):
    """One client, one request after another."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.buffer = bytearray()
        self.inside = False
        self.timer: asyncio.TimerHandle | None = None
        self.continued = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        sock: socket.socket = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, error: Exception | None) -> None:
        if self.timer:
            self.timer.cancel()
        if self.inside:
            self.state.hung_up += 1
            self.leave()

    def leave(self) -> None:
        self.inside = False
        self.state.in_flight -= 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while not self.inside and self.take():
            pass

    def take(self) -> bool:
        """Answer the next request in the buffer, if it is whole."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self.buffer[: end + 4])
        lower = head.lower()
        begin = end + 4
        if b"\r\nexpect: 100-continue" in lower and not self.continued:
            self.continued = True
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        at = lower.find(b"\r\ncontent-length:")
        if at >= 0:
            length = int(lower[at + 17 : lower.index(b"\r\n", at + 2)])
            if len(self.buffer) - begin < length:
                return False
            body = bytes(self.buffer[begin : begin + length])
            del self.buffer[: begin + length]
        elif b"\r\ntransfer-encoding:" in lower:
            found = dechunk(bytes(self.buffer[begin:])) if self.buffer.endswith(b"0\r\n\r\n") else None
            if found is None:
                return False
            body = found[0]
            self.buffer = bytearray(found[1])
        else:
            body = b""
            del self.buffer[:begin]
        self.continued = False
        method, target, _ = head.split(b" ", 2)
        path = target.partition(b"?")[0].decode("latin-1")
        self.answer(method.decode(), path, head, body)
        return True

    def answer(self, method: str, path: str, head: bytes, body: bytes) -> None:
        if path in SERVED and method == "POST":
            if self.state.record:
                pair = {"head": base64.b64encode(head).decode(), "body": base64.b64encode(body).decode()}
                self.state.seen.append({"path": path} | pair)
            self.serve(path, body)
            return
        said = self.other(method, path, body)
        if method == "HEAD":
            said = said[: said.index(b"\r\n\r\n") + 4]
        self.transport.write(said)

    def other(self, method: str, path: str, body: bytes) -> bytes:
        state = self.state
        if path == "/v1/models":
            card = {"id": MODEL, "object": "model", "created": 1, "owned_by": "vllm", "root": MODEL}
            return response(200, json.dumps({"object": "list", "data": [card | {"max_model_len": 4194304}]}).encode())
        if path in ("/health", "/ping"):
            return response(200, b"")
        if path == "/version":
            return response(200, b'{"version": "0.32.0"}')
        if path == "/metrics":
            return response(200, (METRICS % state.in_flight).encode(), kind="text/plain; version=0.0.4")
        if path == "/tokenize":
            tokens = list(body[:4096:4])
            return response(
                200, json.dumps({"count": len(tokens), "max_model_len": 4194304, "tokens": tokens}).encode()
            )
        if path == "/_state":
            names = ("name", "in_flight", "peak", "served", "hung_up", "trapped")
            return response(200, json.dumps({name: getattr(state, name) for name in names}).encode())
        if path == "/_seen":
            return response(200, json.dumps(list(state.seen)).encode())
        if path == "/_admin":
            for name, setting in json.loads(body).items():
                setattr(state, name, setting)
            return response(200, b"{}")
        if path == "/_reset":
            state.seen.clear()
            state.fault, state.times, state.pace_ms, state.delay_ms = None, None, 0.0, 0.0
            state.peak, state.served, state.hung_up, state.trapped = state.in_flight, 0, 0, 0
            return response(200, b"{}")
        if path == "/_trap":
            state.trapped += 1
            return response(200, b'{"trap": true}')
        return response(404, answers.error(f"nothing at {path}", 404))

    def serve(self, path: str, body: bytes) -> None:
        state = self.state
        try:
            request = Request.read(path, body)
        except (ValueError, RecursionError) as error:
            self.transport.write(response(400, answers.error(f"1 validation error: {error}", 400)))
            return
        if request.fields.get("model") != MODEL:
            self.transport.write(response(404, answers.error(f"no model {request.fields.get('model')}", 404)))
            return
        self.inside = True
        state.in_flight += 1
        state.peak = max(state.peak, state.in_flight)
        fault = state.take_fault(request)
        steps = list(self.steps(request, fault))
        delay = float(request.orders.get("delay", state.delay_ms)) / 1000
        pace = float(request.orders.get("pace", state.pace_ms)) / 1000
        if not request.stream:
            delay += pace * request.pieces
        if delay or not self.step(steps, pace):
            self.timer = asyncio.get_running_loop().call_later(delay or pace, self.later, steps, pace)

    def later(self, steps: list[bytes | str], pace: float) -> None:
        if not self.step(steps, pace):
            self.timer = asyncio.get_running_loop().call_later(pace, self.later, steps, pace)
        elif not self.inside and self.buffer:
            while not self.inside and self.take():
                pass

    def step(self, steps: list[bytes | str], pace: float) -> bool:
        """Play the next steps, one if there is a pace; true when nothing is left to play."""
        while steps:
            step = steps.pop(0)
            if isinstance(step, bytes):
                self.transport.write(step)
                if pace and steps and isinstance(steps[0], bytes):
                    return False
            elif step == "crash":
                os._exit(9)
            elif step == "silence":
                return True
            elif step == "close":
                self.leave()
                self.transport.close()
                return True
            elif step == "reset":
                self.leave()
                sock: socket.socket = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.abort()
                return True
        self.state.served += 1
        self.leave()
        return True

    def steps(self, request: Request, fault: str | None) -> list[bytes | str]:
        """What is sent, and what is done between."""
        if fault is None:
            return self.good(request)
        if fault in ("crash", "reset", "silence"):
            return [fault]
        if fault[0] == "s" and fault[1:].isdecimal():
            status = int(fault[1:])
            retry = ["Retry-After: 1"] if status in (429, 503) else []
            return [response(status, answers.error(f"{request.tag} refused with {status}", status), *retry)]
        if fault == "redirect":
            return [response(307, b"", "Location: /_trap")]
        if fault == "garbage" and not request.stream:
            return [response(200, b"<html>no json")]
        if request.stream:
            return faulty_stream(request, fault)
        return faulty_answer(request, fault)

    def good(self, request: Request) -> list[bytes | str]:
        if not request.stream:
            return [response(200, json.dumps(answers.whole(request)).encode(), "X-Engine: fake")]
        said = [chunk(event) for event in answers.events(request)]
        return [STREAM + said[0], *said[1:-1], said[-1] + b"0\r\n\r\n"]


def faulty_answer(request: Request, fault: str) -> list[bytes | str]:
    answer = answers.whole(request)
    if fault == "nousage":
        del answer["usage"]
    elif fault == "nulldetails":
        answer["usage"]["prompt_tokens_details"] = None
    elif fault == "nullchoices":
        answer["choices"] = None
    elif fault == "u2028" and request.chat:
        answer["choices"][0]["message"]["content"] = f"{request.tag} a\u2028b\u0085c\u2029d"
    body = json.dumps(answer, ensure_ascii=False).encode()
    if fault == "extra":
        body = body[:-1] + b', "big": 123456789012345678901234567890, "tenth": 1.10}'
    if fault == "html":
        return [response(200, body, kind="text/html")]
    if fault == "gzip":
        return [response(200, gzip.compress(body), "Content-Encoding: gzip")]
    if fault == "closing":
        return [response(200, body, "Connection: close"), "close"]
    if fault == "plain10":
        return [b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body, "close"]
    if fault == "hints":
        return [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + response(200, body)]
    if fault in ("short", "half", "cut"):
        whole = response(200, body)
        return [whole[: len(whole) - len(body) // 2], "close"]
    if fault == "midcrash":
        whole = response(200, body)
        return [whole[: len(whole) - len(body) // 2], "crash"]
    if fault == "stall":
        return ["silence"]
    return [response(200, body)]


def faulty_stream(request: Request, fault: str) -> list[bytes | str]:
    said = answers.events(request)
    first, rest = said[:3], said[3:]
    begun: list[bytes | str] = [STREAM + chunk(first[0]), *(chunk(event) for event in first[1:])]
    if fault in ("half", "short"):
        return [*begun, chunk(rest[0][: len(rest[0]) // 2]), "close"]
    if fault == "cut":
        return [*begun, "close"]
    if fault == "midcrash":
        return [*begun, "crash"]
    if fault == "stall":
        return [*begun, "silence"]
    if fault == "nodone":
        return [*begun, *(chunk(event) for event in rest[:-1]), b"0\r\n\r\n"]
    if fault == "errorevent":
        return [*begun, chunk(b"data: " + answers.error(f"{request.tag} broke", 500) + b"\n\n"), b"0\r\n\r\n"]
    if fault == "garbage":
        return [*begun, chunk(b"data: {no json\n\n"), *(chunk(event) for event in rest), b"0\r\n\r\n"]
    if fault == "long":
        return [*begun, chunk(b'data: {"choices": [], "x": "' + b"x" * LONG + b'"}\n\n'), b"0\r\n\r\n"]
    if fault == "html":
        return [response(200, b"<html>", kind="text/html")]
    pieces = said
    if fault == "u2028":
        pieces = [_spoken(event, f"{request.tag} a\u2028b\u0085c\u2029d") for event in said]
    elif fault == "nullchoices":
        pieces = [*first, b'data: {"id": "x", "object": "chat.completion.chunk", "choices": null}\n\n', *rest]
    elif fault == "nulldetails":
        pieces = [_edited(event, "usage", {"prompt_tokens_details": None}) for event in said]
    elif fault == "nousage":
        pieces = [event for event in said if b'"usage"' not in event]
    elif fault == "extra":
        pieces = [
            event if b"[DONE]" in event else event[:-3] + b', "big": 123456789012345678901234567890, "tenth": 1.10}\n\n'
            for event in said
        ]
    elif fault == "crlf":
        pieces = [event.replace(b"\n", b"\r\n") for event in said]
    elif fault == "comments":
        pieces = [b": keep-alive\n\n" + event for event in said]
    elif fault == "split":
        text = b"".join(said)
        pieces = [text[i : i + 7] for i in range(0, len(text), 7)]
    return [STREAM, *(chunk(piece) for piece in pieces), b"0\r\n\r\n"]


def _spoken(event: bytes, text: str) -> bytes:
    if b'"content": "' not in event:
        return event
    told: dict[str, Any] = json.loads(event[6:])
    told["choices"][0]["delta"]["content"] = text
    return b"data: " + json.dumps(told, ensure_ascii=False).encode() + b"\n\n"


def _edited(event: bytes, member: str, changed: dict[str, Any]) -> bytes:
    if b'"' + member.encode() + b'"' not in event:
        return event
    told = json.loads(event[6:])
    told[member] |= changed
    return b"data: " + json.dumps(told).encode() + b"\n\n"


async def run(port: int, name: str) -> None:
    """Serve for ever."""
    state = State(name)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(state), "127.0.0.1", port, reuse_address=True, backlog=4096
    )
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", default="fake")
    asked = parser.parse_args()
    try:
        import uvloop  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        asyncio.run(run(asked.port, asked.name))
    else:
        uvloop.run(run(asked.port, asked.name))


if __name__ == "__main__":
    main()
