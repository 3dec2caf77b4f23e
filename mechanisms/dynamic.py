"""Auctions over several rounds in which today's allocation changes tomorrow's market: `PerRound` and `DynamicPivot`.

A `World` gives the market that each history of allocations leads to: who was served where decides whose prefix is
cached where, and what has been learnt. A dynamic mechanism is asked once per round, with the reports of that round and
with all past rounds (who was served, what was reported, what was paid), and answers with that round's outcome. It keeps
no memory of its own: a reserve that is learnt from earlier bids is computed from the past that it is given.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from allocation import FORBIDDEN, UNSERVED, Allocation, Market
from allocation.money import Money, as_money
from mechanisms.errors import MechanismError
from mechanisms.mechanism import DirectMechanism, as_mechanism
from mechanisms.outcome import Outcome, Payments, serving_costs
from mechanisms.promises import Domain, Promises

#: Who served each request in every round so far: one tuple of N agents (or -1) per round.
History = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class PastRound:
    """A round that is over.

    Args:
        agents: (N,) who served each request, or `UNSERVED`.
        reports: (N, M) the values that were reported, in micro-units.
        charges: (N,) what requests were charged, in micro-units.
        receipts: (M,) what agents received, in micro-units.
    """

    agents: tuple[int, ...]
    reports: tuple[tuple[int, ...], ...]
    charges: tuple[int, ...]
    receipts: tuple[int, ...]

    @classmethod
    def of(cls, outcome: Outcome) -> "PastRound":
        """What an outcome leaves behind."""
        if not isinstance(outcome, Outcome):
            raise MechanismError(f"{outcome!r} is no Outcome; write Outcome(market, allocation, payments)")
        payments = outcome.payments
        return cls(
            tuple(outcome.allocation.agents.tolist()),
            tuple(map(tuple, outcome.reported.values.tolist())),
            tuple(payments.charges.tolist()),
            tuple(payments.receipts.tolist()),
        )


def served_in(past: Sequence[PastRound]) -> History:
    """What a world remembers of past rounds: who served whom.

    Raises:
        MechanismError: something else is among them.
    """
    if not isinstance(past, Sequence) or any(not isinstance(each, PastRound) for each in past):
        raise MechanismError(f"past = {past!r}; expected the rounds so far, a tuple of PastRound")
    return tuple(each.agents for each in past)


#: What holds in each of several rounds holds of their sum.
_ADD_UP = ("individually-rational", "no-deficit")


def over_rounds(promises: Promises) -> Promises:
    """What a mechanism promises over rounds that promises this much in each: nobody's sum of gains is a loss.

    Truth and efficiency do not add up, since a round decides what later ones cost.
    """
    return {f"{name}-over-rounds": promises[name] for name in _ADD_UP if name in promises}


@runtime_checkable
class World(Protocol):
    """Several rounds among the same bidders. Reports may not move a world except through who served whom."""

    @property
    def rounds(self) -> int:
        """How many rounds there are, >= 1."""
        ...

    def market(self, values: Money, history: History) -> Market:
        """The market of the round after this history, where the requests report these values (N, M)."""
        ...


@runtime_checkable
class DynamicMechanism(Protocol):
    """Decides one round at a time, as a function of what it is given and of nothing else."""

    def decide(self, world: World, values: Money, past: Sequence[PastRound]) -> Outcome:
        """The outcome of the round after these, under the values (N, M) reported in it."""
        ...


def _as_world(given: object) -> World:
    if isinstance(given, type) or not isinstance(given, World):
        raise MechanismError(f"{given!r} is no world; it needs rounds, and market(values, history)")
    return given


@dataclass(frozen=True, slots=True)
class PerRound:
    """The same mechanism in every round, blind to what the round does to later ones: how auctions are run in practice.

    Even where each round is truthful by itself, the sequence is not: a misreport today may buy tomorrow's cache.
    """

    mechanism: DirectMechanism

    def __post_init__(self) -> None:
        as_mechanism(self.mechanism)

    def decide(self, world: World, values: Money, past: Sequence[PastRound]) -> Outcome:
        """The mechanism's own outcome in this round."""
        return self.mechanism.run(_as_world(world).market(as_money(values, name="values", ndim=2), served_in(past)))

    def __str__(self) -> str:
        return f"{self.mechanism} in every round"


