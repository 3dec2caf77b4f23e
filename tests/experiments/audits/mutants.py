"""Policies that look like the auction and each have one fault."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from allocation import MICROS, Market, to_micros
from mechanisms import find_mechanism
from mechanisms.rules.fees import WithFees
from runtime import Arrived, Auction, Decided, Decision, Event, Fleet, Offer
from runtime.policies.basis import Basis
from runtime.policies.forecast import Forecaster, Outlook
from runtime.policies.skill import PooledSkill


class Plain(Auction):
    """The auction as it ships."""

    def __init__(self, mechanism: str = "vcg", allocator: str | None = None, **options: float) -> None:
        super().__init__(find_mechanism(mechanism, allocator), **options)  # type: ignore[arg-type]


class PayAsBid(Plain):
    def __init__(self) -> None:
        super().__init__("pay-as-bid")


class GreedyVcg(Plain):
    def __init__(self) -> None:
        super().__init__("vcg", "greedy")


class GreedyPosted(Plain):
    def __init__(self) -> None:
        super().__init__("posted-price", "greedy")


class Optimistic(Plain):
    """Counts a bonus of quality in values; what it predicts is honest."""

    def _market(self, offers: Sequence[Offer], basis: Basis) -> Market:
        return super()._market(offers, replace(basis, quality=np.minimum(basis.quality + 0.3, 1.0)))


class _Hopeful(PooledSkill):
    def predict(self, offers: Sequence[Offer]) -> np.ndarray:  # type: ignore[type-arg]
        return np.minimum(super().predict(offers) + 0.3, 1.0)


class OptimisticForecast(Auction):
    """Believes, and says, that everybody is better than they were."""

    def __init__(self) -> None:
        super().__init__(find_mechanism("vcg"), lambda: Forecaster(_Hopeful))


class RowMinimum(Plain):
    """Subtracts each row's least fee, which cancels the queue's price against being unserved."""

    def _fees(self, offers: Sequence[Offer], fleet: Fleet, outlook: Outlook) -> np.ndarray:  # type: ignore[type-arg]
        fees = super()._fees(offers, fleet, outlook)
        return fees - fees.min(axis=1, keepdims=True)


class Recomputed(Plain):
    """A fee of 3 for each other request of the round, computed anew for the round without a bidder."""

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        terms = self.terms(offers, fleet)
        market = self._market(offers, self._basis(offers, fleet, terms))

        def fee(n: int) -> np.ndarray:  # type: ignore[type-arg]
            return np.full(market.shape, 3 * MICROS * (n - 1))

        decision = self._decide(offers, fleet, fee(len(offers)))
        total = market.replace(costs=market.costs + fee(len(offers))).welfare(decision.outcome.allocation)
        charges = decision.charges.copy()
        for i in np.flatnonzero(decision.agents >= 0).tolist():
            others = [k for k in range(len(offers)) if k != i]
            without = 0
            if others:
                rest = Market(
                    market.values[others], market.costs[others] + fee(len(others))[others], market.capacities,
                    feasible=market.feasible[others],
                )  # fmt: skip
                without = self.mechanism.run(rest).welfare
            own = int(market.values[i, decision.outcome.allocation.agents[i]])
            charges[i] = without - (total - own)
        return replace(decision, charges=charges)

    def _decide(self, offers: Sequence[Offer], fleet: Fleet, fees: np.ndarray) -> Decision:  # type: ignore[type-arg]
        terms = self.terms(offers, fleet)
        basis = self._basis(offers, fleet, terms)
        outcome = WithFees(self.mechanism, fees).run(self._market(offers, basis))
        return self._decision(offers, terms, outcome, fees, basis)

    def _fees(self, offers: Sequence[Offer], fleet: Fleet, outlook: Outlook) -> np.ndarray:  # type: ignore[type-arg]
        return np.full(outlook.service.shape, 3.0 * (len(offers) - 1))


class ReadsReport(Plain):
    """A fee of a tenth of the worth that the very bidder reports now."""

    def _fees(self, offers: Sequence[Offer], fleet: Fleet, outlook: Outlook) -> np.ndarray:  # type: ignore[type-arg]
        worth = np.array([offer.preferences.worth for offer in offers])
        return super()._fees(offers, fleet, outlook) + 0.1 * worth[:, None]


class ReadsOthers(Plain):
    """A fee of a twentieth of the mean worth that the others of the round report now."""

    def _fees(self, offers: Sequence[Offer], fleet: Fleet, outlook: Outlook) -> np.ndarray:  # type: ignore[type-arg]
        worth = np.array([offer.preferences.worth for offer in offers])
        return super()._fees(offers, fleet, outlook) + 0.05 * (worth.sum() - worth)[:, None]


class Shared(Plain):
    """Charges a credit more for each other request of the round that got the same agent."""

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        decision = super().decide(offers, fleet)
        served = decision.agents >= 0
        sharing = np.array([(decision.agents == j).sum() - 1 for j in decision.agents])
        return replace(decision, charges=decision.charges + np.where(served, sharing * MICROS, 0))


class EagerForTheRich(Plain):
    """Holds a round when somebody who just arrived reports a worth above 5."""

    def attach(self, agents) -> None:  # type: ignore[no-untyped-def]
        super().attach(agents)
        self._rich = False

    def notice(self, event: Event) -> None:
        super().notice(event)
        if isinstance(event, Arrived):
            self._rich = self._rich or event.offer.preferences.worth > 5
        if isinstance(event, Decided):
            self._rich = False

    def ready(self, fleet: Fleet) -> bool:
        return self._rich


class OwnPast(Plain):
    """A fee of a tenth of what a bidder last reported."""

    def _fees(self, offers: Sequence[Offer], fleet: Fleet, outlook: Outlook) -> np.ndarray:  # type: ignore[type-arg]
        own = [self._others._types.get(offer.request.bidder, (0.0, 0.0))[0] for offer in offers]
        return super()._fees(offers, fleet, outlook) + 0.1 * np.array(own)[:, None]


class Subsidy(Plain):
    """Gives two credits to whoever is served."""

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        decision = super().decide(offers, fleet)
        return replace(decision, charges=decision.charges - np.where(decision.agents >= 0, to_micros(2.0), 0))


class FirstWins(Plain):
    """Adds a credit for whoever is offered first."""

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        decision = super().decide(offers, fleet)
        charges = decision.charges.copy()
        charges[0] += MICROS * bool(decision.agents[0] >= 0)
        return replace(decision, charges=charges)


class Forgetful(Plain):
    """Explores without ever counting what that has cost."""

    def notice(self, event: Event) -> None:
        super().notice(event)
        self.spent = 0.0


class Learning(Plain):
    """Changes its mind with every decision."""

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        self._asked = getattr(self, "_asked", 0) + 1
        decision = super().decide(offers, fleet)
        return replace(decision, charges=decision.charges + np.where(decision.agents >= 0, self._asked, 0))


class Nobody(Plain):
    """Serves nobody but who pays a million."""

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        decision = super().decide(offers, fleet)
        rich = np.array([offer.preferences.worth >= 1e6 for offer in offers])
        return replace(
            decision,
            agents=np.where(rich, decision.agents, -1),
            charges=np.where(rich, decision.charges, 0),
            predicted=[one if rich[i] else None for i, one in enumerate(decision.predicted)],
        )
