"""`audit`: examine, shrink, replay, report."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from mechanisms import DirectMechanism, Mechanism, MechanismError
from mechanisms.catalogue import promised
from mechanisms.promises import Promises, entailed, promises_of
from proofs.arguments import of_kind, require_flag, require_method, require_progress, several
from proofs.claims.property import ALL, Property, find_property
from proofs.errors import AuditError
from proofs.evidence.engine import Engine, Progress
from proofs.evidence.evidence import shrink
from proofs.evidence.finding import Finding, Report
from proofs.evidence.over_suite import merged
from proofs.grids.checkpoint import Checkpoint
from proofs.grids.exhaustive import Exhaustive
from proofs.grids.workers import Pool, Processes, Serial
from proofs.reals.symbolic import Symbolic
from proofs.samples.random_search import Search
from proofs.scopes.grid import Grid, Scope
from proofs.scopes.suite import Suite
from proofs.subject.subject import Subject
from proofs.ties.all_ties import AllTies

#: Asked in this order; the first that accepts a property over a scope examines it.
ENGINES: tuple[Engine, ...] = (Exhaustive(), AllTies(), Search(), Symbolic())

#: 3 bidders, 2 agents of capacity 1, values 0 to 3: seconds, and known to expose what coarser grids hide.
SMALL = Grid()


def audit(
    mechanism: DirectMechanism | str,
    scope: Scope = SMALL,
    properties: Iterable[Property | str] | Property | str = ALL,
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
        scope: which markets and misreports exist; `SUITE` for many kinds of small ones. Over a suite a property that
            the mechanism promises on some domain is asked on the grids of that domain, and a grid that the mechanism
            refuses (with a `MechanismError`) is said to be refused.
        properties: objects, shipped names, or `module:Class`; one alone needs no list.
        progress: called with (done, total) steps.
        allocator: for a mechanism given by name, the allocator to run it over.
        engines: who examines what.
        workers: for a `Grid`, how many processes run the mechanism, or another `Pool`, such as `cluster.RayCluster`;
            the report is the same for any.
        resume: for a `Grid`, a file that keeps what was run; where it exists the sweep goes on from there.
        symmetry: for a `Grid`, find out which bidders are interchangeable there, and let one stand for the others.

    Raises:
        AuditError: there is nothing to check, no engine examines a property over this scope, two properties share a
            name, or the mechanism is not deterministic or not feasible.
        ReplayError: a counterexample does not happen again in a fresh process.
        MechanismError: the name stands for no mechanism, or the mechanism refuses every grid of a suite.

    Example:
        >>> report = audit("pay-as-bid", Grid(bidders=2, agents=1, values=range(3)), ["truthful"])
        >>> print(report["truthful"].counterexample.text)
        bidder 0 reports [1] instead of [2] and gains 1
    """
    started = perf_counter()
    require_progress(progress)
    require_flag(symmetry, "symmetry")
    if resume is not None:
        of_kind(resume, Path, "resume", "the Path of a file, or None")
    for engine in several(engines, "engines", "engines, such as proofs.audit.ENGINES"):
        require_method(engine, "accepts", "engine", "an engine, such as Exhaustive()")
    subject = Subject.of(mechanism, allocator)
    asked = _asked(properties)
    if isinstance(scope, Suite):
        if resume is not None:
            raise AuditError("a file keeps what was run of one Grid; leave resume out over a Suite")
        equipped = _equipped(engines, next(iter(scope.grids.values())), workers, None, symmetry)
        findings, parts = _over_suite(subject, scope, asked, equipped, progress or _silent)
        return Report(subject, scope, findings, perf_counter() - started, parts)
    equipped = _equipped(engines, scope, workers, resume, symmetry)
    raw = _examined(subject, scope, asked, equipped, progress or _silent)
    return Report(subject, scope, _substantiated(raw, subject), perf_counter() - started)


def promises_of_subject(subject: Subject) -> Promises:
    """What the audited mechanism promises: those of a name, of the object, or of its rule over an exact allocator."""
    if subject.name is not None:
        return promised(subject.name, subject.allocator)
    own = promises_of(subject.mechanism)
    mechanism = subject.mechanism
    if own or not isinstance(mechanism, Mechanism) or not getattr(mechanism.allocator, "exact", False):
        return own
    return promises_of(mechanism.rule)


