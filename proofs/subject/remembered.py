"""`Remembered`: a mechanism that is asked about each market once."""

from dataclasses import dataclass, field

from allocation import Market
from mechanisms import DirectMechanism, Outcome
from proofs.subject.subject import outcome_of


@dataclass(frozen=True, eq=False)
class Remembered:
    """The mechanism, and its answers so far: sweeps and shrinking ask about the same small markets again and again.

    Example:
        >>> from mechanisms import find_mechanism
        >>> once = Remembered(find_mechanism("vcg"))
        >>> market = Market([[3], [2]], [[0], [0]], [1])
        >>> once.run(market) is once.run(market.replace())
        True
    """

    mechanism: DirectMechanism
    _known: dict[bytes, Outcome] = field(default_factory=dict)

    def run(self, market: Market) -> Outcome:
        """The mechanism's answer, held to what every mechanism owes; an error is no answer, and is raised anew.

        Raises:
            AuditError: as `outcome_of`.
        """
        key = market.key()
        if key not in self._known:
            self._known[key] = outcome_of(self.mechanism, market)
        return self._known[key]
