"""Three agents, two of them cheap, and requests of conversations."""

from dataclasses import replace

from allocation import UNSERVED
from prediction import TokenPrices
from runtime import Decided, Decision, Fleet, Offer, Policy
from tests.runtime.policies.test_paper import agent, fleet, offer

CHEAP, DEAR = TokenPrices(0.01, 0.001, 0.02), TokenPrices(0.02, 0.002, 0.04)
AGENTS = [replace(agent("a"), prices=CHEAP), replace(agent("b"), prices=DEAR), replace(agent("c"), prices=DEAR)]


def attached(policy: Policy) -> Policy:
    policy.attach(AGENTS)
    return policy


def asked(name: str, *texts: str, dialogue: str = "") -> Offer:
    made = offer(name, *texts, agents=3)
    request = replace(made.request, dialogue=dialogue or name)
    return replace(made, request=request)


def idle(**state: list[int] | list[bool]) -> Fleet:
    return fleet(AGENTS, **state)  # type: ignore[arg-type]


def given(policy: Policy, one: Offer, at: int) -> None:
    """It was given to an agent."""
    decided = policy.decide([one], fleet(AGENTS, alive=[j == at for j in range(3)]))
    assert decided.agents.tolist() == [at]
    policy.notice(Decided(0.0, one, at, 0, None, decided.notes[0] if decided.notes else None))


def chosen(policy: Policy, one: Offer, **state: list[int] | list[bool]) -> int:
    decided = policy.decide([one], idle(**state))
    assert isinstance(decided, Decision) and decided.agents[0] != UNSERVED and not decided.charges.any()
    return int(decided.agents[0])
