"""`Preferences`: a bidder's type in the paper's form, from which quality of service becomes money."""

from dataclasses import dataclass
from math import inf
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from allocation import MarketError, to_micros
from allocation.money import Money, as_array
from mechanisms.errors import MechanismError


@dataclass(frozen=True, slots=True)
class Preferences:
    """A bidder's value of a request: `worth` credits at quality 1, minus `delay_cost` credits per second of latency.

    An answer later than `deadline` seconds has no worth, and is no better for being late: its value is 0, or the loss
    that it would have been. By default there is no deadline. `stake` credits are added whenever it is served at all:
    what the bidder would lose by being declined beyond this answer, such as the rest of a conversation that would end.

    Raises:
        MechanismError: a coefficient is negative or not finite, or the deadline is not positive.

    Example:
        >>> int(Preferences(worth=10.0, delay_cost=2.0).value(quality=0.5, latency_s=1.0))
        3000000
    """

    worth: float
    delay_cost: float
    deadline: float = inf
    stake: float = 0.0

    def __post_init__(self) -> None:
        if type(self.worth) is type(self.delay_cost) is type(self.stake) is type(self.deadline) is float:
            # As every request brings one; what is odd is told below.
            least = min(self.worth, self.delay_cost, self.stake)
            if least >= 0.0 and self.worth + self.delay_cost + self.stake < inf and self.deadline > 0.0:
                return
        for name in ("worth", "delay_cost", "stake"):
            amount = getattr(self, name)
            if not (_is_number(amount) and np.isfinite(amount) and amount >= 0):
                raise MechanismError(f"{name} = {amount!r}; expected a finite number of credits >= 0")
        if not (_is_number(self.deadline) and self.deadline > 0):
            raise MechanismError(f"deadline = {self.deadline!r}; expected seconds > 0, or math.inf for none")

    @classmethod
    def paper(cls, weight: float = 0.5, *, worth: float = 100.0, delay_cost: float = 5.0) -> "Preferences":
        """The form of IEMAS (arXiv:2603.17302): `weight * 100 * quality - (1 - weight) * 5 * seconds`."""
        if not (_is_number(weight) and 0 <= weight <= 1):
            raise MechanismError(f"weight = {weight!r}; expected a number in [0, 1]")
        for name, amount in (("worth", worth), ("delay_cost", delay_cost)):
            if not _is_number(amount):
                raise MechanismError(f"{name} = {amount!r}; expected a finite number of credits >= 0")
        return cls(weight * worth, (1 - weight) * delay_cost)

    def value(self, quality: ArrayLike, latency_s: ArrayLike) -> Money:
        """Value, in micro-units, of service of this quality (0 to 1) and latency (seconds); any common shape.

        Raises:
            MarketError: an entry is not finite, or the shapes do not go together.
        """
        good, seconds = _numbers(quality, "quality"), _numbers(latency_s, "latency_s")
        try:
            credits = self.worth * good - self.delay_cost * seconds
        except ValueError:
            raise MarketError(f"quality has shape {good.shape}, latency_s {seconds.shape}; give one shape") from None
        late = np.minimum(credits, 0.0)
        return to_micros(self.stake + np.where(seconds > self.deadline, late, credits), name="value")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _numbers(raw: ArrayLike, name: str) -> NDArray[np.float64]:
    array = as_array(raw, name)
    if array.size and array.dtype.kind not in "iuf":
        raise MarketError(f"{name} holds {array.ravel().tolist()[0]!r}; expected numbers")
    return array.astype(np.float64)
