"""Mixes: what they are called, how they are drawn, what learns from what, and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.worlds.workloads.mix import Mix, Part, part_seed
from experiments.worlds.workloads.workload import Dialogues, Questions, Trace
from mechanisms import Preferences
from tests.experiments.worlds.mixes import ASK, BIDDERS, CODE, PARTS, TABLE, TALK, asked, mixes, trace


@settings(max_examples=25, deadline=None)
@given(part=PARTS, seed=st.integers(0, 50), shared=st.booleans())
def test_a_mix_of_one_is_that_one(part: Part, seed: int, shared: bool) -> None:
    mix = Mix({"only": part}, shared_bidders=shared)
    alone, mixed = part.draw(BIDDERS, seed), mix.draw(BIDDERS, seed)
    assert asked(alone) == asked(mixed)
    assert (alone.names, alone.types, alone.turns) == (mixed.names, mixed.types, mixed.turns)
    assert (alone.title, alone.measured) == (mixed.title, mixed.measured)
    assert [alone.graded(name) for name in alone.names] == [mixed.graded(name) for name in mixed.names]
    assert (mix.sources, mix.name) == (part.sources, part.name)
    for one, other in ((mix.training, part.training), (mix.scored, part.scored)):
        assert (one and (one.questions, one.models)) == (other and (other.questions, other.models))


@settings(max_examples=25, deadline=None)
@given(mix=mixes(2), seed=st.integers(0, 50))
def test_what_a_mix_asks_is_what_its_parts_ask_each_at_its_moment(mix: Mix, seed: int) -> None:
    mixed = mix.draw(BIDDERS, seed)
    found = sorted((round(at, 9), one.id, one.max_tokens, one.turn) for at, one, _ in asked(mixed))
    wanted, turns = [], 0
    for place, (name, part) in enumerate(mix.by_name.items()):
        alone = part.draw(BIDDERS, part_seed(seed, place))
        turns += alone.turns
        wanted += [(round(at, 9), f"{name}/{one.id}", one.max_tokens, one.turn) for at, one, _ in asked(alone)]
    assert found == sorted(wanted) and mixed.turns == turns == len(found)
    # Names of two parts never meet.
    assert len(set(mixed.names)) == len(mixed.names)
    dialogues = {one.dialogue: mixed.part_of(one.id) for _, one, _ in asked(mixed)}
    assert all(name.startswith(f"{part}/") for name, part in dialogues.items())


@settings(max_examples=25, deadline=None)
@given(mix=mixes(2), seed=st.integers(0, 20))
def test_a_seed_draws_the_same_each_time_and_the_first_part_as_it_is_alone(mix: Mix, seed: int) -> None:
    assert asked(mix.draw(BIDDERS, seed)) == asked(mix.draw(BIDDERS, seed))
    name, first = next(iter(mix.by_name.items()))
    alone = first.draw(BIDDERS, seed)
    beside = [one for one in asked(mix.draw(BIDDERS, seed)) if one[1].id.startswith(f"{name}/")]
    # Moments but for the last digit: who waits is woken now and then on the way.
    assert [(round(at, 9), one.id.removeprefix(f"{name}/"), one.bidder, said) for at, one, said in beside] == [
        (round(at, 9), one.id, one.bidder, said) for at, one, said in asked(alone)
    ]


def test_two_parts_of_one_kind_are_no_copies() -> None:
    mix = Mix({"one": TALK, "two": TALK}).draw(BIDDERS, 0)
    one, two = mix.parts.values()
    assert list(one.starts_s) != list(two.starts_s) and part_seed(3, 0) == 3
    assert len({part_seed(seed, place) for seed in range(20) for place in range(5)}) == 100


def test_bidders_are_one_in_all_parts_or_others_in_each() -> None:
    shared, apart = (Mix([TALK, ASK, CODE], shared_bidders=both).draw(BIDDERS, 5) for both in (True, False))
    alone = TALK.draw(BIDDERS, 5).types
    assert {name: shared.types[name] for name in alone} == alone
    assert set(shared.types) == {f"bidder-{k}" for k in range(BIDDERS.bidders)}
    owners = {name: {load.bidder(one) for one in load.names} for name, load in apart.parts.items()}
    assert all(one.startswith(f"{name}/bidder-") for name, own in owners.items() for one in own)
    # Others, of other types: nobody's chance is drawn twice.
    for name, true in apart.parts["questions"].types.items():
        assert true != apart.types[name.replace("questions", "trace")]
    # In both, whoever is asked for reports the truth.
    for load in (shared, apart):
        for _, request, reported in asked(load):
            assert replace(reported, stake=0.0) == load.types[request.bidder]


def test_a_bidder_of_two_types_is_refused() -> None:
    stated = Trace(trace(bidder=("bidder-0",) * 4, worth=[7.0] * 4))
    with pytest.raises(
        StudyError, match=r"Mix: bidder 'bidder-0' has one type in dialogues and another in trace; .*shar"
    ):
        Mix([TALK, stated]).draw(BIDDERS, 0)
    apart = Mix([TALK, stated], shared_bidders=False).draw(BIDDERS, 0)
    assert apart.types["trace/bidder-0"].worth == 7.0


def test_requests_of_one_moment_are_asked_in_the_order_of_the_parts() -> None:
    late, early = (Trace(trace(name, at_s=[0.0, at, at, 3.0])) for name, at in (("x.csv", 1.0), ("y.csv", 0.5)))
    ids = [one.id for _, one, _ in asked(Mix({"x": late, "y": early}).draw(BIDDERS, 0), takes_s=0.0)]
    assert ids == ["x/a/0", "y/a/0", "y/b/0", "y/0000002/0", "x/b/0", "x/0000002/0", "x/b/1", "y/b/1"]
    ids = [one.id for _, one, _ in asked(Mix({"y": early, "x": late}).draw(BIDDERS, 0), takes_s=0.0)]
    assert ids[:2] == ["y/a/0", "x/a/0"] and ids[-2:] == ["y/b/1", "x/b/1"]


def test_rates_add_up() -> None:
    many = [Questions(TABLE, rate=rate, count=2000, train=0) for rate in (3.0, 5.0)]
    moments = sorted(
        at for load in Mix(dict(zip("ab", many, strict=True))).draw(BIDDERS, 1).parts.values() for at in load.starts_s
    )
    # The slower part ends last; until the faster one ends, eight come a second, give or take five deviations.
    assert len([at for at in moments if at < 300]) == pytest.approx(2400, abs=5 * 2400**0.5)


def test_a_name_says_the_parts_and_sources_are_theirs() -> None:
    assert Mix([Dialogues(), CODE]).name == "dialogues: shipped, 0.5/s + trace: t.csv"
    apart = Mix({"a": Dialogues(), "b": Dialogues(rate=2.0)}, shared_bidders=False)
    assert apart.name == "a: shipped, 0.5/s + b: shipped, 2/s, bidders of their own"
    assert Mix([Dialogues(), ASK, CODE]).sources == (*Dialogues().sources, *ASK.sources, *CODE.sources)
    assert apart.sources == Dialogues().sources


def test_a_mix_among_parts_counts_as_its_parts() -> None:
    assert Mix([Mix([TALK, ASK]), CODE]) == Mix([TALK, ASK, CODE]) == Mix({"talk": Mix([TALK, ASK, CODE])})
    assert list(Mix({"x": Mix({"a": TALK, "b": ASK}), "y": CODE}).by_name) == ["a", "b", "y"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Mix([]), "Mix: there is no part; name one workload at least"),
        (lambda: Mix({}), "Mix: there is no part"),
        (lambda: Mix([TALK, TALK]), "Mix: two parts are called 'dialogues'; give each a name of its own"),
        (lambda: Mix({"a": TALK, "b": Mix({"a": ASK})}), "Mix: two parts are called 'a'"),
        (lambda: Mix([TALK, Mix([TALK, CODE])]), "Mix: two parts are called 'dialogues'"),
        (lambda: Mix({"a": Mix([TALK, ASK]), "b": CODE}, shared_bidders=False), "Mix: a says shared_bidders = True"),
        (lambda: Mix(TALK), r"Mix: parts = Dialogues\("),
        (lambda: Mix("shipped"), "Mix: parts = 'shipped'; expected workloads"),
        (lambda: Mix([Dialogues]), "Mix: type is <class .*; a part is Dialogues, Questions, a Trace or a Mix"),
        (lambda: Mix({"a": None}), "Mix: a is None"),
        (lambda: Mix({"a/b": TALK}), "Mix: a part is called 'a/b'; expected letters, digits, - and _"),
        (lambda: Mix({"": TALK}), "Mix: a part is called ''"),
        (lambda: Mix({1: TALK}), "Mix: a part is called 1"),
        (lambda: Mix([TALK], shared_bidders="no"), "Mix: shared_bidders = 'no'; expected true or false"),
    ],
)  # fmt: skip
def test_what_can_be_no_mix_is_refused_in_one_line(make, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StudyError, match=said) as raised:
        make()
    assert "\n" not in str(raised.value)


def table(title: str, questions: str, *models: str) -> AnswerTable:
    return AnswerTable(
        title, tuple(questions), models, np.linspace(0, 1, len(questions) * len(models)).reshape(-1, len(models))
    )


def test_what_is_learnt_from_is_asked_by_no_part() -> None:
    few, many = (Questions(TABLE, count=3, train=train) for train in (3, 6))
    mix = Mix({"few": few, "many": many})
    assert (
        few.training is not None and many.training is not None and mix.training is not None and mix.scored is not None
    )
    # What one part keeps out another asks: only what both keep out is left.
    assert set(mix.training.questions) == set(few.training.questions) & set(many.training.questions)
    assert not set(mix.training.questions) & set(mix.scored.questions)
    assert len(mix.training.questions) == len(set(mix.training.questions)) == 3
    assert Mix({"few": few, "all": Questions(TABLE, count=3, train=0)}).training is None
    assert Mix([TALK, CODE]).training is None and Mix([TALK, CODE]).scored is None


def test_tables_are_joined_on_the_models_that_all_have() -> None:
    one, two = table("one.json", "abcd", "x-8b", "y-8b", "z-8b"), table("two.json", "cdef", "z-8b", "y-8b", "w-8b")
    mix = Mix({"one": Questions(one, train=1), "two": Trace(trace(), answers=two, train=1)})
    assert mix.models == ("y-8b", "z-8b")
    assert mix.scored is not None and mix.scored.models == ("y-8b", "z-8b")
    for name in mix.scored.questions:
        # Of a question that two tables have, the first counts.
        source = one if name in one.questions and name in Questions(one, train=1).scored.questions else two
        row = source.scores[source.questions.index(name)]
        at = mix.scored.questions.index(name)
        assert mix.scored.scores[at].tolist() == [row[source.models.index(model)] for model in mix.models]


def test_tables_without_a_model_in_common_are_refused() -> None:
    mix = Mix(
        {
            "one": Questions(table("one.json", "ab", "x-8b"), train=0),
            "two": Questions(table("two.json", "cd", "y-8b"), train=0),
        }
    )
    with pytest.raises(
        StudyError,
        match=r"workload\.mix: no agent could answer both one and two: two\.json has the models y-8b, .* x-8b",
    ):
        _ = mix.models


def test_a_warm_up_is_on_nothing_that_a_part_holds() -> None:
    warm = Dialogues(dialogues=4, warm_up=3)
    assert Mix([warm]).held_out == warm.held_out
    # The other part holds all fourteen.
    assert Mix({"warm": warm, "all": Dialogues()}).held_out == ()
    twice = Mix({"warm": warm, "again": Dialogues(dialogues=2, warm_up=2)})
    assert [one.id for one in twice.held_out] == [one.id for one in warm.held_out]


def test_a_trace_beside_graded_parts_teaches_nobody_and_its_answers_still_count_as_right() -> None:
    beside, scored, alone = (
        Mix(parts).draw(BIDDERS, 0)
        for parts in ([TALK, CODE], [TALK, replace(CODE, answers=TABLE, train=4)], {"x": CODE, "y": Trace(trace("y"))})
    )
    [request] = [one for _, one, _ in asked(beside) if one.id == "trace/a/0"]
    assert beside.grade(request, "right") is None and not beside.graded("trace/a")
    assert scored.grade(request, "right") == 1.0 and scored.graded("trace/a")
    # Where nothing else is graded a trace is as it is alone.
    assert alone.graded("x/a") and alone.grade(replace(request, id="x/a/0"), "") == 1.0
    assert isinstance(beside.types["bidder-0"], Preferences)


def began(mix: Mix, seed: int = 0) -> dict[str, list[float]]:
    """Moments at which each part's conversations begin."""
    return {name: list(load.starts_s) for name, load in mix.draw(BIDDERS, seed).parts.items()}