def _asked(properties: Iterable[Property | str] | Property | str) -> list[Property]:
    if isinstance(properties, str) or not isinstance(properties, Iterable):
        properties = [properties]
    asked = [find_property(prop) if isinstance(prop, str) else prop for prop in properties]
    for prop in asked:
        if isinstance(prop, type) or not isinstance(getattr(prop, "name", None), str):
            raise AuditError(f"{prop!r} is no property; give an object, such as Truthful(), or a name")
    if not asked:
        raise AuditError("no property is asked for, so there is nothing to check; leave properties out for the usual")
    names = [getattr(prop, "name", prop) for prop in asked]
    if len(set(names)) < len(names):
        raise AuditError(f"properties {names} share a name; a report tells them apart by it")
    return asked


def _examined(
    subject: Subject, scope: Scope, asked: Sequence[Property], engines: Sequence[Engine], progress: Progress
) -> list[Finding]:
    """The findings as engines make them, in the order asked."""
    examiners = [_engine_for(prop, scope, engines) for prop in asked]
    found: dict[str, Finding] = {}
    for engine in dict.fromkeys(examiners):
        group = [prop for prop, examiner in zip(asked, examiners, strict=True) if examiner is engine]
        for finding in engine.examine(subject.mechanism, scope, group, progress):
            found[finding.property.name] = finding
    return [found[prop.name] for prop in asked]


def _over_suite(
    subject: Subject, suite: Suite, asked: Sequence[Property], engines: Sequence[Engine], progress: Progress
) -> tuple[tuple[Finding, ...], tuple[tuple[str, tuple[Finding, ...]], ...]]:
    """One finding per property about the whole suite, and those about each grid."""
    promises = entailed(promises_of_subject(subject))
    found: dict[str, list[Finding]] = {}
    refused: dict[str, MechanismError] = {}
    outside: dict[str, list[str]] = {prop.name: [] for prop in asked}
    done = 0
    for name, grid in suite.grids.items():
        here = [prop for prop in asked if prop.name not in promises or promises[prop.name].covers(grid.template)]
        for prop in asked:
            if prop not in here:
                outside[prop.name].append(name)
        try:
            found[name] = _examined(subject, grid, here, engines, _shifted(progress, done, suite.profiles))
        except MechanismError as error:
            refused[name] = error
        done += grid.profiles
    if len(refused) == len(suite.grids):
        raise next(iter(refused.values()))
    certain = iter(_substantiated([finding for part in found.values() for finding in part], subject))
    parts = tuple((name, tuple(next(certain) for _ in part)) for name, part in found.items())
    reasons = {name: str(error) for name, error in refused.items()}
    whole = []
    for prop in asked:
        mine = {name: finding for name, part in parts for finding in part if finding.property.name == prop.name}
        why = f"promised on {promises[prop.name]}" if prop.name in promises else ""
        declined = {name: reason for name, reason in reasons.items() if name not in outside[prop.name]}
        whole.append(merged(prop, suite, mine, declined, outside[prop.name], why))
    return tuple(whole), parts


def _substantiated(findings: list[Finding], subject: Subject) -> tuple[Finding, ...]:
    """The findings with their counterexamples shrunk and replayed."""
    small = [
        None if finding.counterexample is None else shrink(finding.counterexample, subject.mechanism)
        for finding in findings
    ]
    shown = [counterexample for counterexample in small if counterexample is not None]
    if not shown:
        return tuple(findings)
    # Imported here, since `python -m proofs.replay` must not find itself imported already.
    from proofs.replay import replay_fresh

    note = replay_fresh(subject, shown)
    return tuple(
        finding
        if counterexample is None
        else replace(finding, counterexample=counterexample, note=f"{finding.note}; {note}" if finding.note else note)
        for finding, counterexample in zip(findings, small, strict=True)
    )


def _equipped(
    engines: Sequence[Engine], scope: Scope, workers: int | Pool, resume: Path | None, symmetry: bool
) -> Sequence[Engine]:
    """The engines, the one for grids with these workers and this file."""
    if isinstance(workers, bool):
        raise AuditError(f"workers = {workers!r}; expected a number of processes, or a Pool")
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


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    """Progress of one part of a whole, as progress of the whole."""
    return lambda done, _: progress(before + done, total)


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""
