"""`Finding`: what an audit established about one property; `Report`: the findings of one audit.

Mechanisms promise, findings claim. A finding always carries its scope and says how it was reached by its status.
"""

import builtins
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from allocation import FORBIDDEN
from allocation.notebook import Marked, counted, html_line, html_table, marked, scrolling
from proofs.claims.property import Property
from proofs.errors import AuditError
from proofs.evidence.counterexample import Counterexample
from proofs.scopes.grid import Scope
from proofs.subject.subject import Subject
from proofs.symbols.certificate import Certificate

if TYPE_CHECKING:
    import polars


class Status(StrEnum):
    """How much a finding establishes."""

    PROVED = "PROVED"
    """No real numbers of the scope violate the property of the described rule, however ties are broken."""
    VERIFIED = "VERIFIED"
    """Every case of a finite scope was examined, in exact integers; none violates the property."""
    REFUTED = "REFUTED"
    """A counterexample exists, and replays."""
    UNKNOWN = "UNKNOWN"
    """No violation was found, which proves nothing: cases were sampled, undecided, or there was none to examine."""


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What was found about one property over one scope. Truthy where the property is established.

    `cases` were examined in `seconds`, a sweep that several findings share counted in each. `worst` is the largest
    violation seen, in micro-units: on an enumerated scope the maximum over the scope, for a sample only a lower bound.
    Where there was no case, or nobody can be served in any, the status is UNKNOWN whatever the engine says.
    The `counterexample` may be of a smaller market than the scope's: it was shrunk. A `certificate` proves the property
    again, to `python -m proofs.check` and in exact arithmetic alone. PROVED is of the description; `agrees` counts
    the markets on which the object did what the description says.
    """

    property: Property
    status: Status
    scope: Scope
    cases: int
    seconds: float
    worst: int = 0
    counterexample: Counterexample | None = None
    note: str = ""
    certificate: Certificate | None = None
    agrees: int = 0

    def __post_init__(self) -> None:
        if (self.status is Status.REFUTED) != (self.counterexample is not None):
            raise AuditError(
                f"{self.property.name} is {self.status} "
                f"{'without a' if self.counterexample is None else 'despite its'} counterexample"
            )
        if self.status is Status.PROVED and self.agrees == 0:
            raise AuditError(f"{self.property.name} is PROVED of a description that was compared with no market")
        reason = vacuous(self.cases, self.scope)
        if reason and self:
            object.__setattr__(self, "status", Status.UNKNOWN)
            object.__setattr__(self, "certificate", None)
            object.__setattr__(self, "note", f"{reason}; {self.note}" if self.note else reason)

    def __bool__(self) -> bool:
        return self.status in (Status.VERIFIED, Status.PROVED)

    @builtins.property
    def verdict(self) -> str:
        """The status as people read it; what is PROVED of a description says what the object has to do with it."""
        if self.status is not Status.PROVED:
            return str(self.status)
        return f"PROVED of the description, the object AGREES ({self.agrees:,} markets)"

    def _repr_html_(self) -> str:
        return scrolling(html_table(_HEADS, [_row(self)], _outline(self.scope)), *_evidence(self))

    def as_dict(self) -> dict[str, object]:
        """Plain lists, numbers and strings, ready for JSON."""
        return {
            "property": self.property.name,
            "status": str(self.status),
            "cases": self.cases,
            "seconds": round(self.seconds, 6),
            "worst": self.worst,
            "counterexample": None if self.counterexample is None else self.counterexample.as_dict(),
            "note": self.note,
            "certificate": None if self.certificate is None else self.certificate.claim,
            "agrees": self.agrees,
        }


def vacuous(cases: int, scope: Scope) -> str:
    """Why a scope establishes nothing, or an empty string."""
    if cases == 0:
        return "there is no case of it on this scope: give more values, bidders or agents"
    template = getattr(scope, "template", None)
    if template is None:
        return ""
    most = getattr(scope, "private_capacities", None)
    capacities = template.capacities if most is None else np.full(template.shape[1], max(most))
    if not ((template.weights != FORBIDDEN) & (capacities > 0)).any():
        return "nobody can be served on this scope: give capacities above 0 and pairs that are not forbidden"
    return ""


@dataclass(frozen=True, slots=True, eq=False)
class Report(Mapping[str, Finding]):
    """The findings of one audit, by property name, in the order in which the properties were asked for."""

    subject: Subject
    scope: Scope
    findings: tuple[Finding, ...]
    seconds: float
    #: Of a suite, what each of its grids yielded, by name.
    parts: tuple[tuple[str, tuple[Finding, ...]], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether there are properties and every one is established; over a sample none is."""
        return bool(self.findings) and all(self.findings)

    @property
    def refuted(self) -> tuple[Finding, ...]:
        """The findings with a counterexample."""
        return tuple(finding for finding in self.findings if finding.status is Status.REFUTED)

    def __getitem__(self, name: str) -> Finding:
        for finding in self.findings:
            if finding.property.name == name:
                return finding
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (finding.property.name for finding in self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def frame(self) -> "polars.DataFrame":
        """One row a property: its status, cases, seconds, the worst violation in micro-units, and the note."""
        import polars

        return polars.DataFrame(
            [
                (one.property.name, str(one.status), one.cases, one.seconds, one.worst, one.note)
                for one in self.findings
            ],
            schema={
                "property": polars.String,
                "status": polars.String,
                "cases": polars.Int64,
                "seconds": polars.Float64,
                "worst": polars.Int64,
                "note": polars.String,
            },
            orient="row",
        )

    def _repr_html_(self) -> str:
        table = html_table(_HEADS, map(_row, self.findings), f"{self.subject}, audited over {_outline(self.scope)}")
        return scrolling(table, *(part for finding in self.refuted for part in _evidence(finding)))

    def to_json(self) -> str:
        """The report as a JSON object that `python -m proofs.replay` reads."""
        return json.dumps(
            {
                "mechanism": {"is": str(self.subject), "name": self.subject.name, "allocator": self.subject.allocator},
                "scope": str(self.scope),
                "seconds": round(self.seconds, 6),
                "findings": [finding.as_dict() for finding in self.findings],
                **({"scopes": parts_as_dicts(self.parts)} if self.parts else {}),
            },
            indent=2,
        )

    def __str__(self) -> str:
        lines = [str(self.subject), str(self.scope), ""]
        width = max((len(name) for name in self), default=0)
        lines += [
            f"{name:<{width}}  {found.verdict:<8}  {found.cases:>13,} cases  {found.seconds:7.2f} s"
            for name, found in self.items()
        ]
        for finding in self.refuted:
            lines += ["", str(finding.counterexample), f"worst seen {finding.worst}; {finding.note}"]
        return "\n".join(lines)


def parts_as_dicts(parts: tuple[tuple[str, tuple[Finding, ...]], ...]) -> list[dict[str, object]]:
    """What the grids of a suite yielded, ready for JSON; counterexamples are in the findings about the whole."""
    return [
        {
            "name": name,
            "scope": str(findings[0].scope),
            "findings": [
                {"property": one.property.name, "status": str(one.status), "cases": one.cases, "worst": one.worst}
                for one in findings
            ],
        }
        for name, findings in parts
        if findings
    ]


_HEADS = ("property", "finding", "cases", "seconds")
#: A word and a sign, so that nobody depends on the colour.
_SIGNS = {Status.PROVED: "✓ ", Status.VERIFIED: "✓ ", Status.REFUTED: "✗ ", Status.UNKNOWN: "? "}


def _outline(scope: Scope) -> str:
    """In a line, where a scope has one."""
    return str(getattr(scope, "outline", scope))


def _row(finding: Finding) -> tuple[object, ...]:
    how = "good" if finding else "bad" if finding.status is Status.REFUTED else "aside"
    verdict = marked(_SIGNS[finding.status] + finding.verdict, how)
    return finding.property.name, verdict, f"{finding.cases:,}", f"{finding.seconds:.2f}"


def _evidence(finding: Finding) -> list[Marked]:
    found = [] if finding.counterexample is None else [Marked(finding.counterexample._repr_html_())]
    worst = f"worst seen {counted(finding.worst, 'micro-unit')}; " if found else ""
    return [*found, html_line(marked(f"{worst}{finding.note}", "aside"))] if found or finding.note else []
