"""A world small enough to be worked out by hand: agents whose speed, skill and cache follow plain formulas.

An agent computes one prompt at a time, in seconds

    slowness * (0.1 + 0.006 u + 0.000003 u (prompt + cached) / 2 + 0.015 s + 0.05 [others are decoding])

where u tokens are not cached and s sequences are in flight, itself included. From dispatch a request stays `stay_s`
seconds, whatever is asked. Every answer has `ANSWER` tokens. Nothing here asks the policy what it believes: it is told
the events of what happens, as a router would tell it.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from mechanisms import Preferences
from prediction import TokenPrices
from proofs import AuditError
from runtime import (
    Agent,
    Arrived,
    Completion,
    Decided,
    Dispatched,
    EngineInfo,
    Event,
    FirstToken,
    Fleet,
    Job,
    Message,
    Offer,
    Policy,
    Prediction,
    Request,
    Served,
)

#: Tokens of every answer, and of a cache block.
ANSWER = 4
BLOCK = 4
# Tokens of answers are none of a prompt's.
_ANSWERS = 10**9

Tokens = tuple[int, ...]

_PRICES = TokenPrices(0.05, 0.005, 0.1)


@dataclass(frozen=True, slots=True)
class AgentLaw:
    """What an agent truly is: prices in credits a token, `skill` the chance of a right answer, `slots` its capacity."""

    prices: TokenPrices = _PRICES
    slowness: float = 4.0
    skill: float = 0.5
    slots: int = 8
    stay_s: float = 3.0

    def seconds(self, prompt: int, cached: int, sequences: int, beside_decoding: bool) -> float:
        """To compute a prompt, up to its first token."""
        fresh = prompt - cached
        rest = 0.05 if beside_decoding else 0.0
        pairs = fresh * (prompt + cached) / 2
        return self.slowness * (0.1 + 0.006 * fresh + 3e-6 * pairs + 0.015 * sequences + rest)

    def cost(self, prompt: int, cached: int, output: float) -> float:
        """Credits that a request costs the agent."""
        return self.prices.fresh * (prompt - cached) + self.prices.cached * cached + self.prices.output * output


@dataclass(frozen=True, slots=True)
class Asked:
    """A request before anybody reports anything: whose, which tokens, how many seconds ago it arrived."""

    bidder: str
    tokens: Tokens
    waited_s: float = 0.0
    max_tokens: int = 2 * ANSWER
    turn: int = 0


@dataclass(slots=True, eq=False)
class Work:
    """A request at an agent."""

    offer: Offer
    agent: int
    note: object
    predicted: Prediction | None
    charge: int
    cached: int
    decided_s: float
    sent_s: float
    first_s: float
    done_s: float
    right: bool

    @property
    def prompt(self) -> int:
        """Tokens of its prompt."""
        return len(self.offer.tokens[self.agent])


@dataclass(slots=True, eq=False)
class World:
    """The true world, and the one policy that is told what happens in it.

    `lines` holds each agent's work that is not done, `held` the token sequences that each has cached.
    """

    laws: tuple[AgentLaw, ...]
    policy: Policy
    now_s: float = 0.0
    lines: list[list[Work]] = field(default_factory=list)
    held: list[list[Tokens]] = field(default_factory=list)
    alive: list[bool] = field(default_factory=list)
    agents: tuple[Agent, ...] = ()
    _past: list[list[Work]] = field(default_factory=list)
    _stepped: list[float] = field(default_factory=list)
    _agenda: list[tuple[float, int, str, Work]] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        self.agents = tuple(
            Agent(f"agent {j}", EngineInfo(f"model-{j}", BLOCK, 10_000, 1_000, law.slots, "plain", True), law.prices,
                  law.slots, depth=1)
            for j, law in enumerate(self.laws)
        )  # fmt: skip
        self.lines, self.held, self._past = [[] for _ in self.laws], [[] for _ in self.laws], [[] for _ in self.laws]
        self.alive, self._stepped = [True] * len(self.laws), [-inf] * len(self.laws)
        self.policy.attach(self.agents)

    def offer(self, asked: Asked, preferences: Preferences) -> Offer:
        """A request of now, as its bidder reports it."""
        self._count += 1
        message = Message("user", " ".join(map(str, asked.tokens)))
        request = Request(f"r{self._count}", asked.bidder, (message,), asked.max_tokens)
        return Offer(
            request, preferences, (asked.tokens,) * len(self.laws), asked.turn, self.now_s - asked.waited_s, frozenset()
        )

    def fleet(self, alive: Sequence[bool] | None = None) -> Fleet:
        """What is public now."""
        jobs = tuple(
            tuple(
                Job(
                    work.note,
                    work.sent_s if work.sent_s <= self.now_s else None,
                    work.first_s if work.first_s <= self.now_s else None,
                )
                for work in line
            )
            for line in self.lines
        )
        return Fleet(
            self.agents, np.array(self.alive if alive is None else alive), jobs, self.now_s, np.array(self._stepped)
        )

    def cached(self, tokens: Tokens, agent: int) -> int:
        """Tokens of a prompt that an agent holds: whole blocks, and never the last token."""
        longest = (len(tokens) - 1) // BLOCK
        return BLOCK * max((min(_common(tokens, held) // BLOCK, longest) for held in self.held[agent]), default=0)

    def give(self, asked: Asked, preferences: Preferences, agent: int, *, right: bool, measured: bool = True) -> None:
        """A request of the past: one agent alone is up when it is decided, so that any policy gives it to that one.

        `measured` is false for those decided before anything could be known, whose prediction is not held against it.

        Raises:
            AuditError: the policy does not serve it even at a worth of a million.
        """
        offer = self.offer(asked, preferences)
        alone = [j == agent for j in range(len(self.laws))]
        self.policy.notice(Arrived(self.now_s, offer))
        # What was asked then is a given; a note must not depend on the report, so any report will do to get one.
        rich = replace(offer, preferences=Preferences(1e6, 0.0))
        decision = self.policy.decide([rich], self.fleet(alone))
        if int(decision.agents[0]) != agent:
            raise AuditError(
                f"{self.policy.name} does not serve a request worth 1e6 at the only agent that is up "
                f"(decided {int(decision.agents[0])}, expected {agent}); it cannot be given a past"
            )
        predicted = decision.predicted[0] if decision.predicted and measured else None
        note = decision.notes[0] if len(decision.notes) else None
        cost = self.laws[agent].cost(len(asked.tokens), self.cached(asked.tokens, agent), min(ANSWER, asked.max_tokens))
        # They paid what they cost, so that nothing is spent on exploring yet.
        self.place(offer, agent, note, predicted, math.ceil(cost * 1e6 - 1e-6), right=right)

    def place(
        self, offer: Offer, agent: int, note: object, predicted: Prediction | None, charge: int, *, right: bool
    ) -> None:
        """Put a request last in an agent's line; when it is sent, answered and done follows from what is before it."""
        law, before = self.laws[agent], self._past[agent]
        tokens = tuple(offer.tokens[agent])
        cached = self.cached(tokens, agent)
        freed = sorted(work.done_s for work in before)
        sent = max(
            self.now_s,
            before[-1].first_s if before else -inf,
            freed[-law.slots] if len(freed) >= law.slots else -inf,
        )
        decoding = sum(work.first_s <= sent < work.done_s for work in before)
        first = sent + law.seconds(len(tokens), cached, decoding + 1, decoding > 0)
        work = Work(
            offer, agent, note, predicted, charge, cached, self.now_s, sent, first, max(sent + law.stay_s, first), right
        )
        before.append(work)
        self.lines[agent].append(work)
        for at, kind in ((work.sent_s, "sent"), (work.first_s, "first"), (work.done_s, "done")):
            heapq.heappush(self._agenda, (at, len(before) + 1000 * self._count, kind, work))
        self.policy.notice(Decided(self.now_s, offer, agent, charge, predicted, note))
        self.advance(self.now_s)

    def advance(self, until_s: float) -> None:
        """Let everything happen that is due."""
        while self._agenda and self._agenda[0][0] <= until_s:
            at, _, kind, work = heapq.heappop(self._agenda)
            self.now_s = max(self.now_s, at)
            self.policy.notice(self._happened(at, kind, work))
        self.now_s = until_s

    def _happened(self, at: float, kind: str, work: Work) -> Event:
        agent, offer = work.agent, work.offer
        if kind == "sent":
            decoding = sum(one.first_s <= at < one.done_s for one in self.lines[agent] if one is not work)
            return Dispatched(at, offer, agent, decoding, work.note)
        if kind == "first":
            self._stepped[agent] = at
            return FirstToken(at, offer, agent, work.note)
        self.lines[agent].remove(work)
        output = min(ANSWER, offer.request.max_tokens)
        answered = (*offer.tokens[agent], *range(_ANSWERS, _ANSWERS + output))
        # The last token of an answer is never computed, so nothing of it is held.
        self.held[agent].append(answered[:-1])
        cost = round(self.laws[agent].cost(work.prompt, work.cached, output) * 1e6)
        took = Completion("", work.prompt, work.cached, output, work.first_s - work.sent_s, at - work.sent_s, answered)
        return Served(
            at, offer, agent, took, work.decided_s, work.sent_s, work.charge, cost, cost,
            1.0 if work.right else 0.0, work.predicted, work.note,
        )  # fmt: skip


def _common(one: Tokens, other: Tokens) -> int:
    for k, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return k
    return min(len(one), len(other))
