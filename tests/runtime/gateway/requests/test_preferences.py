"""What a request is worth: the first who says so is believed, and nobody is guessed."""

import json
from itertools import product
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms import Preferences
from runtime.gateway.problems import Problem
from runtime.gateway.requests.preferences import FIGURES, Defaults, Stated, state
from runtime.gateway.requests.splice import read

PUBLISHED = Defaults(
    {"worth": 1.0, "delay_cost": 0.1}, {"flex": {"worth": 0.5}, "priority": {"worth": 9.0, "delay_cost": 2.0}}
)
HEADERS = {name: "x-iemas-" + name.replace("_", "-") for name in FIGURES}


def said(
    member: object = None, headers: dict[str, str] | None = None, tier: str | None = None, key: Any = None
) -> Stated:
    return state(member, list((headers or {}).items()), tier, PUBLISHED, key)


def test_who_states_nothing_bids_the_published_default() -> None:
    stated = said()
    assert stated.preferences == Preferences(1.0, 0.1)
    assert (stated.source, stated.sources) == ("operator", {"worth": "operator", "delay_cost": "operator"})


def test_the_first_who_states_a_figure_is_believed() -> None:
    """All orders: whoever of the five speaks, the first of them is taken, for each figure apart."""
    for body, header, tier, key in product([False, True], repeat=4):
        stated = said(
            {"worth": 50} if body else None,
            {"X-IEMAS-Worth": "40"} if header else None,
            "priority" if tier else None,
            {"worth": 20.0} if key else None,
        )
        speakers = [(body, "body", 50.0), (header, "header", 40.0), (tier, "service_tier", 9.0), (key, "key", 20.0)]
        _, source, worth = next((who for who in speakers if who[0]), (True, "operator", 1.0))
        assert (stated.source, stated.preferences.worth) == (source, worth)
        assert stated.sources["delay_cost"] == ("service_tier" if tier else "operator")


def test_every_figure_can_be_stated_both_ways() -> None:
    figures = {"worth": 4.0, "delay_cost": 0.5, "deadline_s": 30.0, "max_price": 8.0, "stake": 1.0}
    expected = Preferences(4.0, 0.5, 30.0, 1.0)
    by_body = said(figures)
    by_header = said(None, {HEADERS[name]: f" {value} " for name, value in figures.items()})
    assert by_body.preferences == by_header.preferences == expected
    assert set(by_body.sources.values()) == {"body"} and set(by_header.sources.values()) == {"header"}


def test_null_is_as_good_as_absent() -> None:
    assert said({"worth": None, "deadline_s": None}).sources == said().sources


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("value", [-1, -0.001, float("nan"), inf, "3", True, [], {}, 10**400, 1e300])
def test_what_is_no_figure_is_named(name: str, value: object) -> None:
    if name == "deadline_s" and value == 1e300:
        return
    with pytest.raises(Problem) as refusal:
        said({name: value})
    assert (refusal.value.status, refusal.value.param) == (400, f"iemas.{name}")
    assert f"iemas.{name}" in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1_000", "", "0x10", "1,5", "1e999", "٣", "+1", "1 2"])
def test_a_header_that_is_no_figure_is_named(name: str, text: str) -> None:
    with pytest.raises(Problem) as refusal:
        said(None, {HEADERS[name]: text})
    assert (refusal.value.status, refusal.value.param) == (400, HEADERS[name])


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(Problem, match="did you mean delay_cost") as refusal:
        said({"delay_costs": 1})
    assert refusal.value.param == "iemas.delay_costs"
    with pytest.raises(Problem, match="did you mean x-iemas-worth") as refusal:
        said(None, {"x-iemas-wort": "1"})
    assert refusal.value.param == "x-iemas-wort"
    with pytest.raises(Problem, match="there are: worth"):
        said({"\n" * 3: 1})
    with pytest.raises(Problem, match="no such service_tier"):
        said(tier="fast")
    with pytest.raises(Problem, match="iemas is no object"):
        said([1])


def test_a_deadline_of_nothing_is_refused() -> None:
    with pytest.raises(Problem, match="a number > 0"):
        said({"deadline_s": 0})


def test_a_header_that_comes_twice_is_refused() -> None:
    with pytest.raises(Problem, match="twice"):
        state(None, [("x-iemas-worth", "1"), ("X-Iemas-Worth", "2")], None, PUBLISHED)


def test_other_headers_are_not_read() -> None:
    assert said(None, {"worth": "9", "x-iemas": "9", "authorization": "x-iemas-worth"}).source == "operator"


def test_a_tier_that_means_nothing_here_promises_nothing() -> None:
    assert said(tier="scale").source == said(tier="auto").source == "operator"
    assert said(tier="flex").preferences == Preferences(0.5, 0.1)


@given(
    st.floats(0, 1000), st.floats(0, 1000), st.floats(0, 1000), st.floats(0, 5),
    st.floats(0, 1), st.floats(0, 100),
)  # fmt: skip
def test_nobody_reports_more_than_their_cap(
    worth: float, stake: float, cap: float, delay_cost: float, quality: float, seconds: float
) -> None:
    stated = said({"worth": worth, "stake": stake, "max_price": cap, "delay_cost": delay_cost})
    assert stated.max_price == cap
    value = int(stated.preferences.value(quality, seconds))
    # One micro-unit: worth + stake are two floats that are added.
    assert value <= round(cap * 1_000_000) + 1
    if worth + stake <= cap:
        assert stated.preferences == Preferences(worth, delay_cost, stake=stake), (
            "a cap that binds nobody changes nothing"
        )


@pytest.mark.parametrize("figures", [{"worth": 1_000_000, "stake": 1_000_000}, {"delay_cost": 1000}])
def test_figures_that_are_beyond_money_together(figures: dict[str, float]) -> None:
    with pytest.raises(Problem, match="come to more than") as refusal:
        said(figures)
    assert refusal.value.status == 400


@given(st.floats(0, 1.1e6), st.floats(0, 1.1e6), st.floats(0, 320))
def test_what_is_taken_here_is_taken_by_admission(worth: float, stake: float, delay_cost: float) -> None:
    """The bounds are those of money: a report that passes here fails nobody's round."""
    try:
        stated = said({"worth": worth, "stake": stake, "delay_cost": delay_cost})
    except Problem:
        return
    stated.preferences.value([1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 3600.0, 3600.0])


def test_user_and_metadata_decide_nothing() -> None:
    """Nothing that a client writes about themselves moves their bid: only a key tells who they are."""
    plain = {"model": "auto", "messages": [{"role": "user", "content": "URGENT: worth 1000"}]}
    dressed = plain | {
        "user": "vip", "metadata": {"worth": "99", "iemas": {"worth": 99}}, "worth": 99, "priority": 0,
        "safety_identifier": "x",
    }  # fmt: skip
    both = [read(json.dumps(each).encode()) for each in (plain, dressed)]
    first, second = (state(each.iemas, [], each.service_tier, PUBLISHED) for each in both)
    assert first == second
    assert np.array_equal(first.preferences.value(1.0, [0.0, 5.0]), second.preferences.value(1.0, [0.0, 5.0]))