def test_shares_divide_arrivals_and_rates_add_up_to_what_they_were() -> None:
    ask, slow = Questions(TABLE, rate=3.0, count=2000, train=0), Questions(TABLE, rate=1.0, count=900, train=0)
    mix = Mix({"a": ask, "b": slow}, share={"b": 2, "a": 8})
    found = began(mix)
    # All of the first: a quarter as many of the second, at a quarter of the pace, so that both end at about one time.
    assert {name: len(at) for name, at in found.items()} == {"a": 2000, "b": 500}
    assert found["a"][-1] == pytest.approx(2000 / 3.2, rel=0.1) and found["b"][-1] == pytest.approx(500 / 0.8, rel=0.2)
    # The same moments, closer together or farther apart; in whatever unit shares are said.
    alone = ask.draw(BIDDERS, 0)
    assert found["a"] == pytest.approx([at * 3.0 / 3.2 for at in alone.starts_s])
    assert began(Mix({"a": ask, "b": slow}, share=[0.4, 0.1])) == found
    assert mix.name == "a: ten.json, 3/s, count 2000, train 0, share 8 + b: ten.json, 1/s, count 900, train 0, share 2"
    assert len(mix.draw(BIDDERS, 0).names) == 2500 == mix.draw(BIDDERS, 0).turns


