"""`PrefixTree`: which prompts each agent was given, as a radix tree of characters (Morrison 1968) that is bounded."""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import count

import numpy as np
from numpy.typing import NDArray

from experiments.errors import StudyError
from runtime import Offer

#: Characters remembered of each agent, as many as vllm-router's trees hold.
_MOST = 2**26


class _Node:
    __slots__ = ("children", "edge", "held", "parent")

    def __init__(self, edge: str, parent: "_Node | None", held: dict[int, int]) -> None:
        self.edge, self.parent, self.held = edge, parent, held
        self.children: dict[str, _Node] = {}

    def ends(self, agent: int) -> bool:
        """Whether no longer text of the agent goes on from here."""
        return not any(agent in child.held for child in self.children.values())


class PrefixTree:
    """Texts by agent; the longest begin that a text shares with any of them.

    Args:
        agents: how many.
        most: characters that are remembered of each; beyond them the ends of texts go that were used least recently,
            until a tenth is free.

    Raises:
        StudyError: there is no agent, or nothing may be remembered.

    Example:
        >>> tree = PrefixTree(2)
        >>> tree.insert("when does the ferry leave?", 1)
        >>> tree.match("when does the bus leave?")[0]
        array([ 0, 14])
    """

    def __init__(self, agents: int, most: int = _MOST) -> None:
        if agents < 1 or most < 1:
            raise StudyError(f"a tree of {agents} agents and {most} characters each; expected at least 1 of both")
        #: (M,) characters remembered of each agent.
        self.stored = np.zeros(agents, np.int64)
        self._most = most
        self._clock = 0
        self._root = _Node("", None, {})

    def match(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(M,) characters that each agent has seen the text begin with, and (M,) when it last did; changes nothing."""
        matched, used = np.zeros((2, self.stored.size), np.int64)
        node, at = self._root, 0
        while at < len(text) and text[at] in node.children:
            node = node.children[text[at]]
            common = shared(node.edge, text, at)
            for agent, when in node.held.items():
                matched[agent], used[agent] = at + common, when
            at += common
            if common < len(node.edge):
                break
        return matched, used

    def insert(self, text: str, agent: int) -> None:
        """The agent was given this text."""
        self._clock += 1
        node, at = self._root, 0
        while at < len(text):
            child = node.children.get(text[at])
            if child is None:
                node.children[text[at]] = _Node(text[at:], node, {agent: self._clock})
                self.stored[agent] += len(text) - at
                break
            common = shared(child.edge, text, at)
            if common < len(child.edge):
                child = _split(child, common)
            if agent not in child.held:
                self.stored[agent] += common
            child.held[agent] = self._clock
            node, at = child, at + common
        if self.stored[agent] > self._most:
            self._evict(agent)

    def _evict(self, agent: int) -> None:
        order = count()
        ends = [(node.held[agent], next(order), node) for node in self._nodes(agent) if node.ends(agent)]
        heapify(ends)
        while ends and self.stored[agent] > 0.9 * self._most:
            _, _, node = heappop(ends)
            del node.held[agent]
            self.stored[agent] -= len(node.edge)
            parent = node.parent
            assert parent is not None
            if not node.held:
                del parent.children[node.edge[0]]
            if agent in parent.held and parent.ends(agent):
                heappush(ends, (parent.held[agent], next(order), parent))

    def _nodes(self, agent: int) -> list[_Node]:
        found, open_ = [], [self._root]
        while open_:
            held = [child for child in open_.pop().children.values() if agent in child.held]
            found += held
            open_ += held
        return found


def _split(node: _Node, at: int) -> _Node:
    """Cut a node's edge; returns the upper part, which whoever held the node holds too."""
    assert node.parent is not None
    upper = _Node(node.edge[:at], node.parent, dict(node.held))
    node.parent.children[upper.edge[0]] = upper
    node.edge, node.parent = node.edge[at:], upper
    upper.children[node.edge[0]] = node
    return upper


def shared(edge: str, text: str, at: int = 0) -> int:
    """Characters that `text` has in common with `edge` from `at` on."""
    if text.startswith(edge, at):
        return len(edge)
    return alike(edge, text[at : at + len(edge)])


def alike(one: Sequence[object], other: Sequence[object]) -> int:
    """How many items two sequences have in common from their beginnings on."""
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def prompt_text(offer: Offer) -> str:
    """What its messages say, joined by line ends: what routers compare that do not know tokens."""
    return "\n".join(message.content for message in offer.request.messages)
