"""Small states that show different faults, each learnt exactly by whoever counts."""

from dataclasses import replace
from math import inf

from experiments.audits.state import Past, State, lessons
from experiments.audits.two_rounds import TwoRounds
from experiments.audits.world import AgentLaw, Asked, Tokens
from mechanisms import Preferences
from prediction import TokenPrices

_PLAIN = AgentLaw()
_SLOW = AgentLaw(slowness=8.0, stay_s=4.0)
_OTHERS = (("p", Preferences(6.0, 1.0)), ("q", Preferences(8.0, 0.5)), ("a", Preferences(12.0, 0.0)))


def _text(first: int, length: int = 16) -> Tokens:
    return tuple(range(first, first + length))


_A, _B, _C = Asked("a", _text(1)), Asked("b", _text(101, 22)), Asked("c", _text(201, 12))


def _work(agent: int, ago_s: float, first: int, length: int = 20, bidder: str = "p") -> Past:
    return Past(bidder, Preferences(6.0, 1.0), agent, ago_s, _text(first, length))


def suite() -> tuple[State, ...]:
    """The states that `audit_policy` takes where none are given."""
    two = (_PLAIN, _SLOW)
    learnt = lessons(two, _OTHERS)
    idle = State("idle fleet, two bidders", two, (_A, _B), learnt, worths=(1.0, 3.0, 6.0, 20.0), deadlines=(inf, 1.8))
    queues = (_work(0, 1.2, 5001), _work(0, 1.1, 5101), _work(0, 1.0, 5201, 30), _work(1, 0.9, 5301))
    document = _text(7001, 12)
    warm = (*learnt[:-1], replace(learnt[-1], agent=1, tokens=(*document, 7101)))
    walled = tuple(replace(law, slots=1) for law in two)
    three = (
        AgentLaw(TokenPrices(0.025, 0.0025, 0.05), 3.0, 0.3),
        AgentLaw(TokenPrices(0.025, 0.0025, 0.05), 5.0, 0.3),
        AgentLaw(TokenPrices(0.1, 0.01, 0.2), 8.0, 0.7, stay_s=4.0),
    )
    # Whoever came before was in great haste and cared little for answers: what is served now makes such people wait.
    haste = (("p", Preferences(2.0, 60.0)), ("q", Preferences(2.0, 60.0)))
    same = (_PLAIN, _PLAIN)
    return (
        replace(idle, name="idle fleet, one bidder", asked=(_A,)),
        idle,
        State("haste: what is served makes others wait", same, (_A, _B), lessons(same, haste, until_s=6.0),
              worths=(2.0, 6.0, 30.0), flow=(6.0, 6.0)),
        State("one agent, one place at a time", (replace(_PLAIN, slots=1),), (_A, _B),
              lessons(walled[:1], _OTHERS, each=24), worths=(2.0, 4.0, 6.0, 9.0), deadlines=(inf, 3.5)),
        State("queues of unequal length", two, (_A, _B), (*learnt, *queues), worths=(2.0, 6.0, 20.0),
              delays=(0.0, 1.0, 4.0)),
        State("warm cache at one agent", two, (Asked("a", (*document, *_text(7201, 6)), turn=1), _B), warm,
              worths=(1.0, 3.0, 6.0, 20.0)),
        State("one agent is down", (*two, _PLAIN), (_A, _B, _C), lessons((*two, _PLAIN), _OTHERS, each=10),
              (True, False, True), worths=(2.0, 6.0, 20.0), delays=(0.0, 3.0)),
        State("a wall: three requests, two places", walled, (_A, _B, _C), (*learnt, _work(1, 0.8, 5301)),
              worths=(3.0, 6.0, 9.0), delays=(0.0, 1.5)),
        State("one bidder with two requests", two, (_A, replace(_C, bidder="a"), _B), learnt,
              worths=(2.0, 6.0, 20.0), delays=(0.0, 3.0)),
        State("deadlines", same, (_A, _B, _C), (*lessons(same, _OTHERS), _work(0, 0.5, 5001)), worths=(3.0, 12.0),
              delays=(0.0, 2.0), deadlines=(inf, 2.0)),
        State("something at stake", two, (_A, _B), learnt, worths=(2.0, 6.0), delays=(0.0, 0.5), deadlines=(inf, 1.5),
              stakes=(0.0, 3.0)),
        State("unequal speeds and prices", three, (_A, _B), lessons(three, _OTHERS, each=10),
              worths=(3.0, 6.0, 12.0, 30.0), delays=(0.0, 1.0, 4.0)),
        State("some have waited", (_PLAIN,), (replace(_A, waited_s=2.0), _B, replace(_C, waited_s=0.7)),
              (*lessons((_PLAIN,), _OTHERS, each=24), _work(0, 0.5, 5001)), worths=(3.0, 9.0), delays=(0.0, 1.0),
              deadlines=(inf, 4.0)),
    )  # fmt: skip


def two_rounds() -> tuple[TwoRounds, ...]:
    """What `audit_policy` plays over two rounds where nothing is given."""
    alone, two = (replace(_PLAIN, slots=1),), (_PLAIN, _SLOW)
    others = (*_OTHERS, ("b", Preferences(4.0, 1.0)))
    one_place = State(
        "one agent, one place", alone, (_A, _B), lessons(alone, others, each=8), worths=(4.0, 8.0),
        delays=(0.0, 0.1),
    )  # fmt: skip
    fleet = State("two agents", two, (_A, _B), lessons(two, others, each=4), worths=(4.0, 12.0), delays=(0.0, 1.0))
    by_itself = replace(
        one_place, name="one agent, one bidder", asked=(_A,), worths=(1.0, 1.5, 1.75, 2.0, 2.25, 2.5, 4.0)
    )
    return TwoRounds(by_itself, 8.0), TwoRounds(one_place, 8.0), TwoRounds(fleet, 8.0), TwoRounds(fleet, 1.0)


def suite_outside() -> tuple[State, ...]:
    """Where `audit_policy` tries what is no report."""
    two = (replace(_PLAIN, slots=2), _SLOW)
    learnt = lessons(two, _OTHERS)
    worths, delays = (2.0, 4.0, 12.0), (0.0, 2.0)
    return (
        State(
            "two bidders, three requests", two, (_A, replace(_C, bidder="a"), _B), learnt, worths=worths, delays=delays
        ),
        State(
            "two bidders, one agent",
            _alone(),
            (_A, _B),
            lessons(_alone(), _OTHERS, each=24),
            worths=worths,
            delays=delays,
        ),
    )


def _alone() -> tuple[AgentLaw, ...]:
    """One agent that serves one request at a time."""
    return (replace(_PLAIN, slots=1),)
