"""What a referee says: faults, each with its place, and over how much there was none."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it must be.

    Args:
        check: which rule is broken: `seal`, `record`, `values`, `allocation`, `charges`, `receipts`, `deficit`,
            `rationality`, `placement`, `prediction`, `misreport`, `undecided`, `settlement`, `ending`, `movement` or
            `balance`.
        where: a round or a request, or an account.
        said: what is wrong, with the numbers.
    """

    check: str
    where: str
    said: str

    def __str__(self) -> str:
        return f"{self.where}: {self.check}: {self.said}"


@dataclass(slots=True)
class Verdict:
    """Counts, and faults.

    `certified` rounds carry a proof of their optimum, `repeated` were run again, as their mechanism claims none;
    `unauctioned` had no market. `misreports` were tried in `sampled` rounds, drawn with `seed`. `refused` counts
    decisions whose charge the books did not take: their requests were not served then.
    """

    rounds: int = 0
    requests: int = 0
    certified: int = 0
    repeated: int = 0
    unauctioned: int = 0
    sampled: int = 0
    misreports: int = 0
    seed: int = 0
    holds: int = 0
    settled: int = 0
    released: int = 0
    open: int = 0
    refused: int = 0
    mechanisms: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def auctions(self) -> int:
        """Rounds whose market was made again."""
        return self.certified + self.repeated

    def json(self) -> dict[str, Any]:
        """For programs."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        faults = [{"check": one.check, "where": one.where, "said": one.said} for one in self.faults]
        return {"holds_up": not self.faults, **counts, "mechanisms": self.mechanisms, "faults": faults}


_COUNTS = (
    "rounds",
    "requests",
    "certified",
    "repeated",
    "unauctioned",
    "sampled",
    "misreports",
    "seed",
    "holds",
    "settled",
    "released",
    "open",
    "refused",
)
