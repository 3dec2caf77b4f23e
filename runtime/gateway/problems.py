"""What a client is told when it is not served: OpenAI's error schema, and whether trying again may help.

Every answer that is no completion says `x-should-retry`, which OpenAI's own clients honour before their rules by
status, and `retry-after-ms` where a time is known. What an engine says about a request (4xx) goes on as it came.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from runtime.errors import (
    Broken,
    Busy,
    CutOff,
    EngineError,
    FailedEverywhereError,
    InsufficientError,
    LedgerBusyError,
    LedgerError,
    Left,
    RequestError,
    ServingError,
    Stopped,
    UncoveredError,
)
from runtime.events import Declined

#: Headers that describe one connection or an encoding undone on the way; they are the server's own business.
_NOT_PASSED = frozenset(
    (
        "connection", "content-length", "date", "keep-alive", "proxy-authenticate", "server", "set-cookie", "te",
        "trailer", "transfer-encoding", "upgrade", "x-should-retry",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer: status, headers as they are sent, body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(eq=False)
class Problem(ServingError):  # noqa: N818
    """Why a request has no completion, as a client sees it.

    Args:
        status: of HTTP.
        message: what is wrong and what to do, in one line.
        code: a word for programs.
        type: the family, in OpenAI's words.
        param: the member of the body or the header that is at fault, if one is.
        retry: whether the same request may fare better later.
        retry_after_s: when, if that is known.
        headers: more headers, such as `www-authenticate`.

    Example:
        >>> Problem(404, "none", "model_not_found", param="model").body()
        b'{"error":{"message":"none","type":"invalid_request_error","param":"model","code":"model_not_found"}}'
    """

    status: int
    message: str
    code: str
    type: str = "invalid_request_error"
    param: str | None = None
    retry: bool = False
    retry_after_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message

    def body(self) -> bytes:
        """The answer's body: one JSON object, ASCII."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return json.dumps({"error": error}, separators=(",", ":")).encode()

    def response(self) -> Response:
        """The whole answer, for a request of which nothing was sent back yet."""
        body = self.body()
        headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        headers.append(("x-should-retry", "true" if self.retry else "false"))
        if self.retry_after_s is not None:
            headers.append(("retry-after-ms", str(ceil(1000 * self.retry_after_s))))
            headers.append(("retry-after", str(max(1, ceil(self.retry_after_s)))))
        headers.extend(self.headers.items())
        return Response(
            self.status, tuple((name.encode("latin-1"), text.encode("latin-1")) for name, text in headers), body
        )

    def event(self, name: str | None = None) -> bytes:
        """The same as an event of a stream that began already; it is the last, no `[DONE]` follows.

        Args:
            name: the event's name, for the streams whose events have names (`error`).
        """
        return (b"" if name is None else b"event: " + name.encode() + b"\n") + b"data: " + self.body() + b"\n\n"


def invalid(message: str, param: str | None = None, code: str = "invalid_value") -> Problem:
    """400: the request can never be served as it is."""
    return Problem(400, message, code, param=param)


def unauthorised(message: str = "no valid key; send one as `Authorization: Bearer KEY`") -> Problem:
    """401: no key, or one that nobody has."""
    return Problem(401, message, "invalid_api_key", "authentication_error", headers={"www-authenticate": "Bearer"})


def bid_too_low(message: str) -> Problem:
    """402: served by nobody at this value, now or later; the client would have to report more."""
    return Problem(402, message, "bid_too_low", "bid_too_low", param="iemas")


def unknown_model(message: str) -> Problem:
    """404: no model, pool or agent of that name."""
    return Problem(404, message, "model_not_found", param="model")


def unknown_path(path: str) -> Problem:
    """404: nothing is served there."""
    return Problem(404, f"nothing is served at {path}; see /v1/models and /v1/chat/completions", "unknown_url")


def wrong_method(method: str, allowed: str) -> Problem:
    """405: the path is there, and not for this."""
    message = f"there is no {method[:20]} here; send {allowed}"
    return Problem(405, message, "method_not_allowed", headers={"allow": allowed})


