"""`Prior`: a finite distribution over markets, with integer weights; what everybody believes before anybody reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from allocation import Market
from allocation.market import as_market
from mechanisms.errors import MechanismError

Rows = tuple[tuple[int, ...], ...]

#: Values (N, M), costs (N, M) and capacities (M,) of one market.
State = tuple[Rows, Rows, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Prior:
    """Markets that differ in types alone, each with an integer weight > 0; probabilities are shares of `total`.

    A bidder's type is their values, an agent's its costs and its capacity. Types may be correlated.

    Args:
        states: the markets' private parts, all of one shape, none twice.
        weights: one per state.

    Raises:
        MechanismError: no states, shapes that differ, a state that repeats, or a weight that is no integer > 0.

    Example:
        >>> prior = Prior.over([Market([[value]], [[0]], [1]) for value in (1, 2)], weights=[3, 1])
        >>> prior.total
        4
    """

    states: tuple[State, ...]
    weights: tuple[int, ...]
    _index: dict[State, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, part in (("states", self.states), ("weights", self.weights)):
            if not isinstance(part, tuple | list):
                raise MechanismError(f"{name} = {part!r}; expected a tuple of them, or write Prior.over(markets)")
        if not self.states or len(self.states) != len(self.weights):
            raise MechanismError(
                f"{len(self.states)} states and {len(self.weights)} weights; give one weight per state"
            )
        for state in self.states:
            if not (isinstance(state, tuple) and len(state) == 3 and all(isinstance(part, tuple) for part in state)):
                raise MechanismError(
                    f"state {state!r}; expected tuples (values, costs, capacities), or Prior.over(...)"
                )
        shapes = {(np.shape(values), np.shape(costs), len(capacities)) for values, costs, capacities in self.states}
        if len(shapes) > 1:
            raise MechanismError(f"states have the shapes {sorted(shapes)}; a prior is about markets of one shape")
        for weight in self.weights:
            if isinstance(weight, bool) or not isinstance(weight, int) or weight <= 0:
                raise MechanismError(f"weight {weight!r}; expected integers > 0: leave impossible states out")
        object.__setattr__(self, "_index", {state: place for place, state in enumerate(self.states)})
        if len(self._index) < len(self.states):
            raise MechanismError("a state appears twice; add its weights up")

    @classmethod
    def over(cls, markets: Iterable[Market], weights: Sequence[int] | None = None) -> "Prior":
        """The prior over these markets; without weights all are equally likely."""
        if not isinstance(markets, Iterable):
            raise MechanismError(f"markets = {markets!r}; expected markets, in a list")
        if weights is not None and not isinstance(weights, Iterable):
            raise MechanismError(f"weights = {weights!r}; expected one per market, in a list")
        states = tuple(state_of(market) for market in markets)
        return cls(states, (1,) * len(states) if weights is None else tuple(map(_whole, weights)))

    @property
    def total(self) -> int:
        """Sum of the weights."""
        return sum(self.weights)

    @property
    def shape(self) -> tuple[int, int]:
        """(N requests, M agents) of every state."""
        values, _, capacities = self.states[0]
        return len(values), len(capacities)

    def weight(self, market: Market) -> int:
        """Weight of a market's private part; 0 where it is impossible."""
        place = self._index.get(state_of(market))
        return 0 if place is None else self.weights[place]

    def markets(self, template: Market) -> Iterable[tuple[Market, int]]:
        """Every state as a market with the public part of `template`, and its weight."""
        if as_market(template).shape != self.shape:
            raise MechanismError(f"the prior is about markets of shape {self.shape}, the template has {template.shape}")
        for state, weight in zip(self.states, self.weights, strict=True):
            yield market_of(state, template), weight


def state_of(market: Market) -> State:
    """The private part of a market."""
    return _rows(as_market(market).values.tolist()), _rows(market.costs.tolist()), tuple(market.capacities.tolist())


def market_of(state: State, template: Market) -> Market:
    """The market of a state with the public part of `template`."""
    values, costs, capacities = state
    shape = len(values), len(capacities)
    # Without requests the rows do not show how many agents there are.
    return template.replace(
        values=np.array(values, np.int64).reshape(shape),
        costs=np.array(costs, np.int64).reshape(shape),
        capacities=capacities,
    )


def _rows(matrix: list[list[int]]) -> Rows:
    return tuple(map(tuple, matrix))


def _whole(weight: object) -> int:
    """Numpy's integers too; what is no integer is left for the constructor to refuse."""
    return int(weight) if isinstance(weight, np.integer) else weight  # type: ignore[return-value]
