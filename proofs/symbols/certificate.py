"""`Certificate`: a proof that exact arithmetic alone can check, without the solver that may have found it first.

Groves' argument as numbers. At the true weights the honest choice a has at least the welfare of any other assignment;
the deviator's choice b is one of them, so one row of a's optimality is the whole obligation "the misreport gains
nothing". Rationality is the row of the choice without the bidder; no deficit adds up one row per bidder (Green and
Laffont 1979).
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

from allocation import UNSERVED
from proofs.claims.property import IndividuallyRational, NoDeficit, Property, Truthful
from proofs.errors import AuditError
from proofs.symbols.description import Assignment, Charges, Description, Optimal, Space
from proofs.symbols.sources import fingerprint, written

CLARKE = Charges(cost=1, externality=1)

#: For one obligation: (optimum, rival) pairs, each row taken once.
_Rows = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class About:
    """The mechanism whose description a certificate is of, and what ties the two; the certificate does not prove it.

    Args:
        mechanism: as an expression.
        sources: sha256 of all sources that decide what it answers (`sources.fingerprint`).
        agreement: on what the object was compared with its description.
    """

    mechanism: str
    sources: str
    agreement: str

    @classmethod
    def of(cls, mechanism: object, agreement: str) -> "About":
        """This mechanism, as it is now."""
        return cls(written(mechanism), fingerprint(mechanism), agreement)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A property of welfare-optimal allocation with Clarke payments, for all real values and costs and every tie-break.

    `rows` holds, for each obligation as `check.obligations` orders them, the rows that add up to it.

    Example:
        >>> from proofs.reals.scope import Reals
        >>> Certificate.of(Truthful(), Reals(bidders=2, agents=1).space).check()
        18
    """

    name: str
    space: Space
    rows: tuple[tuple[tuple[int, int], ...], ...]
    about: About | None = None

    @classmethod
    def of(cls, prop: Property, space: Space, about: About | None = None) -> "Certificate":
        """Write the certificate down.

        Raises:
            AuditError: no certificate of this property is known.
        """
        if prop == Truthful():
            found = _truthful(space)
        elif prop == IndividuallyRational():
            found = _rational(space)
        elif prop == NoDeficit():
            found = _solvent(space)
        else:
            raise AuditError(
                f"no certificate of {prop.name} is known; of truthfulness, rationality, no deficit there is"
            )
        return cls(prop.name, space, tuple(map(tuple, found)), about)

    @staticmethod
    def covers(prop: Property, described: Description) -> bool:
        """Whether `of` has a certificate of this property for this mechanism."""
        certified = prop in (Truthful(), IndividuallyRational(), NoDeficit())
        charges = described.charges
        if prop != NoDeficit():
            # What agents receive is no bidder's concern.
            charges = replace(charges, receipts=CLARKE.receipts, contribution=CLARKE.contribution)
        return certified and Description(described.choice, charges) == Description(Optimal(), CLARKE)

    def check(self) -> int:
        """The number of obligations met, all of them, by the checker that also runs alone.

        Raises:
            AuditError: the certificate proves nothing.
        """
        from proofs import check

        try:
            return check.verify(self.as_dict())
        except ValueError as error:
            raise AuditError(f"certificate of {self.name} for {self.space}: {error}") from error

    @property
    def claim(self) -> dict[str, object]:
        """What it proves; owners are numbered in order of their first request."""
        # Imported here, since `python -m proofs.check` must not find itself imported already.
        from proofs import check

        owners = {owner: index for index, owner in enumerate(dict.fromkeys(self.space.owners))}
        return {
            "property": self.name,
            "owners": [owners[owner] for owner in self.space.owners],
            "capacities": list(self.space.capacities),
            **check.SENSE,
        }

    def as_dict(self) -> dict[str, object]:
        """What the file holds: the claim, and for each obligation [optimum, rival, multiplier] triples."""
        from proofs import check

        about = {} if self.about is None else {"about": asdict(self.about)}
        return {
            "format": check.FORMAT,
            **about,
            "claim": self.claim,
            "proof": [[[optimum, rival, "1"] for optimum, rival in rows] for rows in self.rows],
        }

    def write(self, path: Path | str) -> None:
        """Save as JSON for `python -m proofs.check PATH`."""
        Path(path).write_text(json.dumps(self.as_dict(), separators=(",", ":")) + "\n", encoding="utf-8")


def _truthful(space: Space) -> Iterator[_Rows]:
    size = len(space.assignments())
    for _ in space.bidders:
        for honest, deviating in product(range(size), repeat=2):
            yield [(0, deviating)] * (honest != deviating)


def _rational(space: Space) -> Iterator[_Rows]:
    choices = space.assignments()
    for bidder in _in_order(space):
        absent = [b for b, agents in enumerate(choices) if _idle(agents, space.requests_of(bidder))]
        for honest, without in product(range(len(choices)), absent):
            yield [(0, without)] * (honest != without)


def _solvent(space: Space) -> Iterator[_Rows]:
    absent = [space.assignments(space.requests_of(bidder)) for bidder in _in_order(space)]
    index = [{agents: row for row, agents in enumerate(choices)} for choices in absent]
    for agents in space.assignments():
        yield [(k, index[k][_only(agents, space, bidder)]) for k, bidder in enumerate(_in_order(space))]


def _in_order(space: Space) -> list[int]:
    return list(dict.fromkeys(space.owners))


def _idle(agents: Assignment, requests: tuple[int, ...]) -> bool:
    return all(agents[i] == UNSERVED for i in requests)


def _only(agents: Assignment, space: Space, absent: int) -> Assignment:
    return tuple(UNSERVED if owner == absent else agent for agent, owner in zip(agents, space.owners, strict=True))
