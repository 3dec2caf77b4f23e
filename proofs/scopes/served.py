"""`Served`: markets that were met, with misreports of the size of what is reported there. Can refute, never verify."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocation import Market
from proofs.errors import AuditError
from proofs.scopes.checks import at_least


@dataclass(frozen=True, eq=False)
class Served:
    """Markets as they are, each the truth of one draw; a bidder may report any values between the least and the
    greatest of all markets.

    Args:
        markets: at least one; their sizes may differ.
        seed: of the misreports.

    Raises:
        AuditError: there is no market.

    Example:
        >>> print(Served([Market([[7], [9]], [[1], [1]], [1])]))
        1 market as served, up to 2 bidders x 1 agent, values within {7..9}, seed 0
    """

    markets: Sequence[Market]
    seed: int = 0

    private_costs: ClassVar[None] = None
    private_capacities: ClassVar[None] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "markets", tuple(self.markets))
        if not self.markets:
            raise AuditError("no market was served, so there is none to audit")
        at_least(0, self.seed, "seed")

    @property
    def draws(self) -> int:
        """How many markets."""
        return len(self.markets)

    @property
    def values(self) -> tuple[int, int]:
        """The least and the greatest value in any of the markets."""
        parts = [market.values for market in self.markets if market.values.size]
        return min(int(part.min()) for part in parts), max(int(part.max()) for part in parts)

    @property
    def bidders(self) -> int:
        """The most bidders of one market."""
        return max(len(market.players) for market in self.markets)

    @property
    def agents(self) -> int:
        """The most agents of one market."""
        return max(market.shape[1] for market in self.markets)

    def market(self, draw: int) -> Market:
        """The market of one draw, 0 <= draw < `draws`."""
        return self.markets[draw]

    def rng(self, draw: int) -> np.random.Generator:
        """The generator that belongs to one draw."""
        return np.random.default_rng([self.seed, draw])

    def __str__(self) -> str:
        low, high = self.values
        many = f"{self.draws} market{'s' * (self.draws > 1)} as served, up to {self.bidders} bidders"
        return (
            f"{many} x {self.agents} agent{'s' * (self.agents > 1)}, values within {{{low}..{high}}}, seed {self.seed}"
        )
