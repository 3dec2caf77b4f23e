"""Every law catches a policy that breaks it, and nothing else does."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from allocation import UNSERVED, LawError
from mechanisms import find_mechanism
from runtime import POLICY_LAWS, WAITING, Agent, Auction, Decided, Decision, Event, Fleet, Offer, Policy, check_policy
from runtime.policies.laws import Scene


class Usual:
    """Every request to the first agent that can serve it."""

    name = "usual"

    def attach(self, agents: Sequence[Agent]) -> None:
        self.given = 0

    def ready(self, fleet: Fleet) -> bool:
        return True

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        agents = np.full(len(offers), UNSERVED)
        for i, offer in enumerate(offers):
            for j, agent in enumerate(fleet.agents):
                held = len(offer.tokens[j]) < agent.info.max_model_len
                if fleet.alive[j] and j not in offer.refused and held:
                    agents[i] = j
                    break
        return Decision(agents, np.zeros(len(offers), np.int64))

    def notice(self, event: Event) -> None:
        self.given += isinstance(event, Decided)


def but(**changed: Callable[[Sequence[Offer], Fleet, Decision], object]) -> Callable[[], Policy]:
    """`Usual`, with some of its decision changed."""

    class Changed(Usual):
        def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
            usual = super().decide(offers, fleet)
            return replace(usual, **{name: how(offers, fleet, usual) for name, how in changed.items()})  # type: ignore[arg-type]

    return Changed


class Chooses(Usual):
    """The same agent for all."""

    chosen = 0

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        usual = super().decide(offers, fleet)
        return replace(usual, agents=np.where(usual.agents >= 0, self.chosen, usual.agents))


class Dead(Usual):
    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        return super().decide(offers, replace(fleet, alive=np.ones(len(fleet.agents), bool)))


class Refused(Usual):
    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        return super().decide([replace(offer, refused=frozenset()) for offer in offers], fleet)


class TooLong(Usual):
    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        return super().decide([replace(offer, tokens=((),) * len(fleet.agents)) for offer in offers], fleet)


class Counts(Usual):
    """Remembers what it was asked."""

    asked: ClassVar[int] = 0

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        Counts.asked += 1
        usual = super().decide(offers, fleet)
        return replace(usual, charges=np.full(len(offers), Counts.asked))


class Reuses(Usual):
    """Hands out one array over and over."""

    def attach(self, agents: Sequence[Agent]) -> None:
        super().attach(agents)
        self.kept = np.zeros(100, np.int64)

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        self.kept[:] = len(offers)
        return replace(super().decide(offers, fleet), charges=self.kept[: len(offers)])


class Buries(Usual):
    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        usual = super().decide(offers, fleet)
        fleet.alive[:] = False
        return replace(usual, agents=np.full(len(offers), UNSERVED))


class NeverReady(Usual):
    def ready(self, fleet: Fleet) -> bool:
        return bool(fleet.load.any())


class ReadyOddly(Usual):
    def ready(self, fleet: Fleet) -> bool:
        return fleet.alive.any()  # type: ignore[return-value]


class Remembers(Usual):
    """Keeps what it has learnt when it is attached anew."""

    given = 0

    def attach(self, agents: Sequence[Agent]) -> None:
        pass

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        return replace(super().decide(offers, fleet), charges=np.full(len(offers), self.given))


class Stumbles(Usual):
    """Takes it that every request has an agent."""

    def notice(self, event: Event) -> None:
        super().notice(event)
        assert event.agent >= 0  # type: ignore[union-attr]


class Vast(Usual):
    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        raise MemoryError("too many")


FORM, ABLE, SAME, READY, AFRESH = POLICY_LAWS
BROKEN = [
    (but(agents=lambda offers, fleet, usual: usual.agents[:-1]), FORM, "agents are"),
    (but(agents=lambda offers, fleet, usual: usual.agents.tolist()), FORM, "agents are"),
    (but(agents=lambda offers, fleet, usual: np.full(len(offers), 7)), FORM, ""),
    (but(charges=lambda offers, fleet, usual: np.full(len(offers), -1)), FORM, "at least 0"),
    (but(charges=lambda offers, fleet, usual: np.full(len(offers), 0.5)), FORM, "charges are"),
    (but(charges=lambda offers, fleet, usual: np.zeros(len(offers), np.int32)), FORM, "int64"),
    (but(positions=lambda offers, fleet, usual: np.zeros(len(offers), np.int64)), FORM, "two of them are one"),
    (but(notes=lambda offers, fleet, usual: [1] * (len(offers) + 1)), FORM, "notes"),
    (Dead, ABLE, "is dead"),
    (Refused, ABLE, "has failed it before"),
    (TooLong, ABLE, "cannot hold its prompt"),
    (Counts, SAME, "the same round gets"),
    (Reuses, SAME, "an earlier one returned"),
    (Buries, SAME, "changes the fleet"),
    (NeverReady, READY, "not ready when nothing is being served"),
    (ReadyOddly, READY, "expected one bool"),
    (Remembers, AFRESH, "start afresh"),
    (Stumbles, FORM, "a policy must answer"),
    (Vast, FORM, "MemoryError: too many; a policy must answer"),
]


def test_what_owes_nothing_more_passes_every_law() -> None:
    assert check_policy(Usual) >= 50
    assert check_policy(but(agents=lambda offers, fleet, usual: np.full(len(offers), WAITING))) >= 50


@pytest.mark.parametrize(("make", "law", "said"), BROKEN)
def test_every_law_catches_who_breaks_it(make: Callable[[], Policy], law: Callable[..., int], said: str) -> None:
    with pytest.raises(LawError, match=r"breaks «.*» where ") as caught:
        law(make)
    assert said in str(caught.value) and str(law).replace("-", " ") in str(caught.value)
    with pytest.raises(LawError):
        check_policy(make)


class Nameless(Usual):
    name = ""


class Deaf(Usual):
    notice = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Usual(), "makes no policy; give a class"),
        (Auction, "makes no policy when it is given nothing"),
        (dict, "dict is no policy: it has no attach, ready, decide, notice"),
        (Deaf, "Deaf is no policy: it has no notice"),
        (Nameless, "Nameless is no policy: it has no name"),
    ],
)
def test_what_is_no_policy_is_said_at_once(make: object, said: str) -> None:
    with pytest.raises(LawError, match=said):
        check_policy(make)  # type: ignore[arg-type]


def test_the_auction_on_its_own_passes_every_law() -> None:
    assert check_policy(lambda: Auction(find_mechanism("vcg"))) >= 50


def test_a_request_that_nobody_who_is_up_can_hold_is_declined() -> None:
    made = Auction(find_mechanism("vcg"))
    scene = Scene(3, longest=(30, 1000), dead=(1,))
    made.attach(scene.agents())
    decided = made.decide(scene.offers(3), scene.fleet())
    assert decided.agents.tolist() == [UNSERVED] * 3


@pytest.mark.slow
def test_a_budget_for_exploration_pays_nobody_to_be_served() -> None:
    check_policy(lambda: Auction(find_mechanism("vcg"), budget=1000.0))
