"""`Reports`: which reports on a grid a market holds; how rules that are tables find their row."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from allocation import FORBIDDEN, Market
from allocation.money import Money
from proofs.errors import AuditError
from proofs.scopes.grid import Grid


@dataclass(frozen=True)
class Reports:
    """The inverse of `Grid.market`.

    Example:
        >>> grid = Grid(bidders=2, agents=1, values=range(3))
        >>> Reports(grid).rows(grid.market(5))
        (1, 2)
    """

    grid: Grid

    def rows(self, market: Market) -> tuple[int, ...]:
        """Index of each player's reported type; agents are players where their terms are private.

        Raises:
            AuditError: the market is off the grid; the message names the player.
        """
        template = self.grid.template
        public = ["bidders"] if self.grid.agent_types else ["bidders", "costs", "capacities"]
        if market.shape != template.shape or not (
            all(np.array_equal(getattr(market, name), getattr(template, name)) for name in public)
            and np.array_equal(market.weights == FORBIDDEN, template.weights == FORBIDDEN)
        ):
            raise AuditError(f"{market} has other public terms than {self.grid}, for which this table was made")
        said = [market.values[market.requests_of(bidder)].tobytes() for bidder in range(self.grid.bidders)]
        if self.grid.agent_types:
            said += [_terms(row, room) for row, room in zip(market.costs.T, market.capacities.tolist(), strict=True)]
        found = [known.get(report) for known, report in zip(self._types, said, strict=True)]
        if None in found:
            raise AuditError(
                f"player {found.index(None)} reports something off {self.grid}, for which this table was made, in "
                f"{market}; make it for a grid that holds this report"
            )
        return tuple(index for index in found if index is not None)

    @cached_property
    def _types(self) -> tuple[dict[bytes, int], ...]:
        grid = self.grid
        reports = [[rows.tobytes() for rows in grid.types(bidder)] for bidder in range(grid.bidders)]
        reports += [
            [_terms(row, room) for row, room in zip(types.rows, types.room.tolist(), strict=True)]
            for types in grid.agent_types
        ]
        return tuple({report: index for index, report in enumerate(column)} for column in reports)


def _terms(costs: Money, capacity: int) -> bytes:
    return np.append(costs, capacity).tobytes()