@dataclass(frozen=True, slots=True)
class DynamicPivot:
    """The dynamic pivot mechanism (Bergemann and Välimäki 2010, theorem 1), for worlds small enough to plan in full.

    It serves for the most welfare in this round and all later ones together. A bidder pays, in each round, what their
    presence costs the others: the welfare from here on without them, less what the others get in this round, less the
    welfare without them from where this round leads. Over the rounds these sums telescope, so each bidder's utility is
    all welfare less what there would be without them: truth is best after every history, as long as the others are
    truthful from there on. Plans take a bidder's values of this round for those of the later ones, and the world's
    account of what caches hold and predictors will have learnt for the truth. Ties go to the first allocation.

    No promise for the budget: whoever teaches a predictor, or is served early, may help the others and pay less than
    they cost.

    The plan tries all allocations of all rounds, (M + 1) ** (N * rounds) of them.
    """

    promises: ClassVar[Promises] = dict.fromkeys(
        ("truthful-over-rounds", "individually-rational-over-rounds", "efficient-over-rounds"), Domain.EVERYWHERE
    )

    def decide(self, world: World, values: Money, past: Sequence[PastRound]) -> Outcome:
        """The round's part of the plan, and its flow payments; agents are paid their cost."""
        history, values = served_in(past), as_money(values, name="values", ndim=2)
        plan, market = _Plan(_as_world(world), values), world.market(values, history)
        agents = plan.best(history, None)[1]
        allocation = Allocation(np.array(agents, np.int64))
        welfare, after = int(market.take(market.weights, allocation).sum()), (*history, agents)
        charges = np.zeros(market.shape[0], np.int64)
        for bidder in market.players:
            mine = market.requests_of(bidder)
            others = welfare - int(market.take(market.values, allocation)[mine].sum())
            charges[mine[0]] = plan.welfare(history, bidder) - others - plan.welfare(after, bidder)
        return Outcome(market, allocation, Payments(charges, serving_costs(market, allocation)))

    def __str__(self) -> str:
        return "dynamic pivot"


@dataclass(frozen=True, slots=True)
class _Plan:
    """Best plans from every history on, with and without each bidder, under fixed values; each made once."""

    world: World
    values: Money
    made: dict[tuple[History, int | None], tuple[int, tuple[int, ...]]] = field(default_factory=dict)

    def welfare(self, history: History, absent: int | None) -> int:
        """Most welfare of all rounds after this history, without the requests of `absent`, in micro-units."""
        return 0 if len(history) == self.world.rounds else self.best(history, absent)[0]

    def best(self, history: History, absent: int | None) -> tuple[int, tuple[int, ...]]:
        """(welfare from here on, this round's agents) of the best plan; ties to the first allocation."""
        key = history, absent
        if key not in self.made:
            market = self.world.market(self.values, history)
            plans = [
                (welfare + self.welfare((*history, agents), absent), agents)
                for agents, welfare in _choices(market, absent)
            ]
            self.made[key] = max(plans, key=lambda plan: plan[0])
        return self.made[key]


def _choices(market: Market, absent: int | None) -> Iterator[tuple[tuple[int, ...], int]]:
    """Every feasible allocation that serves no request of `absent`, with its welfare; serving nobody comes first."""
    n, m = market.shape
    weights, capacities = market.weights.tolist(), market.capacities.tolist()
    bidders = market.bidders.tolist()
    open_to = [
        [UNSERVED, *(j for j in range(m) if weights[i][j] != FORBIDDEN and bidders[i] != absent)] for i in range(n)
    ]
    for agents in product(*open_to):
        if all(agents.count(j) <= capacity for j, capacity in enumerate(capacities)):
            yield agents, sum(weights[i][j] for i, j in enumerate(agents) if j != UNSERVED)
