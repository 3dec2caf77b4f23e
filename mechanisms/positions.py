"""Several requests of one round at one agent: positions in its line, each a column of the market.

Who stands behind others waits for them, so what an agent is worth to a bidder would depend on who else is served there:
an externality that no table of values can state. Positions repair it. Column (j, k) is the k-th place in agent j's line
of this round, of capacity one; its wait is stated before anybody reports, and values fall in k, so a matching
leaves no gap that matters (Shapley and Shubik 1971 for the assignment game; Edelman, Ostrovsky and Schwarz 2007 and
Varian 2007 for positions with fixed terms).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allocation import UNSERVED


@dataclass(frozen=True, slots=True)
class Positions:
    """The columns (agent, position) of a round, agent by agent.

    `agents` (C,) and `ranks` (C,) say which place a column is; ranks count from 0 within each agent.

    Example:
        >>> places = Positions.of([2, 1])
        >>> places.agents.tolist(), places.ranks.tolist()
        ([0, 0, 1], [0, 1, 0])
    """

    agents: NDArray[np.int64]
    ranks: NDArray[np.int64]

    @classmethod
    def of(cls, lengths: "list[int] | NDArray[np.int64]") -> "Positions":
        """As many places at each agent as `lengths` (M,) says."""
        counts = np.asarray(lengths, np.int64)
        agents = np.repeat(np.arange(counts.size), counts)
        before = np.cumsum(counts) - counts
        return cls(agents, np.arange(agents.size) - before[agents])

    def agent_of(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) the agent of each request's column, `UNSERVED` where it has none."""
        return np.where(columns >= 0, self.agents[np.maximum(columns, 0)] if self.agents.size else UNSERVED, UNSERVED)

    def rank_of(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) the rank of each request's column, 0 where it has none."""
        return np.where(columns >= 0, self.ranks[np.maximum(columns, 0)] if self.ranks.size else 0, 0)
