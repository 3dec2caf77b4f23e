"""River's trees as arrays that a kernel walks, kept up with every sample."""

from collections.abc import Mapping
from typing import Any

import numpy as np

# A depth of 6 has at most so many nodes.
MOST_NODES = 127


class FlatTrees:
    """The trees of M agents for latency, cost (leaves with linear models) and quality (leaves with class frequencies).

    Arrays as `tree_kernels.predict_pairs` describes them. `inputs` names what the trees see, in order.
    """

    def __init__(self, agents: int, inputs: tuple[str, ...]) -> None:
        self._places = {name: f for f, name in enumerate(inputs)}
        self._units = [{name: 1.0} for name in inputs]
        self._used = np.ones((3, agents), np.int64)
        self.features = np.full((3, agents, MOST_NODES), -1, np.int64)
        self.thresholds = np.zeros((3, agents, MOST_NODES))
        self.children = np.zeros((3, agents, MOST_NODES), np.int64)
        self.weights = np.zeros((2, agents, MOST_NODES, len(inputs)))
        self.frequencies = np.zeros((agents, MOST_NODES))

    def refresh(self, kind: int, agent: int, tree: Any, x: Mapping[str, float]) -> None:
        """Take over what `tree` has just learnt from x: one leaf has changed, or has been split."""
        node, k = tree._root, 0
        while self.features[kind, agent, k] >= 0:
            side = node.branch_no(x)
            node, k = node.children[side], int(self.children[kind, agent, k]) + side
        self._copy(kind, agent, node, k)

    def linear(self, model: Any) -> list[float]:
        """A linear model's weights, asked of it one by one: w * 1 is exact, and no private name is needed."""
        return [model.predict_one(unit) for unit in self._units]

    def _copy(self, kind: int, agent: int, node: Any, k: int) -> None:
        if hasattr(node, "threshold"):
            first = int(self._used[kind, agent])
            self._used[kind, agent] += 2
            self.thresholds[kind, agent, k] = node.threshold
            self.children[kind, agent, k] = first
            self.features[kind, agent, k] = self._places[node.feature]
            for side, child in enumerate(node.children):
                self._copy(kind, agent, child, first + side)
        elif kind == 2:
            self.frequencies[agent, k] = node.prediction(self._units[0]).get(True, 0.0)
        else:
            self.weights[kind, agent, k] = [node.prediction(unit) for unit in self._units]
