"""What was found on the grids of a suite, as one finding per property: refuted anywhere is refuted."""

from collections.abc import Mapping, Sequence

from proofs.claims.property import Property
from proofs.evidence.finding import Finding, Status
from proofs.scopes.suite import Suite


def merged(
    prop: Property,
    suite: Suite,
    found: Mapping[str, Finding],
    refused: Mapping[str, str],
    outside: Sequence[str],
    why: str,
) -> Finding:
    """One finding about the whole suite.

    REFUTED where one grid refutes, with the first counterexample and its grid as the scope; else UNKNOWN where one grid
    does not know, or nothing was examined; else VERIFIED, over the grids on which it was examined.

    Args:
        prop: what is claimed.
        suite: all grids.
        found: the findings, by name of the grid.
        refused: grids that the mechanism refuses, with its reason.
        outside: grids on which the property is not asked.
        why: the reason for that.
    """
    cases = sum(finding.cases for finding in found.values())
    seconds = sum(finding.seconds for finding in found.values())
    worst = max((finding.worst for finding in found.values()), default=0)
    against = [name for name, finding in found.items() if finding.status is Status.REFUTED]
    notes = _notes({name: finding.note for name, finding in found.items() if name not in against})
    limits = [f"not asked on {', '.join(outside)}: {why}"] if outside else []
    limits += [f"refused on {', '.join(refused)}: {next(iter(refused.values()))}"] if refused else []
    if against:
        first = found[against[0]]
        where = f"refuted on {', '.join(against)}; here on {against[0]}"
        note = "; ".join(part for part in (where, first.note, *limits) if part)
        return Finding(prop, Status.REFUTED, first.scope, cases, seconds, worst, first.counterexample, note)
    unknown = not cases or any(finding.status is not Status.VERIFIED for finding in found.values())
    scope = suite.only(found) if found else suite
    limits += [] if cases else ["no case was examined, which says nothing"]
    status, note = Status.UNKNOWN if unknown else Status.VERIFIED, "; ".join([*notes, *limits])
    return Finding(prop, status, scope, cases, seconds, worst, note=note)


def _notes(notes: Mapping[str, str]) -> list[str]:
    """Each note once, with the grids that it is about where it is not about all."""
    about: dict[str, list[str]] = {}
    for name, note in notes.items():
        about.setdefault(note, []).append(name)
    return [
        note if len(names) == len(notes) else f"{', '.join(names)}: {note}" for note, names in about.items() if note
    ]
