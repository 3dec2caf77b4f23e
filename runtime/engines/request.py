"""What goes into an engine and what comes out: a `Request` of `Message`s, a measured `Completion`."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """One turn that a bidder wants answered.

    `messages` is the whole conversation so far, ending with the new message of role `user`. `dialogue` and `turn` say
    where it came from; nothing in the auction trusts them (a client could claim any). `stream` says that the answer is
    seen token by token, `choices` how many answers are wanted, each of `max_tokens` at most and
    `least_tokens` at least; 0 where there are none, as of embeddings. `key` names the bidder's key whose spending the
    books count; nothing else reads it.
    """

    id: str
    bidder: str
    messages: tuple[Message, ...]
    max_tokens: int = 64
    dialogue: str = ""
    turn: int = 0
    stream: bool = True
    choices: int = 1
    key: str | None = None
    least_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine measured while serving one request.

    Token counts are the engine's own; `first_token_s` (time to first token) and `latency_s` (to the last
    token) are seconds from dispatch, on the engine's clock. `token_ids` holds prompt then output as the engine
    tokenised them, or is empty where the engine does not report them. Where an answer came whole (`streamed` is False)
    nobody saw its first token, and `first_token_s` is `latency_s`.
    """

    text: str
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    first_token_s: float
    latency_s: float
    token_ids: tuple[int, ...] = ()
    finish_reason: str = "stop"
    streamed: bool = True
