"""`State`: a fleet with a past, and the requests of one round whose reports are to be enumerated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import inf

from experiments.audits.reference import Reference
from experiments.audits.world import AgentLaw, Asked, Tokens, World
from mechanisms import Preferences
from proofs import AuditError
from runtime import Policy


@dataclass(frozen=True, slots=True)
class Past:
    """A request of the past, or one that an agent has at work: whose, as reported, where, how many seconds ago."""

    bidder: str
    preferences: Preferences
    agent: int
    ago_s: float
    tokens: Tokens
    right: bool = True
    measured: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Where one round begins.

    Args:
        name: in a few words.
        agents: as they truly are.
        asked: the requests of the round, one bidder may own several.
        past: what happened before, oldest first; what is not done by now is in an agent's line.
        alive: which agents are up; default all.
        worths, delays, deadlines, stakes: what a bidder may be and may report, each with each.
        flow: credits a second, a second, that others bring to each agent, where the past is so regular that one may
            say it; a request must not be served whose value is below what it makes others wait.

    Raises:
        AuditError: nobody asks, or there is nothing to report.
    """

    name: str
    agents: tuple[AgentLaw, ...]
    asked: tuple[Asked, ...]
    past: tuple[Past, ...] = ()
    alive: tuple[bool, ...] = ()
    worths: tuple[float, ...] = (2.0, 6.0, 20.0)
    delays: tuple[float, ...] = (0.0, 1.5)
    deadlines: tuple[float, ...] = (inf,)
    flow: tuple[float, ...] = ()
    stakes: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        if not self.asked or not self.agents or not all((self.worths, self.delays, self.deadlines, self.stakes)):
            raise AuditError(f"state {self.name!r} has no agent, request or type; give at least one of each")

    @property
    def types(self) -> tuple[Preferences, ...]:
        """The types of a request, the plainest first."""
        return tuple(
            Preferences(*one)
            for one in product(self.worths, self.delays, sorted(self.deadlines, reverse=True), self.stakes)
        )

    @property
    def bidders(self) -> tuple[str, ...]:
        """Who asks, each once."""
        return tuple(dict.fromkeys(one.bidder for one in self.asked))

    def of(self, bidder: str) -> tuple[int, ...]:
        """The requests of a bidder."""
        return tuple(i for i, one in enumerate(self.asked) if one.bidder == bidder)

    def smaller(self) -> Iterator["State"]:
        """The same state with one request fewer."""
        for i in range(len(self.asked) if len(self.asked) > 1 else 0):
            yield replace(self, asked=self.asked[:i] + self.asked[i + 1 :])

    def begin(self, policy: Policy, past: Sequence[Past] | None = None) -> World:
        """A world with this past, or another one, and the policy started afresh in it.

        Raises:
            AuditError: the policy cannot be given the past.
        """
        world = World(self.agents, policy)
        before = self.past if past is None else past
        first = max((one.ago_s for one in before), default=0.0)
        for one in before:
            world.advance(first - one.ago_s)
            asked = Asked(one.bidder, one.tokens)
            world.give(asked, one.preferences, one.agent, right=one.right, measured=one.measured)
        world.advance(first)
        world.alive = list(self.alive or [True] * len(self.agents))
        return world

    def reference(self, world: World, asked: Sequence[Asked] | None = None) -> Reference:
        """What each place is worth."""
        graded = [sum(one.agent == j for one in self.past) for j in range(len(self.agents))]
        flow = self.flow or (0.0,) * len(self.agents)
        return Reference.of(world, self.asked if asked is None else asked, flow, graded)

    @property
    def doubted(self) -> float:
        """Mean worth reported in the past: what a discount for exploring may count a right answer as."""
        reported = {one.bidder: one.preferences.worth for one in self.past}
        return sum(reported.values()) / max(len(reported), 1)

    def __str__(self) -> str:
        return f"{self.name}: {len(self.asked)} requests, {len(self.agents)} agents, {len(self.types)} types each"


def lessons(
    agents: Sequence[AgentLaw],
    bidders: Sequence[tuple[str, Preferences]],
    *,
    each: int = 12,
    every_s: float = 5.0,
    until_s: float = 10.0,
) -> tuple[Past, ...]:
    """A past from which everything about the agents can be learnt exactly, the last `until_s` seconds ago.

    Agents take turns, `each` times, every `every_s` seconds; bidders too. The share of right answers is an agent's
    skill, all prompts differ, and whoever comes before the first answer of an agent is not held to a prediction.
    """
    past = []
    total = each * len(agents)
    seen = [0] * len(agents)
    for k in range(total):
        j = k % len(agents)
        bidder, preferences = bidders[(k // len(agents)) % len(bidders)]
        # Right answers evenly spread, as many as the skill says.
        right = int((seen[j] + 1) * agents[j].skill + 1e-9) > int(seen[j] * agents[j].skill + 1e-9)
        tokens = tuple(range(1000 * (k + 1), 1000 * (k + 1) + 12 + k % 5))
        past.append(
            Past(bidder, preferences, j, until_s + every_s * (total - 1 - k), tokens, right, measured=seen[j] > 0)
        )
        seen[j] += 1
    return tuple(past)
