"""The tree of texts, against all texts compared one by one."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from experiments.errors import StudyError
from experiments.routers.plain.texts import PrefixTree, alike, prompt_text
from tests.experiments.routers.plain.talks import asked

TEXTS = st.text("ab", max_size=9)
AGENTS = st.integers(0, 2)


@given(st.lists(st.tuples(TEXTS, AGENTS), max_size=14), TEXTS)
def test_what_matches_is_the_longest_begin_of_any_text_of_that_agent(told: list[tuple[str, int]], asked: str) -> None:
    tree = PrefixTree(3)
    for text, agent in told:
        tree.insert(text, agent)
    matched, used = tree.match(asked)
    for agent in range(3):
        of_agent = [text for text, whose in told if whose == agent]
        assert matched[agent] == max((alike(text, asked) for text in of_agent), default=0)
        begins = {text[:k] for text in of_agent for k in range(1, len(text) + 1)}
        assert tree.stored[agent] == len(begins)
        if matched[agent]:
            last = max(k for k, (text, whose) in enumerate(told, 1) if whose == agent and alike(text, asked) > 0)
            assert 0 < used[agent] <= last
            longest = asked[: matched[agent]]
            assert used[agent] >= max(
                k for k, (text, whose) in enumerate(told, 1) if whose == agent and text.startswith(longest)
            )


@example([("aaaaaaaa", 0), ("aaaaaaaab", 0)], 8)
@settings(max_examples=60)
@given(st.lists(st.tuples(TEXTS, AGENTS), max_size=30), st.integers(1, 20))
def test_no_agent_has_more_than_may_be_remembered_and_the_others_keep_theirs(
    told: list[tuple[str, int]], most: int
) -> None:
    bounded, free = PrefixTree(3, most), PrefixTree(3)
    for text, agent in told:
        wanted = bounded.stored[agent] + len(text) - bounded.match(text)[0][agent]
        bounded.insert(text, agent)
        free.insert(text, agent)
        # Where too much came, a tenth is free again.
        assert bounded.stored[agent] == wanted <= most or bounded.stored[agent] <= 0.9 * most < wanted
        assert (bounded.match(text)[0] <= free.match(text)[0]).all()
    open_ = list(bounded._root.children.values())
    while open_:
        node = open_.pop()
        assert node.held, "nobody holds it"
        open_ += node.children.values()
    for agent in range(3):
        # What it remembers hangs together: every begin of a text that matches, and as many as it says.
        assert sum(len(node.edge) for node in bounded._nodes(agent)) == bounded.stored[agent]
        if free.stored[agent] <= most:
            assert all(bounded.match(text)[0][agent] == len(text) for text, whose in told if whose == agent)


def test_ends_go_first_that_were_used_least_recently() -> None:
    tree = PrefixTree(1, 30)
    for text in ("shared: first ones", "shared: second", "shared: first ones"):
        tree.insert(text, 0)
    tree.insert("other", 0)
    assert tree.stored[0] == 29
    tree.insert("more", 0)
    assert tree.match("shared: second")[0] == [8] and tree.match("shared: first ones")[0] == [18]


def test_a_tree_of_nobody_and_one_of_nothing_are_refused() -> None:
    for agents, most in ((0, 5), (2, 0)):
        with pytest.raises(StudyError, match="expected at least 1 of both"):
            PrefixTree(agents, most)


def test_a_prompt_is_what_its_messages_say() -> None:
    assert prompt_text(asked("r", "one", "two", "three")) == "one\ntwo\nthree"
