"""What a server's status means, and whose fault it is."""

import copy
from collections.abc import Mapping
from math import isfinite
from typing import TypeVar

from runtime.engines.chunks import reason_of
from runtime.errors import Broken, Busy, EngineError, ModelError, Refused, RequestError

E = TypeVar("E", bound=BaseException)
_KEYS = (401, 403, 407)
_BUSY = (429, 503)
#: A request timed out on its way, or came too early: nothing is wrong with it.
_NOT_ITS_FAULT = (408, 425)
#: Refusals that hold anywhere: malformed, too long, impossible.
_ANYWHERE = (400, 413, 422)


def refusal(where: str, status: int, body: bytes, headers: Mapping[str, str]) -> Refused | EngineError:
    """The error that an answer with this status means; 401 is no `Refused`, for the key is the operator's."""
    reason = reason_of(body)
    if status in _KEYS:
        return EngineError(f"{where} wants another API key ({status}): pass api_key")
    if status in _BUSY:
        return Busy(f"{where} takes no more for now ({status}): {reason}", retry_after_s(headers))
    if status == 404:
        return Refused(f"{where} does not know what was asked ({reason}); is it a vLLM server?", status, body)
    if 400 <= status < 500 and status not in _NOT_ITS_FAULT:
        return Refused(f"{where} cannot serve this request: {reason}", status, body)
    if 300 <= status < 400:
        return EngineError(f"{where} redirects ({status}), which is not followed; give the address it redirects to")
    return EngineError(f"{where} failed with status {status}: {reason}")


def of_one_attempt(where: str, error: Refused | Broken) -> EngineError | RequestError | ModelError:
    """The error for who saw nothing of an answer that failed, so that the request may be tried elsewhere."""
    meant: Exception = error
    if isinstance(error, Broken):
        meant = EngineError(str(error)) if error.status is None else refusal(where, error.status, error.body, {})
    if "chat template" in str(meant):
        return ModelError(
            f"the model behind {where} has no chat template: serve an instruction-tuned model, "
            "or start vLLM with --chat-template"
        )
    if isinstance(meant, Refused):
        return meant if meant.status in _ANYWHERE else EngineError(str(meant))
    assert isinstance(meant, EngineError)
    return meant


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds after which a busy server wants to be asked again, at most 60; 1 where it does not say so in seconds."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if isfinite(seconds):
            return min(max(seconds, 0.0), 60.0)
    return 1.0


def reworded(error: E, message: str) -> E:
    """The same error with another message."""
    again = copy.copy(error)
    again.args = (message,)
    return again
