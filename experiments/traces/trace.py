"""`RequestTrace`: arrivals with the lengths of prompts and answers, and with the blocks that prompts share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from experiments.errors import DatasetError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TraceStats:
    """A trace in numbers; tokens are means over requests, `hit_ceiling` as the method of that name."""

    requests: int
    seconds: float
    per_s: float
    prompt_tokens: float
    prompt_tokens_p95: float
    output_tokens: float
    output_tokens_p95: float
    conversations: int
    bidders: int
    hit_ceiling: float | None


@dataclass(frozen=True, slots=True, eq=False)
class RequestTrace:
    """N requests in the order of their arrival.

    Args:
        title: what tables print; it names the file and how it was cut.
        at_s: (N,) seconds from the start, never decreasing.
        prompt_tokens: (N,), 1 at least.
        output_tokens: (N,), 0 at least.
        blocks: for each request the ids of its prompt's blocks of `block` tokens, the last of which may be begun
            only. Two prompts that have a block's id in common are equal up to its end. None where nothing is
            known of what prompts share.
        block: tokens of a block; 0 without `blocks`.
        conversation: N names, empty where a request belongs to none; None where the source has none.
        bidder: N names; None where the source has none.
        worth: (N,) credits of a right answer; None where the source has none.
        delay_cost: (N,) credits of a second's delay; None where the source has none.
        licence: the source's.
        sha256: of the bytes that were read.
        layout: the format they were in.

    Raises:
        DatasetError: there is no request, shapes differ, a number is out of range, a time lies before the one that it
            follows, or a prompt has more or fewer blocks than its tokens fill.
    """

    title: str
    at_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    blocks: tuple[Ints, ...] | None = None
    block: int = 0
    conversation: tuple[str, ...] | None = None
    bidder: tuple[str, ...] | None = None
    worth: Floats | None = None
    delay_cost: Floats | None = None
    licence: str = ""
    sha256: str = ""
    layout: str = ""

    def __post_init__(self) -> None:
        size = len(self.at_s)
        if size == 0:
            raise DatasetError(f"{self.title} has no request")
        for name, kind, least in (
            ("at_s", np.float64, 0.0),
            ("prompt_tokens", np.int64, 1),
            ("output_tokens", np.int64, 0),
            ("worth", np.float64, 0.0),
            ("delay_cost", np.float64, 0.0),
        ):
            found = getattr(self, name)
            if found is None:
                continue
            held = np.array(found, kind)
            held.flags.writeable = False
            object.__setattr__(self, name, held)
            if held.shape != (size,):
                raise DatasetError(f"{self.title}: {name} has the shape {held.shape}; expected ({size},)")
            self._refuse(~(np.isfinite(held) & (held >= least)), f"{name} is %s; expected {least:g} or more", held)
        self._refuse(np.diff(self.at_s, prepend=0.0) < 0, "at_s is %s, before the one that it follows", self.at_s)
        for name in ("conversation", "bidder"):
            names = getattr(self, name)
            if names is not None and len(names) != size:
                raise DatasetError(f"{self.title}: {name} has {len(names)} names for {size} requests")
        if self.blocks is not None:
            self._check_blocks(self.blocks)

    def _check_blocks(self, blocks: tuple[Ints, ...]) -> None:
        if self.block < 1 or len(blocks) != len(self):
            raise DatasetError(
                f"{self.title}: {len(blocks)} lists of blocks of {self.block} tokens for {len(self)} requests"
            )
        wanted = -(-self.prompt_tokens // self.block)
        found = np.fromiter(map(len, blocks), np.int64, len(blocks))
        self._refuse(
            found != wanted, f"it has %s blocks of {self.block} tokens, which is not what its prompt fills", found
        )

    def _refuse(self, bad: Mask, why: str, values: NDArray[Any]) -> None:
        if bad.any():
            k = int(bad.argmax())
            raise DatasetError(f"{self.title}, request {k}: {why % values[k]}")

    def __len__(self) -> int:
        return len(self.at_s)

    @property
    def seconds(self) -> float:
        """From the start to the last arrival."""
        return float(self.at_s[-1])

    def first(self, n: int) -> Self:
        """The first `n` requests; the trace itself if it has no more.

        Raises:
            DatasetError: that would leave none.
        """
        return self if n >= len(self) else self._part(slice(0, max(n, 0)), f"first {n} of {len(self)} requests")

    def between(self, start_s: float, end_s: float) -> Self:
        """The requests from `start_s` on and before `end_s`; `start_s` becomes 0.

        Raises:
            DatasetError: that would leave none.
        """
        begin, end = np.searchsorted(self.at_s, [start_s, end_s])
        part = self._part(slice(int(begin), int(end)), f"from {start_s:g} s to {end_s:g} s")
        return replace(part, at_s=part.at_s - start_s)

    def scaled(self, rate: float) -> Self:
        """The same requests, arriving `rate` times as fast.

        Raises:
            DatasetError: it is no positive number.
        """
        if not (np.isfinite(rate) and rate > 0):
            raise DatasetError(f"{self.title} cannot arrive {rate:g} times as fast; give a positive number")
        return (
            self if rate == 1 else replace(self, title=f"{self.title}, {rate:g} times as fast", at_s=self.at_s / rate)
        )

    def clipped(self, max_prompt: int) -> Self:
        """Every prompt cut after `max_prompt` tokens, for short windows; the trace itself if none is longer.

        Raises:
            DatasetError: `max_prompt` is below 1.
        """
        if max_prompt < 1:
            raise DatasetError(f"{self.title}: prompts cannot be cut to {max_prompt} tokens; give 1 or more")
        if int(self.prompt_tokens.max()) <= max_prompt:
            return self
        most = -(-max_prompt // self.block) if self.block else 0
        return replace(
            self,
            title=f"{self.title}, prompts cut to {max_prompt} tokens",
            prompt_tokens=np.minimum(self.prompt_tokens, max_prompt),
            blocks=None if self.blocks is None else tuple(ids[:most] for ids in self.blocks),
        )

    def hit_ceiling(self) -> float | None:
        """The share of all prompt tokens that one unbounded cache, shared by all engines, would have seen before.

        What a block holds is in the cache as soon as its request has arrived. None where nothing is known of what
        prompts share.
        """
        found = seen_before([self])
        return None if found is None else found[0] / found[1]

    def stats(self) -> TraceStats:
        """The trace in numbers."""
        return TraceStats(
            requests=len(self),
            seconds=self.seconds,
            per_s=len(self) / self.seconds if self.seconds else 0.0,
            prompt_tokens=float(self.prompt_tokens.mean()),
            prompt_tokens_p95=float(np.quantile(self.prompt_tokens, 0.95)),
            output_tokens=float(self.output_tokens.mean()),
            output_tokens_p95=float(np.quantile(self.output_tokens, 0.95)),
            conversations=len(set(self.conversation or ()) - {""}),
            bidders=len(set(self.bidder or ()) - {""}),
            hit_ceiling=self.hit_ceiling(),
        )

    def flat(self) -> tuple[Ints, Ints] | None:
        """All ids of blocks one after another, and of how many tokens each is; None where they are not known."""
        if self.blocks is None:
            return None
        lengths = np.fromiter(map(len, self.blocks), np.int64, len(self.blocks))
        tokens = np.full(int(lengths.sum()), self.block, np.int64)
        tokens[np.cumsum(lengths) - 1] = self.prompt_tokens - (lengths - 1) * self.block
        return np.concatenate(self.blocks), tokens

    def _part(self, chosen: slice, how: str) -> Self:
        at_s = self.at_s[chosen]
        if not len(at_s):
            raise DatasetError(f"{self.title}: nothing is left of it, {how}; it has {len(self)} in {self.seconds:g} s")

        def cut(of: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return None if of is None else of[chosen]

        return replace(
            self,
            title=f"{self.title}, {how}",
            at_s=at_s,
            prompt_tokens=self.prompt_tokens[chosen],
            output_tokens=self.output_tokens[chosen],
            blocks=None if self.blocks is None else self.blocks[chosen],
            conversation=cut(self.conversation),
            bidder=cut(self.bidder),
            worth=None if self.worth is None else self.worth[chosen],
            delay_cost=None if self.delay_cost is None else self.delay_cost[chosen],
        )


def seen_before(traces: Sequence[RequestTrace]) -> tuple[int, int] | None:
    """Tokens that one unbounded cache would have seen before, and all, of the prompts of traces.

    None where nothing is known of what prompts share.

    Args:
        traces: whose ids of blocks mean the same: parts of one file.
    """
    flat = [one.flat() for one in traces]
    if None in flat:
        return None
    ids, tokens = (np.concatenate(some) for some in zip(*flat, strict=True))
    _, first = np.unique(ids, return_index=True)
    return int(tokens.sum() - tokens[first].sum()), int(tokens.sum())


def continued(prompt_tokens: Ints, conversation: tuple[str, ...], block: int) -> tuple[Ints, ...]:
    """Blocks for requests of which only lengths and conversations are known.

    The rule: a request of a conversation begins with the whole prompt of the one before it in that conversation, or, if
    its own is shorter, with as much of it. It shares the blocks that lie whole in both, and all where both are as
    long. Nothing else is shared: not answers, and nothing between conversations. Requests without a name are alone.
    """
    last: dict[str, tuple[int, Ints]] = {}
    found: list[Ints] = []
    unused = 0
    for tokens, name in zip(prompt_tokens.tolist(), conversation, strict=True):
        length = -(-tokens // block)
        before, ids = last.get(name, (0, np.empty(0, np.int64))) if name else (0, np.empty(0, np.int64))
        shared = length if before == tokens else min(before, tokens) // block
        fresh = np.arange(unused, unused + length - shared, dtype=np.int64)
        unused += length - shared
        own = np.concatenate([ids[:shared], fresh])
        if name:
            last[name] = (tokens, own)
        found.append(own)
    return tuple(found)
