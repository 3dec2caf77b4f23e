"""`audit`: examine, shrink, replay, report."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from mechanisms import DirectMechanism
from proofs.claims.property import ALL, Property, find_property
from proofs.errors import AuditError
from proofs.evidence.engine import Engine, Progress
from proofs.evidence.evidence import shrink
from proofs.evidence.finding import Finding, Report
from proofs.grids.checkpoint import Checkpoint
from proofs.grids.exhaustive import Exhaustive
from proofs.grids.workers import Pool, Processes, Serial
from proofs.reals.symbolic import Symbolic
from proofs.samples.random_search import Search
from proofs.scopes.grid import Grid, Scope
from proofs.subject.subject import Subject
from proofs.ties.all_ties import AllTies

#: Asked in this order; the first that accepts a property over a scope examines it.
ENGINES: tuple[Engine, ...] = (Exhaustive(), AllTies(), Search(), Symbolic())

#: 3 bidders, 2 agents of capacity 1, values 0 to 3: seconds, and known to expose what coarser grids hide.
SMALL = Grid()


def audit(
    mechanism: DirectMechanism | str,
    scope: Scope = SMALL,
    properties: Iterable[Property | str] = ALL,
    progress: Progress | None = None,
    *,
    allocator: str | None = None,
    engines: Sequence[Engine] = ENGINES,
    workers: int | Pool = 1,
    resume: Path | None = None,
    symmetry: bool = False,
) -> Report:
    """Find out which properties hold over the scope.

    Every counterexample is shrunk, and then replayed in a fresh process (one for all of them) before it is reported.

    Args:
        mechanism: an object with `run(market)`, or a name as `mechanisms.find_mechanism` takes it.
        scope: which markets and misreports exist.
        properties: objects, shipped names, or `module:Class`.
        progress: called with (done, total) steps.
        allocator: for a mechanism given by name, the allocator to run it over.
        engines: who examines what.
        workers: for a `Grid`, how many processes run the mechanism, or another `Pool`, such as `cluster.RayCluster`;
            the report is the same for any.
        resume: for a `Grid`, a file that keeps what was run; where it exists the sweep goes on from there.
        symmetry: for a `Grid`, find out which bidders are interchangeable there, and let one stand for the others.

    Raises:
        AuditError: no engine examines a property over this scope, two properties share a name, or the mechanism is
            not deterministic or not feasible.
        ReplayError: a counterexample does not happen again in a fresh process.
        MechanismError: the name stands for no mechanism.

    Example:
        >>> report = audit("pay-as-bid", Grid(bidders=2, agents=1, values=range(3)), ["truthful"])
        >>> print(report["truthful"].counterexample.text)
        bidder 0 reports [1] instead of [2] and gains 1
    """
    started = perf_counter()
    subject = Subject.of(mechanism, allocator)
    asked = [find_property(prop) if isinstance(prop, str) else prop for prop in properties]
    names = [prop.name for prop in asked]
    if len(set(names)) < len(names):
        raise AuditError(f"properties {names} share a name; a report tells them apart by it")
    equipped = _equipped(engines, scope, workers, resume, symmetry)
    examiners = [_engine_for(prop, scope, equipped) for prop in asked]
    found: dict[str, Finding] = {}
    for engine in dict.fromkeys(examiners):
        group = [prop for prop, examiner in zip(asked, examiners, strict=True) if examiner is engine]
        for finding in engine.examine(subject.mechanism, scope, group, progress or _silent):
            found[finding.property.name] = finding
    findings = _substantiated([found[name] for name in names], subject)
    return Report(subject, scope, findings, perf_counter() - started)


def _substantiated(findings: list[Finding], subject: Subject) -> tuple[Finding, ...]:
    """The findings with their counterexamples shrunk and replayed."""
    small = {
        finding.property.name: shrink(finding.counterexample, subject.mechanism)
        for finding in findings
        if finding.counterexample is not None
    }
    if not small:
        return tuple(findings)
    # Imported here, since `python -m proofs.replay` must not find itself imported already.
    from proofs.replay import replay_fresh

    note = replay_fresh(subject, list(small.values()))
    return tuple(
        replace(
            finding,
            counterexample=small[finding.property.name],
            note=f"{finding.note}; {note}" if finding.note else note,
        )
        if finding.property.name in small
        else finding
        for finding in findings
    )


def _equipped(
    engines: Sequence[Engine], scope: Scope, workers: int | Pool, resume: Path | None, symmetry: bool
) -> Sequence[Engine]:
    """The engines, the one for grids with these workers and this file."""
    if workers == 1 and resume is None and not symmetry:
        return engines
    if not isinstance(scope, Grid):
        raise AuditError(f"workers, resume and symmetry are for a Grid, not for a {type(scope).__name__}: {scope}")
    if scope.ties != "first":
        raise AuditError(f"workers, resume and symmetry are for ties='first' alone; leave them out over {scope}")
    pool = workers if isinstance(workers, Pool) else Serial() if workers == 1 else Processes(workers)
    kept = None if resume is None else Checkpoint(resume)
    return [
        replace(engine, pool=pool, checkpoint=kept, symmetry=symmetry) if isinstance(engine, Exhaustive) else engine
        for engine in engines
    ]


def _engine_for(prop: Property, scope: Scope, engines: Sequence[Engine]) -> Engine:
    for engine in engines:
        if engine.accepts(prop, scope):
            return engine
    raise AuditError(f"no engine examines {getattr(prop, 'name', prop)!r} over a {type(scope).__name__}: {scope}")


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""
