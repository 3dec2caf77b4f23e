"""`Watched`: whether what an audit found on small scopes holds in the rounds that are served.

Every round is looked at on the market as predicted and reported: does the auctioneer lose, does a bidder? And some of
the markets are kept, for an audit at the size of what is served.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from allocation import Market
from experiments.errors import ContradictionError
from mechanisms import DirectMechanism, Outcome
from proofs import Finding, IndividuallyRational, NoDeficit, audit
from proofs.scopes.served import Served

#: Markets of a run that are kept.
KEPT = 8

_LOOKED_AT = (NoDeficit(), IndividuallyRational())


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A property that fails in what was served, whatever was found before."""

    policy: str
    seed: int
    property: str
    text: str
    #: In how many rounds; of an audit of kept markets, in one at least.
    rounds: int = 1

    def __str__(self) -> str:
        times = "" if self.rounds == 1 else f", and in {self.rounds - 1} more rounds"
        return f"{self.property} fails while {self.policy} serves (seed {self.seed}): {self.text}{times}"

    def as_dict(self) -> dict[str, object]:
        """Plain data, ready for JSON."""
        names = ("policy", "seed", "property", "text", "rounds")
        return {name: getattr(self, name) for name in names}


@dataclass(slots=True)
class Watched:
    """Looks at every outcome of one run.

    Args:
        policy, seed: of the run.
        mechanism: the very object that serves.
        insisted: go on although something fails; otherwise the first failure raises.
        budget: micro-units that the policy has said it may lose in all, by exploring.
    """

    policy: str
    seed: int
    mechanism: DirectMechanism
    insisted: bool
    budget: int = 0
    kept: list[Market] = field(default_factory=list)
    _seen: int = 0
    _failed: dict[str, Contradiction] = field(default_factory=dict)

    def __call__(self, outcome: Outcome) -> None:
        """Look at one outcome.

        Raises:
            ContradictionError: somebody loses, and nobody insisted.
        """
        self._keep(outcome.reported)
        self.budget += min(outcome.surplus, 0)
        for prop in _LOOKED_AT[self.budget >= 0 :]:
            found = prop.check(outcome, outcome.reported)
            if found is not None:
                before = self._failed.get(prop.name)
                text, rounds = (found.text, 1) if before is None else (before.text, before.rounds + 1)
                self._fail(Contradiction(self.policy, self.seed, prop.name, text, rounds))

    def audited(self, properties: Sequence[str]) -> tuple[Contradiction, ...]:
        """All that failed, after an audit of the markets that were kept.

        Args:
            properties: names of what is asked of the markets.

        Raises:
            ContradictionError: the audit refutes a property, and nobody insisted.
        """
        if self.kept:
            report = audit(self.mechanism, Served(self.kept, self.seed), properties)
            for finding in report.refuted:
                if finding.property.name not in self._failed:
                    self._fail(Contradiction(self.policy, self.seed, finding.property.name, _shown(finding)))
        return tuple(self._failed.values())

    def _fail(self, found: Contradiction) -> None:
        self._failed[found.property] = found
        if not self.insisted:
            raise ContradictionError(found.property, str(found))

    def _keep(self, market: Market) -> None:
        """Each market of the run is kept with the same chance (Vitter 1985, algorithm R)."""
        self._seen += 1
        if len(self.kept) < KEPT:
            self.kept.append(market)
        else:
            place = int(np.random.default_rng([self.seed, self._seen]).integers(self._seen))
            if place < KEPT:
                self.kept[place] = market


def _shown(finding: Finding) -> str:
    return " | ".join(str(finding.counterexample).splitlines())
