"""Every profile of reports of one state, decided once each by the policy itself, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from experiments.audits.reference import MICROS, Reference, valued
from experiments.audits.state import State
from experiments.audits.world import Asked, World
from mechanisms import Preferences
from proofs import AuditError
from runtime import Decision, Fleet, Offer, Policy

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: A profile: the index of the type that each request reports.
Profile = tuple[int, ...]

_MOST = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """What a policy decided for N requests: `agents`, negative where unserved, places in their lines, charges, and
    what the policy said it expects: `stated` (N, 3) of latency, cost, quality, nan where it says nothing."""

    agents: Ints
    places: Ints
    stated_places: Ints
    charges: Ints
    stated: Floats
    fees: Floats | None = None

    @classmethod
    def of(cls, decision: Decision, fees: Floats | None = None) -> "Decided":
        """Whoever shares an agent stands in the order of `positions`, without gaps."""
        agents = np.asarray(decision.agents, np.int64)
        n = len(agents)
        positions = np.arange(n) if decision.positions is None else np.asarray(decision.positions, np.int64)
        places = np.zeros(n, np.int64)
        for j in set(agents[agents >= 0].tolist()):
            members = np.flatnonzero(agents == j)
            places[members[np.argsort(positions[members], kind="stable")]] = np.arange(len(members))
        stated = np.full((n, 3), np.nan)
        for i, one in enumerate(decision.predicted):
            if one is not None and agents[i] >= 0:
                stated[i] = one.latency_s, one.cost, one.quality
        return cls(agents, places, positions, np.asarray(decision.charges, np.int64), stated, fees)


class Table:
    """Decisions of one policy in one state by profile, each made once.

    Args:
        policy: under audit; it is started afresh, and given the state's past.
        state: where the round begins.
        asked: other requests in place of the state's own.

    Raises:
        AuditError: there are too many profiles to play them all.
    """

    def __init__(self, policy: Policy, state: State, asked: Sequence[Asked] | None = None) -> None:
        self.policy, self.state = policy, state
        self.asked = tuple(state.asked if asked is None else asked)
        self.types = state.types
        if len(self.types) ** len(self.asked) > _MOST:
            raise AuditError(f"{len(self.types)}^{len(self.asked)} profiles are more than {_MOST}; give fewer types")
        self.world: World = state.begin(policy)
        self.fleet: Fleet = self.world.fleet()
        self.reference: Reference = state.reference(self.world, self.asked)
        made = [self.world.offer(one, self.types[0]) for one in self.asked]
        self._offers = [[_reporting(offer, one) for one in self.types] for offer in made]
        self._decided: dict[Profile, Decided] = {}

    def offers(self, profile: Profile) -> list[Offer]:
        """The offers of a profile."""
        return [self._offers[i][t] for i, t in enumerate(profile)]

    def decided(self, profile: Profile) -> Decided:
        """What the policy decides, asked once."""
        if profile not in self._decided:
            self._decided[profile] = self.ask(profile)
        return self._decided[profile]

    def ask(self, profile: Profile) -> Decided:
        """What the policy decides, asked now."""
        offers = self.offers(profile)
        return Decided.of(self.policy.decide(offers, self.fleet), stated_fees(self.policy, offers, self.fleet))

    def profiles(self) -> list[Profile]:
        """All of them."""
        return list(product(range(len(self.types)), repeat=len(self.asked)))

    def arrays(self) -> "Played":
        """All profiles played."""
        return Played.of(self)


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """All P profiles of a table: `types` (P, N) indices of what is reported, then (P, N) arrays of what was decided.

    `worth` (N, T, P) is what each request's outcome is worth to each true type at the reference, `stated_worth` the
    same as the policy predicts, both in micro-units, less no charge; `error` (N, T, P) how far apart the two may be.
    """

    table: Table
    types: Ints
    agents: Ints
    places: Ints
    charges: Ints
    stated: Floats
    worth: Ints
    error: Ints

    @classmethod
    def of(cls, table: Table) -> "Played":
        """Play them."""
        profiles = table.profiles()
        all_ = [table.decided(profile) for profile in profiles]
        agents, places, charges = (
            np.array([getattr(one, name) for one in all_]) for name in ("agents", "places", "charges")
        )
        stated = np.array([one.stated for one in all_])
        worth, error = [], []
        for i in range(len(table.asked)):
            value = table.reference.values(i, table.types)
            served = agents[:, i] >= 0
            own = np.where(served, value[:, np.maximum(agents[:, i], 0), places[:, i]], 0.0)
            quality, latency = stated[:, i, 2], stated[:, i, 0]
            said = valued(table.types, quality, latency, float(table.reference.waited[i]))
            # What is not predicted cannot be held against anybody.
            apart = np.where(served & np.isfinite(said), np.abs(said - own), 0.0)
            worth.append(np.rint(own * MICROS).astype(np.int64))
            error.append(np.ceil(apart * MICROS - 1e-3).astype(np.int64) + 1)
        return cls(table, np.array(profiles), agents, places, charges, stated, np.array(worth), np.array(error))

    def shaped(self, owned: Sequence[int]) -> tuple[tuple[int, ...], Ints]:
        """Profiles by (what the owner of these requests reports, what all others report): (own, rest) indices of P."""
        n, t = len(self.table.asked), len(self.table.types)
        order = np.arange(len(self.types)).reshape((t,) * n)
        moved = np.moveaxis(order, list(owned), list(range(len(owned))))
        return (t,) * len(owned), moved.reshape(t ** len(owned), -1)


def stated_fees(policy: Policy, offers: Sequence[Offer], fleet: Fleet) -> Floats | None:
    """(N, M) credits that a policy says it adds to costs, if it says so: `policy.terms(offers, fleet).fees`."""
    terms = getattr(policy, "terms", None)
    fees = getattr(terms(offers, fleet), "fees", None) if callable(terms) else None
    return None if fees is None else np.asarray(fees, np.float64)


def _reporting(offer: Offer, preferences: Preferences) -> Offer:
    return Offer(offer.request, preferences, offer.tokens, offer.turn, offer.arrived_s, offer.refused)
