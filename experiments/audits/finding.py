"""What an audit of a policy found: one `PolicyFinding` a claim, in the words that `proofs` has for mechanisms."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from proofs import Status


@dataclass(frozen=True, slots=True)
class Case:
    """A violation: by how many micro-units, in a text to work it out by hand from; smaller `size` is simpler."""

    amount: int
    text: str
    size: tuple[float, ...] = ()
    state: str = ""

    def as_dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {"amount": self.amount, "state": self.state, "text": self.text}


@dataclass(frozen=True, slots=True)
class PolicyFinding:
    """What was found about one claim over all states. Truthy where every case was examined and none violates it.

    `worst` is the largest violation in micro-units, `case` the smallest found; `note` has a `{}` for each of `figures`,
    which are the largest over all states. `claimed` is false for what no policy
    is held to: what such a case buys is printed, and fails nothing. Without any case the status is UNKNOWN.
    """

    name: str
    status: Status
    cases: int
    seconds: float
    worst: int = 0
    case: Case | None = None
    note: str = ""
    claimed: bool = True
    figures: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.cases == 0 and self.status is Status.VERIFIED:
            object.__setattr__(self, "status", Status.UNKNOWN)
            object.__setattr__(self, "note", self.note or "there is no case of it in these states")

    def __bool__(self) -> bool:
        return self.status is Status.VERIFIED

    @classmethod
    def over(
        cls, name: str, cases: int, seconds: float, violations: list[Case], note: str = "", *, claimed: bool = True
    ) -> "PolicyFinding":
        """The finding about all cases, of which these are the violations."""
        if not violations:
            return cls(name, Status.VERIFIED, cases, seconds, note=note, claimed=claimed)
        worst = max(one.amount for one in violations)
        smallest = min(violations, key=lambda one: (one.size, -one.amount))
        return cls(name, Status.REFUTED, cases, seconds, worst, smallest, note, claimed)

    def and_(self, other: "PolicyFinding") -> "PolicyFinding":
        """The same claim over the states of both."""
        violations = [(one.case, one.worst) for one in (self, other) if one.case is not None]
        unknown = any(one.status is Status.UNKNOWN and one.cases for one in (self, other))
        status = Status.REFUTED if violations else Status.UNKNOWN if unknown else Status.VERIFIED
        noted = [one for one in (self, other) if one.note and (one.cases or not self.cases + other.cases)]
        same = len({one.note for one in noted}) == 1
        figures = tuple(map(max, zip(*(one.figures for one in noted), strict=True))) if same else ()
        notes = noted[0].note if same else "; ".join(one.said for one in noted)
        case = min((one for one, _ in violations), key=lambda one: (one.size, -one.amount), default=None)
        total = PolicyFinding(
            self.name,
            status,
            self.cases + other.cases,
            self.seconds + other.seconds,
            max((worst for _, worst in violations), default=0),
            case,
            claimed=self.claimed,
        )
        return replace(total, note=notes, figures=figures)

    @property
    def said(self) -> str:
        """The note, with its figures."""
        return self.note.format(*self.figures) if self.figures else self.note

    @property
    def verdict(self) -> str:
        """As people read it."""
        return str(self.status) if self.claimed or self.status is not Status.REFUTED else "not claimed"

    def as_dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "property": self.name,
            "status": str(self.status),
            "claimed": self.claimed,
            "cases": self.cases,
            "seconds": round(self.seconds, 6),
            "worst": self.worst,
            "counterexample": None if self.case is None else self.case.as_dict(),
            "note": self.said,
        }


@dataclass(frozen=True, slots=True, eq=False)
class PolicyReport(Mapping[str, PolicyFinding]):
    """The findings of one audit by name. `error` is the largest difference, in credits of the enumerated types, between
    what a policy predicted of an outcome and what the reference says of it."""

    policy: str
    states: tuple[str, ...]
    findings: tuple[PolicyFinding, ...]
    seconds: float
    error: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every claim is established."""
        claims = [one for one in self.findings if one.claimed]
        return bool(claims) and all(claims)

    @property
    def refuted(self) -> tuple[PolicyFinding, ...]:
        """The claims with a counterexample."""
        return tuple(one for one in self.findings if one.claimed and one.status is Status.REFUTED)

    def __getitem__(self, name: str) -> PolicyFinding:
        for one in self.findings:
            if one.name == name:
                return one
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (one.name for one in self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def to_json(self) -> str:
        """The report as a JSON object."""
        return json.dumps(
            {
                "policy": self.policy,
                "states": list(self.states),
                "seconds": round(self.seconds, 6),
                "prediction_error": self.error,
                "passed": self.passed,
                "findings": [one.as_dict() for one in self.findings],
            },
            indent=2,
        )

    def __str__(self) -> str:
        width = max((len(name) for name in self), default=0)
        lines = [f"policy {self.policy}", *(f"  {state}" for state in self.states)]
        lines += [f"stated prediction error: {self.error:.6f} credits at most", ""]
        for name, one in self.items():
            worst = f"  worst {one.worst:,}" if one.worst else ""
            lines.append(f"{name:<{width}}  {one.verdict:<11}  {one.cases:>10,} cases  {one.seconds:6.2f} s{worst}")
        for one in self.findings:
            if one.case is not None:
                lines += ["", f"{one.name}: {one.verdict}, in {one.case.state}", one.case.text]
            if one.note:
                lines += ["", f"{one.name}: {one.said}"]
        return "\n".join(lines)