def test_shares_are_of_conversations_and_of_requests_of_a_trace() -> None:
    found = Mix([replace(TALK, repeat=4), CODE], share=[2, 1]).draw(BIDDERS, 0)
    # The trace has four requests in three seconds, the dialogues are eight conversations.
    assert {name: len(load.starts_s) for name, load in found.parts.items()} == {"dialogues": 8, "trace": 4}
    rate = 2.0 + 4 / 3
    assert found.parts["trace"].starts_s[-1] == pytest.approx(3.0 * (4 / 3) / (rate / 3))
    assert found.turns == 8 * 2 + 4 and len(asked(found)) == found.turns
    cut = Mix([replace(TALK, repeat=4), CODE], share=[1, 2]).draw(BIDDERS, 0)
    assert {name: len(load.starts_s) for name, load in cut.parts.items()} == {"dialogues": 2, "trace": 4}
    assert cut.title.endswith("trace: t.csv, 1.66667 times as fast")


def test_without_shares_parts_have_their_own_size_and_rate() -> None:
    parts = {"talk": TALK, "ask": ASK}
    assert Mix(parts).share is None and Mix(parts, share={"talk": 1, "ask": 1}) != Mix(parts)
    assert began(Mix(parts)) == {
        "talk": list(TALK.draw(BIDDERS, 0).starts_s),
        "ask": list(ASK.draw(BIDDERS, part_seed(0, 1)).starts_s),
    }
    # A mix of one is that one, whatever its share.
    assert asked(Mix({"only": TALK}, share=[7]).draw(BIDDERS, 3)) == asked(TALK.draw(BIDDERS, 3))


