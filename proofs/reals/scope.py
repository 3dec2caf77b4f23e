"""`Reals`: the scope of all real valuations, and of every way of breaking ties at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from allocation import Market
from proofs.arguments import of_kind
from proofs.errors import AuditError
from proofs.scopes.checks import count, integer
from proofs.scopes.grid import Sample, public_terms
from proofs.symbols.description import Space

ANY = "any"

#: Assignments that are listed to count the feasible ones among them.
_LISTED = 1_000_000


@dataclass(frozen=True, eq=False)
class Reals:
    """Every market whose values are real numbers, with public costs and capacities.

    A finding over it speaks of the mechanism's `description.Description`: of the rule, not of one way to program it.

    Args:
        bidders: number of players, >= 1.
        agents: number of agents, >= 1.
        capacities: one integer, or (M,) integers; public.
        box: (low, high) that every value lies within, both included, or None for all reals.
        costs: one integer, (M,) or (N, M) integers; or "any": every real cost >= 0 of each pair.
        owners: (N,) which bidder owns each request; default: one request each.
        limit: refuse spaces with more feasible assignments than this.

    Raises:
        AuditError: the space is empty, malformed, or beyond `limit`.

    Example:
        >>> print(Reals(bidders=2, agents=1))
        2 bidders x 1 agent, all real values, capacities 1, costs 0; every tie-break
    """

    bidders: int = 3
    agents: int = 2
    capacities: ArrayLike = 1
    box: tuple[int | Fraction, int | Fraction] | None = None
    costs: ArrayLike | Literal["any"] = 0
    owners: Sequence[int] | None = None
    limit: int = 512

    def __post_init__(self) -> None:
        if isinstance(self.costs, str) and self.costs != ANY:
            raise AuditError(f'costs = {self.costs!r}; expected integers, or "{ANY}" for every real cost >= 0')
        if self.box is not None:
            of_kind(self.box, tuple, "box", "(low, high), or None for all reals")
            exact = all(isinstance(end, int | Fraction) and not isinstance(end, bool) for end in self.box)
            if len(self.box) != 2 or not exact or self.box[0] > self.box[1]:
                raise AuditError(f"box = {self.box!r}; expected (low, high), integers or Fractions with low <= high")
        n, m = self.template.shape
        assignments = (m + 1) ** n if (m + 1) ** n > _LISTED else len(self.space.assignments())
        if assignments > integer(self.limit, "limit"):
            raise AuditError(
                f"{n} requests x {m} agents have up to {count(assignments)} feasible assignments, limit {self.limit}; "
                "use fewer of them, or a Grid or Sample, or raise limit"
            )

    @property
    def any_costs(self) -> bool:
        """Whether costs are unknowns too."""
        return isinstance(self.costs, str)

    @cached_property
    def template(self) -> Market:
        """The market of this scope with all values 0; all costs 0 too where they may be anything."""
        costs = 0 if isinstance(self.costs, str) else self.costs
        return Sample(self.bidders, self.agents, costs=costs, capacities=self.capacities, owners=self.owners).template

    @cached_property
    def space(self) -> Space:
        """Owners and capacities, these at most the number of requests."""
        n, _ = self.template.shape
        capacities = np.minimum(self.template.capacities, n)
        return Space(tuple(self.template.bidders.tolist()), tuple(capacities.tolist()))

    def boxed(self, low: int | Fraction, high: int | Fraction) -> "Reals":
        """The same scope with every value in [low, high]."""
        return replace(self, box=(low, high))

    def __str__(self) -> str:
        owned = np.bincount(self.template.bidders).tolist()
        crowd = f"{len(owned)} bidder{'s' * (len(owned) > 1)}"
        if set(owned) != {1}:
            crowd += f" owning requests {self.template.bidders.tolist()}"
        agents = self.template.shape[1]
        values = "all real values" if self.box is None else f"all real values in [{self.box[0]}, {self.box[1]}]"
        terms = public_terms(self.template)
        if self.any_costs:
            terms = terms.replace("costs 0", "any real costs >= 0")
        return f"{crowd} x {agents} agent{'s' * (agents > 1)}, {values}, {terms}; every tie-break"
