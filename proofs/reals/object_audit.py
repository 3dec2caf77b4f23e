"""The object itself over grids of a `Reals` scope's shape, so that no proof of a description contradicts it there."""

from collections.abc import Iterator, Sequence

import numpy as np

from allocation import MAX_AMOUNT
from mechanisms import DirectMechanism
from proofs.claims.property import Property
from proofs.evidence.counterexample import Counterexample
from proofs.grids.exhaustive import Exhaustive
from proofs.reals.agreement import cost_matrices, whole_box
from proofs.reals.constants import constants
from proofs.reals.scope import Reals
from proofs.scopes.grid import Grid

#: Profiles of a grid at most, and grids at most.
_PROFILES, _GRIDS = 5_000, 4


def audit_object(
    mechanism: DirectMechanism, scope: Reals, properties: Sequence[Property]
) -> tuple[dict[str, Counterexample], str]:
    """Audit the object over small grids within the scope: low values, great ones, and those beside its own constants.

    Returns:
        counterexamples by property, the greatest of each, and what was looked at, in words.

    Raises:
        AuditError: the mechanism misbehaves, or answers the same market differently twice.
    """
    worst: dict[str, Counterexample] = {}
    profiles, grids = 0, list(_grids(mechanism, scope))
    for grid in grids:
        profiles += grid.profiles
        for finding in Exhaustive().examine(mechanism, grid, properties, lambda done, total: None):
            found = finding.counterexample
            if found is not None and (
                finding.property.name not in worst or finding.worst > worst[found.property.name].amount
            ):
                worst[found.property.name] = found
    return worst, f"the object was audited on {len(grids)} grids of {profiles:,} profiles in all"


def _grids(mechanism: DirectMechanism, scope: Reals) -> Iterator[Grid]:
    n, m = scope.template.shape
    count = max(1, int(_PROFILES ** (1 / (n * m))))
    marks = [mark + step for mark in constants(mechanism) for step in (-1, 0, 1) if mark + step <= MAX_AMOUNT]
    great = [0, 1, 2**20, 2**39, MAX_AMOUNT]
    kinds = [list(range(count)), [0, 5, 8, 9], great]
    if marks:
        kinds.insert(1, [0, *marks])
    for costs in cost_matrices(scope, 2, constants(mechanism)):
        for values in kinds[:_GRIDS]:
            chosen = _spread(_allowed(values, scope), count)
            if chosen:
                yield Grid(
                    scope.bidders,
                    scope.agents,
                    chosen,
                    costs=costs,
                    capacities=scope.template.capacities,
                    owners=scope.owners,
                    limit=max(1, _PROFILES),
                )


def _allowed(values: Sequence[int], scope: Reals) -> list[int]:
    """The values within the box; where none is, whole numbers spread over the box."""
    if scope.box is None:
        return sorted(set(values))
    low, high = whole_box(scope.box)
    inside = sorted({value for value in values if low <= value <= high})
    return inside or sorted({int(value) for value in np.linspace(low, high, 4)} if low <= high else ())


def _spread(values: Sequence[int], count: int) -> list[int]:
    """At most so many of the values, first and last among them."""
    if len(values) <= count:
        return list(values)
    places = np.unique(np.linspace(0, len(values) - 1, count).round().astype(int))
    return [values[place] for place in places]
