"""`check_policy`: what every policy owes, whoever wrote it, as small laws over small scenes.

    check_policy(MyPolicy)                                        # raises LawError with the scene that breaks a law

    @pytest.mark.parametrize("law", POLICY_LAWS, ids=str)         # or one test per law
    def test_mine(law):
        law(MyPolicy)

A scene is a fleet and the requests of a round, after a small history that the policy itself decided. Laws are
necessary, not sufficient: they say that a policy can be run, not that it is any good.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from types import MappingProxyType

import numpy as np

from allocation import UNSERVED, LawError
from mechanisms import Preferences
from prediction import TokenPrices
from runtime.engines.engine import Completion, EngineInfo, Message, Request
from runtime.errors import EngineError
from runtime.events import Arrived, Decided, Declined, Dispatched, Failed, FirstToken, Offer, Served
from runtime.policies.policy import WAITING, Agent, Decision, Fleet, Job, Policy

#: Makes a policy anew: a class, or a function that takes nothing.
Make = Callable[[], Policy]


@dataclass(frozen=True, slots=True)
class Scene:
    """A round to decide: `asked` requests of `bidders` bidders after `before` others, on agents of whom some are dead.

    `longest` is how many tokens each agent's model takes, prompts being 40 to 120 long.
    """

    asked: int
    bidders: int = 5
    before: int = 0
    longest: tuple[int, ...] = (1000, 1000, 1000)
    dead: tuple[int, ...] = ()
    refused: tuple[int, ...] = ()

    def agents(self) -> tuple[Agent, ...]:
        """Who serves: each the dearer the later, the last with a vocabulary and block size of its own."""
        made = []
        for j, longest in enumerate(self.longest):
            other = 0 < j == len(self.longest) - 1
            info = EngineInfo(
                f"model-{j // 2}",
                32 if other else 16,
                50,
                longest,
                2 + j,
                "other" if other else "usual",
                simulated=True,
            )
            made.append(Agent(f"agent-{j}", info, TokenPrices(0.01 * (j + 1), 0.001, 0.02), 2 + j, 1))
        return tuple(made)

    def fleet(self, jobs: Sequence[Sequence[Job]] = (), now_s: float = 0.0) -> Fleet:
        """The fleet with this work, none by default."""
        m = len(self.longest)
        alive = ~np.isin(np.arange(m), self.dead)
        return Fleet(self.agents(), alive, tuple(map(tuple, jobs)) or ((),) * m, now_s, np.full(m, -inf))

    def offers(self, count: int, first: int = 0, now_s: float = 0.0, refused: Sequence[int] = ()) -> list[Offer]:
        """Requests whose conversations share a prefix, from bidders who differ widely."""
        made = []
        for k in range(first, first + count):
            talk, turn = k % 7, k // 7
            tokens = tuple(range(1000 * talk, 1000 * talk + 40 + 20 * min(turn, 4)))
            words = (Message("user", "when does the ferry leave?"), Message("assistant", "at two"))
            messages = (*words * turn, words[0])
            request = Request(f"{first}/{k}", f"bidder-{k % self.bidders}", messages, 16, f"talk-{talk}", turn)
            report = (Preferences(50.0, 1.0), Preferences(0.0, 2.0), Preferences(500.0, 30.0, 5.0, 20.0))[k % 3]
            made.append(
                Offer(request, report, (tokens,) * len(self.longest), turn, now_s - 0.1 * (k % 4), frozenset(refused))
            )
        return made


SCENES: Mapping[str, Scene] = MappingProxyType(
    {
        "one request comes first": Scene(1),
        "many requests come first": Scene(40),
        "one agent serves": Scene(6, longest=(1000,), before=6),
        "one bidder asks for all": Scene(8, bidders=1, before=10),
        "an agent is dead": Scene(9, dead=(1,), before=12),
        "all agents but one are dead": Scene(9, dead=(0, 2), before=12),
        "an agent has failed these requests": Scene(5, refused=(0,), before=8),
        "some agents hold only short prompts": Scene(30, longest=(60, 1000, 90), before=8),
        "nobody who is up can hold the longer prompts": Scene(36, longest=(60, 90, 1000), dead=(2,), before=4),
        "agents are busy": Scene(12, before=45),
    }
)


@dataclass(frozen=True, slots=True)
class PolicyLaw:
    """One law: calling it with what makes a policy tries it on every scene.

    `broken` has what is wrong in a scene, or None.
    """

    name: str
    broken: Callable[[Make, Scene], str | None]

    def __call__(self, make: Make) -> int:
        """How many scenes obeyed the law.

        Raises:
            LawError: it is broken in one.
        """
        called = getattr(make, "__name__", repr(make))
        for like, scene in SCENES.items():
            try:
                wrong = self.broken(make, scene)
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}; a policy must answer"
            if wrong is not None:
                raise LawError(f"{called} breaks «{self.name}» where {like}: {wrong}")
        return len(SCENES)

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def check_policy(make: Make) -> int:
    """Hold a policy to every law; returns how many cases (laws times scenes) were tried.

    Args:
        make: makes it anew: its class, or a function that takes nothing.

    Raises:
        LawError: it breaks one; the message has the law, the scene and what is wrong.

    Example:
        >>> from mechanisms import find_mechanism
        >>> from runtime import Auction
        >>> check_policy(lambda: Auction(find_mechanism("vcg"))) >= 50
        True
    """
    if not callable(make):
        raise LawError(f"{make!r} makes no policy; give a class, or a function that takes nothing")
    try:
        made = make()
    except TypeError as error:
        raise LawError(
            f"{getattr(make, '__name__', make)!r} makes no policy when it is given nothing: {error}"
        ) from error
    lacking = [part for part in ("attach", "ready", "decide", "notice") if not callable(getattr(made, part, None))]
    if lacking or not isinstance(getattr(made, "name", None), str) or not made.name:
        raise LawError(f"{type(made).__name__} is no policy: it has no {', '.join(lacking) or 'name, a string'}")
    return sum(law(make) for law in POLICY_LAWS)


class _Life:
    """A policy with a history: requests that came to every end there is, and some that are under way."""

    def __init__(self, make: Make, scene: Scene) -> None:
        self.policy, self.scene = make(), scene
        self.policy.attach(scene.agents())
        self.now_s = 0.0
        self._jobs: list[list[tuple[int, Job]]] = [[] for _ in scene.longest]
        self._live(scene.before)

    def fleet(self) -> Fleet:
        """As it is now."""
        return self.scene.fleet([[job for _, job in jobs] for jobs in self._jobs], self.now_s)

    def offers(self) -> list[Offer]:
        """Those of the scene's round."""
        return self.scene.offers(self.scene.asked, self.scene.before, self.now_s, self.scene.refused)

    def _live(self, count: int) -> None:
        for k in range(count):
            [offer] = self.scene.offers(1, k, self.now_s)
            self.policy.notice(Arrived(self.now_s, offer))
            decided = self.policy.decide([offer], self.fleet())
            self._carry_out(k, offer, decided)
            self.now_s += 0.25

    def _carry_out(self, k: int, offer: Offer, decided: Decision) -> None:
        """The k-th request comes to the k-th of the ends that there are, over and over."""
        notice, at, end = self.policy.notice, int(decided.agents[0]), k % 9
        if at < 0:
            notice(Declined(self.now_s, offer, "nobody was worth it"))
            return
        note = decided.notes[0] if decided.notes else None
        predicted = decided.predicted[0] if decided.predicted else None
        broken = EngineError("the engine broke")
        notice(Decided(self.now_s, offer, at, int(decided.charges[0]), predicted, note))
        job = Job(note)
        if end == 0:
            notice(Failed(self.now_s, offer, at, broken, retried=False, note=note))
        elif end == 1:
            notice(Declined(self.now_s, offer, "its deadline passed in line"))
        elif end == 2:
            self._jobs[at].append((k, job))
        else:
            notice(Dispatched(self.now_s + 0.01, offer, at, 1, note))
            job = Job(note, self.now_s + 0.01)
            if end == 3:
                notice(Failed(self.now_s + 0.1, offer, at, broken, retried=True, note=note))
                # It goes back to a round, is withdrawn there, and has no agent then.
                notice(Failed(self.now_s + 0.2, offer, None, EngineError("it was cancelled"), retried=False))
            elif end == 4:
                self._jobs[at].insert(0, (k, job))
            else:
                notice(FirstToken(self.now_s + 0.1, offer, at, note))
                job = Job(note, self.now_s + 0.01, self.now_s + 0.1)
                if end == 5:
                    self._jobs[at].insert(0, (k, job))
                elif end == 6:
                    notice(Failed(self.now_s + 0.15, offer, at, broken, retried=False, note=note))
                else:
                    self._serve(offer, at, decided, end)

    def _serve(self, offer: Offer, at: int, decided: Decision, end: int) -> None:
        """Served: with nothing cached and nobody to grade it, or as cached as can be and right."""
        prompt = len(offer.tokens[at])
        cached, quality = ((0, None), (prompt // 32 * 32, 1.0))[end % 2]
        tokens = (*offer.tokens[at], 7, 8) if end % 2 else ()
        took = Completion("at two", prompt, cached, 2, 0.09, 0.2, tokens)
        note = decided.notes[0] if decided.notes else None
        predicted = decided.predicted[0] if decided.predicted else None
        charge, sent_s = int(decided.charges[0]), self.now_s + 0.01
        self.policy.notice(
            Served(
                self.now_s + 0.21, offer, at, took, self.now_s, sent_s, charge, 10_000, 10_000, quality, predicted, note
            )
        )


def _malformed(make: Make, scene: Scene) -> str | None:
    life = _Life(make, scene)
    offers = life.offers()
    decided = life.policy.decide(offers, life.fleet())
    if not isinstance(decided, Decision):
        return f"it decides a {type(decided).__name__}, not a Decision"
    for name in ("agents", "charges", "positions"):
        array = getattr(decided, name)
        if array is None and name == "positions":
            continue
        if not isinstance(array, np.ndarray) or array.dtype.kind != "i" or array.shape != (len(offers),):
            return f"its {name} are {array!r}; expected {len(offers)} integers in an array"
    if decided.charges.dtype != np.int64 or (decided.charges < 0).any():
        return f"its charges are {decided.charges!r}; expected micro-units, int64, at least 0"
    for name in ("predicted", "notes"):
        if len(getattr(decided, name)) not in (0, len(offers)):
            return f"it gives {len(getattr(decided, name))} {name}; expected {len(offers)}, or none"
    m = len(scene.longest)
    if not np.isin(decided.agents, [WAITING, UNSERVED, *range(m)]).all():
        return f"it chose agents {decided.agents.tolist()} of {m}"
    for j in range(m):
        places = [] if decided.positions is None else decided.positions[decided.agents == j].tolist()
        if len(set(places)) < len(places):
            return f"requests at agent {j} have positions {places}; two of them are one"
    return None


def _unable(make: Make, scene: Scene) -> str | None:
    life = _Life(make, scene)
    offers, fleet = life.offers(), life.fleet()
    for i, j in enumerate(map(int, life.policy.decide(offers, fleet).agents)):
        if j < 0:
            continue
        if not fleet.alive[j]:
            return f"request {i} goes to agent {j}, which is dead"
        if j in offers[i].refused:
            return f"request {i} goes to agent {j}, which has failed it before"
        if len(offers[i].tokens[j]) >= fleet.agents[j].info.max_model_len:
            return f"request {i} goes to agent {j}, which cannot hold its prompt and a token of answer"
    return None


def _changeable(make: Make, scene: Scene) -> str | None:
    life = _Life(make, scene)
    offers, fleet = life.offers(), life.fleet()
    alive = fleet.alive.copy()
    first = life.policy.decide(offers, fleet)
    written = _written(first)
    # Other requests in between: a memory of the last question would go unnoticed otherwise.
    life.policy.decide(scene.offers(3, 0, life.now_s), scene.fleet(now_s=life.now_s))
    if _written(first) != written:
        return "a later decision changes what an earlier one returned; return arrays of its own each time"
    for _ in range(2):
        again = _written(life.policy.decide(offers, fleet))
        if again != written:
            return f"the same round gets {written}, then {again}; learn in `notice`, and draw from what the offers say"
    if (fleet.alive != alive).any():
        return "it changes the fleet that it is shown"
    return None


def _never_ready(make: Make, scene: Scene) -> str | None:
    life = _Life(make, scene)
    for fleet in (life.fleet(), scene.fleet(now_s=life.now_s)):
        answers = [life.policy.ready(fleet) for _ in range(2)]
        if not all(isinstance(answer, bool) for answer in answers) or answers[0] != answers[1]:
            return f"asked twice whether it is ready, it answers {answers[0]!r} and {answers[1]!r}; expected one bool"
    if not life.policy.ready(scene.fleet(now_s=life.now_s)):
        return "it is not ready when nothing is being served: nothing would ever happen"
    return None


def _haunted(make: Make, scene: Scene) -> str | None:
    life = _Life(make, scene)
    life.policy.attach(scene.agents())
    new = make()
    new.attach(scene.agents())
    offers, fleet = scene.offers(scene.asked), scene.fleet()
    again, fresh = _written(life.policy.decide(offers, fleet)), _written(new.decide(offers, fleet))
    if again != fresh:
        return f"attached a second time it decides {again}, and a new one {fresh}; start afresh in `attach`"
    return None


def _written(decided: Decision) -> tuple[object, ...]:
    positions = None if decided.positions is None else decided.positions.tolist()
    return decided.agents.tolist(), decided.charges.tolist(), positions, tuple(decided.predicted)


POLICY_LAWS: tuple[PolicyLaw, ...] = (
    PolicyLaw("a decision fits the round", _malformed),
    PolicyLaw("who cannot serve is not chosen", _unable),
    PolicyLaw("to decide changes nothing", _changeable),
    PolicyLaw("it is ready when nothing is being served", _never_ready),
    PolicyLaw("attach starts afresh", _haunted),
)