def too_large(limit: int) -> Problem:
    """413: the body has more bytes than the operator allows."""
    return Problem(413, f"the body has more than {limit} bytes, the most that is taken here", "body_too_large")


def queue_full(message: str = "too many requests wait already", retry_after_s: float = 1.0) -> Problem:
    """429: too many are inside already; the message says by which limit."""
    message = f"{message}; wait until one has ended, or try again in a moment"
    return Problem(429, message, "queue_full", "rate_limit_error", retry=True, retry_after_s=retry_after_s)


def rate_limited(message: str, retry_after_s: float) -> Problem:
    """429: the key has used what it may in this time."""
    return Problem(429, message, "rate_limit_exceeded", "rate_limit_error", retry=True, retry_after_s=retry_after_s)


def insufficient_quota(message: str) -> Problem:
    """429: the account's free balance does not cover the reported value; waiting does not help."""
    return Problem(429, message, "insufficient_quota", "insufficient_quota")


def no_room(message: str, retry_after_s: float = 1.0) -> Problem:
    """503: nobody has capacity just now."""
    return Problem(503, message, "no_capacity", "server_error", retry=True, retry_after_s=retry_after_s)


def too_late(message: str) -> Problem:
    """504: the request's own deadline passed, or the operator's; trying again would start a new one."""
    return Problem(504, message, "deadline_passed", "timeout_error")


def broken_off(message: str = "the engine broke off; nothing is charged") -> Problem:
    """502: an engine died in the middle; mostly told as an event."""
    return Problem(502, message, "engine_failed", "server_error")


def problem_of(outcome: BaseException | Declined) -> Problem:
    """What a client is told of an error of ours, or of a request that was declined.

    Texts about engines are not told, they may hold addresses and lines of logs; what is no error of ours is 500.

    Example:
        >>> problem_of(EngineError("agent small cannot be reached")).status
        503
    """
    if isinstance(outcome, Problem):
        return outcome
    if isinstance(outcome, Declined):
        return _declined(outcome)
    match outcome:
        case RequestError():
            return invalid(str(outcome), code="invalid_request")
        case Busy():
            return no_room("every agent that could serve this is busy", outcome.retry_after_s)
        case LedgerBusyError():
            return no_room("the books cannot be written just now")
        case UncoveredError():
            return insufficient_quota(
                "the account has too little left for what this is reported to be worth, beside what its other requests "
                "may come to; credit it, or lower max_price or worth"
            )
        case InsufficientError():
            return insufficient_quota("the account has too little left for what this would cost; it needs more credit")
        case LedgerError():
            return Problem(409, str(outcome), "conflict")
        case FailedEverywhereError():
            # Likely the cause itself: its client must not try on.
            return Problem(502, "the request failed wherever it was tried", "engine_failed", "server_error")
        case CutOff():
            return broken_off(str(outcome))
        case Broken():
            return broken_off()
        case Stopped():
            return no_room("the gateway is being stopped; ask another, or again in a moment")
        case Left():
            return no_room("the agents that serve this model were taken out of the fleet; see /v1/models for others")
        case EngineError():
            return no_room("no agent can be reached just now")
        case TimeoutError():
            return too_late("no answer within the operator's time limit")
    return Problem(500, "an error of ours; the operator's log has it", "internal_error", "server_error")


def passed_on(status: int, headers: Mapping[str, str], body: bytes) -> Response:
    """An engine's own answer to a request that it refuses (4xx), its body byte for byte.

    Its `content-length` is the body's, headers of the connection are left out, and a refusal is not worth a retry.
    """
    kept = [(name.lower(), text) for name, text in headers.items() if name.lower() not in _NOT_PASSED]
    kept += [("content-length", str(len(body))), ("x-should-retry", "false")]
    return Response(status, tuple((name.encode("latin-1"), text.encode("latin-1")) for name, text in kept), body)


def _declined(declined: Declined) -> Problem:
    if declined.code == "too_low":
        return bid_too_low(f"{declined.reason}; report a higher worth, or ask a cheaper model")
    if declined.code == "late":
        return too_late(f"{declined.reason}; allow more time, or ask for an agent with less to do")
    return no_room(declined.reason)
