"""A learned router at work: held to every law of a policy, follows its scores, and serves the auction as its skill."""

from collections import Counter

import numpy as np
import pytest

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.factors import MFRouter
from experiments.routers.learned.logistic import LogisticRouter
from experiments.routers.learned.policy import Calibrated, LearnedSkill, Routed
from mechanisms import Preferences, find_mechanism
from prediction import HashedNgrams
from prediction.quality.embedding import Vector
from runtime import Agent, Auction, Offer, check_policy
from runtime.policies.forecast import Forecaster
from tests.runtime.policies.test_paper import agent, fleet, offer

SUMS, VERSES = [f"what is {k} plus {k + 3}?" for k in range(30)], [f"write verse {k} of a poem" for k in range(30)]


class Counting:
    """Hashed n-grams that count how often they are asked."""

    def __init__(self) -> None:
        self._grams, self.asked = HashedNgrams(64), Counter[str]()

    @property
    def size(self) -> int:
        return self._grams.size

    def embed(self, text: str) -> Vector:
        self.asked[text] += 1
        return self._grams.embed(text)


def fitted(models: tuple[str, ...] = ("sums", "verse"), users: list[str] | None = None) -> LogisticRouter:
    """The first model can add up, the second makes verses."""
    scores = np.array([[1.0, 0.0]] * len(SUMS) + [[0.0, 1.0]] * len(VERSES))
    if len(models) == 1:
        scores = scores[:, :1]
    table = AnswerTable("own", (*SUMS, *VERSES), models, scores)
    router = LogisticRouter(1e-3, with_users=users is not None)
    router.fit(np.array([HashedNgrams(64).embed(text) for text in table.questions]), table, users=users)
    return router


def agents() -> list[Agent]:
    return [agent("sums"), agent("verse"), agent("verse", slots=8)]


def attached(**settings: bool) -> Routed:
    policy = Routed(fitted(), HashedNgrams(64), **settings)
    policy.attach(agents())
    return policy


def asked(text: str, name: str = "r", **more: str) -> Offer:
    return offer(name, text, agents=3, **more)


@pytest.mark.parametrize("capacity", [False, True])
def test_it_is_a_policy(capacity: bool) -> None:
    router = fitted(("model-0", "model-1"))
    assert check_policy(lambda: Routed(router, HashedNgrams(64), capacity=capacity)) >= 50


def test_the_auction_with_learned_skill_is_a_policy() -> None:
    router = fitted(("model-0", "model-1"))

    def make() -> Auction:
        return Auction(
            find_mechanism("vcg"), lambda: Forecaster(lambda fleet: LearnedSkill(router, HashedNgrams(64), fleet))
        )

    assert check_policy(make) >= 50


def test_a_question_goes_where_it_is_answered_and_of_two_agents_to_the_less_loaded() -> None:
    policy = attached()
    offers = [asked("what is 41 plus 44?"), asked("write verse 99 of a poem"), asked("write verse 98 of a poem")]
    assert policy.decide(offers, fleet(agents(), inflight=[9, 2, 1])).agents.tolist() == [0, 2, 2]
    # Loads are for their capacities, and this round's picks count.
    assert policy.decide(offers, fleet(agents(), inflight=[0, 0, 1])).agents.tolist() == [0, 1, 2]
    assert policy.decide(offers, fleet(agents(), alive=[False, True, False])).agents.tolist() == [1, 1, 1]
    assert policy.decide(offers, fleet(agents(), alive=[False, False, False])).agents.tolist() == [-1, -1, -1]


def test_only_capacity_leaves_a_full_agent_alone_and_says_so() -> None:
    plain, careful = attached(), attached(capacity=True)
    assert (plain.name, careful.name) == ("logistic", "logistic+capacity")
    full = fleet(agents(), inflight=[4, 0, 0])
    offers = [asked("what is 41 plus 44?")]
    assert plain.decide(offers, full).agents.tolist() == [0]
    assert careful.decide(offers, full).agents.tolist() != [0]
    everybody = fleet(agents(), inflight=[4, 4, 8])
    assert careful.decide(offers, everybody).agents.tolist() == [0]


