"""A round decided for nobody, so that what is compiled or loaded on the way is there before anybody waits for it."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from math import inf

import numpy as np

from allocation import UNSERVED
from mechanisms import Preferences
from runtime.engines.request import Completion, Request
from runtime.events import Decided, Dispatched, FirstToken, Offer, Served
from runtime.policies.policy import Agent, Fleet, Policy

_log = logging.getLogger(__name__)

_PIECES = 256


def warm_up(policy: Policy, agents: Sequence[Agent]) -> None:
    """Have a policy, which is forgotten afterwards, decide rounds of one request and of two, and learn from them.

    One that cannot is named in the log: whoever asks first will see the same.

    Args:
        policy: of the kind that will serve, not the one that does.
        agents: who will serve; what they publish is left to that one.
    """
    met = tuple(replace(agent, contents=None) for agent in agents)
    fleet = Fleet(met, np.ones(len(met), bool), ((),) * len(met), 0.0, np.full(len(met), -inf))
    try:
        policy.attach(met)
        for many in (1, 2):
            offers = [_offer(k, many, len(met)) for k in range(many)]
            if not policy.ready(fleet):
                return
            decision = policy.decide(offers, fleet)
            for i, offer in enumerate(offers):
                agent = int(decision.agents[i])
                if agent > UNSERVED:
                    _live(policy, offer, agent, decision.notes[i] if decision.notes else None)
    except Exception:
        _log.exception("policy %s cannot decide a round for nobody", policy.name)


def _offer(k: int, of: int, agents: int) -> Offer:
    pieces = np.arange(_PIECES, dtype=np.uint32)
    request = Request(f"warm-up-{k}-of-{of}", f"warm-up-{k}", (), 16)
    return Offer(request, Preferences(1e6, 0.1, 60.0), (pieces,) * agents, k)


def _live(policy: Policy, offer: Offer, agent: int, note: object) -> None:
    """The life of a request, as events."""
    done = Completion("", _PIECES, 0, 8, 0.1, 0.2)
    policy.notice(Decided(0.0, offer, agent, 0, None, note))
    policy.notice(Dispatched(0.0, offer, agent, 0, note))
    policy.notice(FirstToken(0.1, offer, agent, note))
    policy.notice(Served(0.2, offer, agent, done, 0.0, 0.0, 0, 0, 0, None, None, note))