def test_a_mix_among_parts_divides_its_share_as_it_divides_its_own() -> None:
    inner = Mix({"a": TALK, "b": ASK}, share=[3, 1])
    assert Mix({"both": inner, "c": CODE}, share=[0.8, 0.2]).by_share == pytest.approx({"a": 0.6, "b": 0.2, "c": 0.2})
    again = Mix({"both": inner, "c": CODE}, share=[0.8, 0.2])
    assert replace(again, shared_bidders=True) == again


@pytest.mark.parametrize(
    ("share", "said"),
    [
        ([1, 0], "Mix: share of trace = 0; expected a number, more than 0"),
        ([1, -1.0], "Mix: share of trace = -1.0; expected"),
        ([float("nan"), 1], "Mix: share of dialogues = nan; expected"),
        ([True, 1], "Mix: share of dialogues = True; expected"),
        (["1", 1], "Mix: share of dialogues = '1'; expected"),
        ([1], "Mix: 1 shares of 2 parts; say it of each part or of none"),
        (0.5, "Mix: share = 0.5; expected a number for each part"),
        ({"dialogues": 1}, "Mix: share: 'trace' has no share; there are the parts dialogues, trace"),
        (
            {"dialogues": 1, "trace": 1, "code": 2},
            "Mix: share: 'code' has no part; there are the parts dialogues",
        ),
    ],
)
def test_shares_that_are_none_are_refused(share: object, said: str) -> None:
    with pytest.raises(StudyError, match=said.replace("[", r"\[")):
        Mix([TALK, CODE], share=share)  # type: ignore[arg-type]


def test_shares_of_some_parts_or_of_a_moment_are_refused() -> None:
    inner = Mix({"a": TALK, "b": ASK})
    with pytest.raises(StudyError, match="the parts of both have no share of arrivals"):
        Mix({"both": inner, "c": CODE}, share=[1, 1])
    with pytest.raises(StudyError, match="both has no share of arrivals"):
        Mix({"both": replace(inner, share=[1, 1]), "c": CODE})
    at_once = Trace(trace(at_s=[0.0] * 4))
    with pytest.raises(StudyError, match="all of b comes at one moment, which is no share of a second"):
        Mix({"a": TALK, "b": at_once}, share=[1, 1]).draw(BIDDERS, 0)
