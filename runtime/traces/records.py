"""What a trace holds: a head that says who served, then a record for every request that ended, in the order they ended.

Where an agent joined a head stands again, with all agents so far: numbers stay what they were.

Times are seconds since the trace began, money micro-units, prompts are known by length and by salted hashes of their
beginnings alone, unless text was asked for.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

#: Pieces of a prompt (four bytes each) that a block has.
BLOCK = 32

Seconds = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class Record(BaseModel):
    """A part of a trace; what it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Agent(Record):
    """Who serves: an agent as its engine reported it; `prices` in credits per token."""

    name: str
    model: str
    simulated: bool
    block_size: Positive
    cache_blocks: Positive
    max_model_len: Positive
    slots: Positive
    prices: tuple[Amount, Amount, Amount]


class Head(Record):
    """The first line, and wherever an agent joined: when it began (Unix time), who serves, by which rules."""

    iemas_trace: Literal[1]
    began: Seconds
    block: Positive
    agents: Annotated[tuple[Agent, ...], Field(min_length=1)]
    policy: str
    window_s: Amount
    max_batch: Positive
    patience_s: Amount
    depth: Positive | None


class Stated(Record):
    """What a request was worth to its bidder, as reported; no deadline is None."""

    worth: Amount
    delay_cost: Amount
    deadline_s: Amount | None
    stake: Amount


class Predicted(Record):
    """What the policy expected of it on the agent it chose; `cached` None where it does not say."""

    latency_s: Seconds
    cost: Seconds
    quality: Seconds
    cached: Count | None


class Measured(Record):
    """What serving it took; seconds are from dispatch."""

    prompt: Count
    cached: Count
    output: Count
    first_token_s: Seconds
    latency_s: Seconds


class Recorded(Record):
    """One request.

    `agents` are those that could serve its model. `blocks` are chained hashes: two requests have k of them in common
    where their prompts begin with the same k blocks of pieces. `decided_s`, `dispatched_s` and `first_token_s` are of
    the last try.
    """

    id: str
    bidder: str
    asked: str | None
    agents: Annotated[tuple[Count, ...], Field(min_length=1)]
    at_s: Seconds
    stream: bool
    turn: Count
    max_tokens: Positive
    stated: Stated
    stated_by: dict[str, str]
    max_price: Amount | None
    pieces: Count
    blocks: tuple[Hash, ...]
    text: str | None
    outcome: Literal["served", "declined", "failed", "abandoned"]
    code: str
    round: Positive | None
    agent: Count | None
    tries: Count
    decided_s: Seconds | None
    dispatched_s: Seconds | None
    first_token_s: Seconds | None
    ended_s: Seconds
    charge: int
    cost: int
    receipt: int
    predicted: Predicted | None
    measured: Measured | None