def test_the_last_question_is_embedded_once_and_reports_are_not_read() -> None:
    embedder = Counting()
    policy = Routed(fitted(), embedder)
    policy.attach(agents())
    talk = offer("r", "write verse 1 of a poem", "there once was", "what is 2 plus 5?", agents=3)
    richer = Offer(talk.request, Preferences(9000.0, 3.0), talk.tokens, talk.turn)
    for one in (talk, talk, richer):
        assert policy.decide([one], fleet(agents())).agents.tolist() == [0]
    assert embedder.asked == {"what is 2 plus 5?": 1}


def test_who_asks_counts_where_users_are_known() -> None:
    table = AnswerTable("own", tuple("?" * (k + 1) for k in range(40)), ("sums", "verse"), np.eye(2)[np.arange(40) % 2])
    router = LogisticRouter(1e-3, with_users=True)
    router.fit(np.ones((40, 64), np.float32), table, users=[("ann", "bob")[k % 2] for k in range(40)])
    policy = Routed(router, HashedNgrams(64))
    policy.attach(agents()[:2])
    two = [offer("r", "?", agents=2, bidder=bidder) for bidder in ("ann", "bob")]
    assert policy.decide(two, fleet(agents()[:2])).agents.tolist() == [0, 1]


def test_a_model_that_is_not_in_the_table_is_named() -> None:
    policy = Routed(fitted(), HashedNgrams(64))
    with pytest.raises(StudyError, match=r"not learnt what 'prose' answers.*knows sums, verse.*`called`"):
        policy.attach([*agents(), agent("prose")])
    called = Routed(fitted(), HashedNgrams(64), called={"prose": "verse"})
    called.attach([agent("sums"), agent("prose")])
    assert called.decide([offer("r", "write verse 3 of a poem")], fleet(agents()[:2])).agents.tolist() == [1]
    called.join(agent("sums"))
    assert called.decide([asked("what is 2 plus 5?")], fleet(agents(), [3, 0, 0])).agents.tolist() == [2]
    with pytest.raises(StudyError, match="call `fit` first"):
        Routed(MFRouter(), HashedNgrams(64))


def test_skill_is_what_the_router_foretells_until_grades_say_otherwise() -> None:
    router = fitted()
    skill = LearnedSkill(router, HashedNgrams(64), agents(), weight=10.0)
    one = asked("what is 41 plus 44?")
    [before] = skill.predict([one])
    assert before.tolist() == pytest.approx(
        router.scores(HashedNgrams(64).embed("what is 41 plus 44?")[None])[0][[0, 1, 1]]
    )
    assert before[0] > 0.8 and before[1] < 0.2 and skill.predict([]).shape == (0, 3)
    doubt = skill.doubt()
    skill.learn(one, 0, None)
    np.testing.assert_array_equal(skill.doubt(), doubt)
    for _ in range(30):
        skill.learn(one, 0, False)
    [after] = skill.predict([one])
    assert after[0] == pytest.approx(before[0] * 10 / 40) and after[1] == before[1]
    assert skill.doubt()[0] < doubt[0] == skill.doubt()[1]
    skill.join([*agents(), agent("sums")])
    assert skill.predict([one])[0, 3] == after[0]


def test_a_router_that_only_ranks_is_no_skill_before_it_is_calibrated() -> None:
    ranks = MFRouter()
    table = AnswerTable("own", (*SUMS, *VERSES), ("sums", "verse"), np.repeat(np.eye(2), 30, axis=0))
    vectors = np.array([HashedNgrams(64).embed(text) for text in table.questions])
    ranks.fit(vectors, table)
    with pytest.raises(StudyError, match=r"fit Calibrated\(mf\)"):
        LearnedSkill(ranks, HashedNgrams(64), agents())
    calibrated = Calibrated(MFRouter())
    calibrated.fit(vectors, table)
    [chance] = LearnedSkill(calibrated, HashedNgrams(64), agents()).predict([asked("what is 41 plus 44?")])
    assert chance[0] > 0.6 > 0.4 > chance[1]
    with pytest.raises(StudyError, match=r"weighs 0\.0"):
        LearnedSkill(calibrated, HashedNgrams(64), agents(), weight=0.0)
