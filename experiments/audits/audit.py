"""`audit_policy`: the served policy's own `decide`, exhaustively over reports on small states."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter

from experiments.audits.finding import Case, PolicyFinding, PolicyReport
from experiments.audits.invariance import interference, orderly, own_past, predictions
from experiments.audits.one_round import efficient, frugal, rational, solvent, truthful
from experiments.audits.outside import false_names, lengths, splitting
from experiments.audits.play import Table
from experiments.audits.reference import MICROS
from experiments.audits.state import State
from experiments.audits.suite import suite, suite_outside, two_rounds
from experiments.audits.two_rounds import TwoRounds, late_arrival, past_reports, resubmission, single_report
from mechanisms.catalogue import load_object
from proofs import AuditError, Status
from runtime import Policy

# What asks the policy again comes before what starts it anew.
_ONE_ROUND = (truthful, rational, solvent, efficient, orderly, predictions, frugal, interference)
_TWO_ROUNDS = (single_report, past_reports, late_arrival, resubmission)
_OUTSIDE = (false_names, splitting, lengths)


def audit_policy(
    policy: Policy | type[Policy] | str,
    states: Sequence[State] | None = None,
    *,
    stories: Sequence[TwoRounds] | None = None,
    outside: Sequence[State] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PolicyReport:
    """Ask a policy for its decision under every profile of reports, and score every misreport at a reference.

    Args:
        policy: an object, a class or function that makes one, or `module:object` of either. It is started afresh
            (`attach`) for every state, and given the state's past as events.
        states: of one round, default `suite()`.
        stories: of two rounds, default `two_rounds()`; where `states` are given, none.
        outside: where asking in halves, under other names or for other lengths is tried; the same defaults.
        progress: called with (done, total) steps.

    Raises:
        AuditError: it is no policy, or cannot be given a past.
    """
    made, started = find_policy(policy), perf_counter()
    chosen = suite() if states is None else tuple(states)
    over_two = (two_rounds() if states is None else ()) if stories is None else tuple(stories)
    aside = (suite_outside() if states is None else ()) if outside is None else tuple(outside)
    findings: dict[str, PolicyFinding] = {}
    error, done, total = 0.0, 0, len(chosen) + len(_TWO_ROUNDS) * bool(over_two) + len(_OUTSIDE) * bool(aside)

    def add(found: PolicyFinding) -> None:
        findings[found.name] = findings[found.name].and_(found) if found.name in findings else found

    for state in chosen:
        played = Table(made, state).arrays()
        error = max(error, int(played.error.max()) / MICROS - 1 / MICROS)
        for one in [*[examine(played) for examine in _ONE_ROUND], own_past(made, state)]:
            add(_simplified(made, state, one))
        progress(done := done + 1, total)
    for examine_two in _TWO_ROUNDS if over_two else ():
        add(examine_two(made, over_two))
        progress(done := done + 1, total)
    for try_it in _OUTSIDE if aside else ():
        for state in aside:
            add(try_it(made, state))
        progress(done := done + 1, total)
    return PolicyReport(
        getattr(made, "name", type(made).__name__),
        (*map(str, chosen), *(f"{one.state}, twice, {one.gap_s:g} s apart" for one in over_two)),
        tuple(findings.values()),
        perf_counter() - started,
        error,
    )


def find_policy(policy: Policy | type[Policy] | str) -> Policy:
    """The policy meant.

    Raises:
        AuditError: it has no `attach`, `ready`, `decide` or `notice`, or a class of it needs arguments.
        MechanismError: there is no such module or object.
    """
    found = load_object(policy) if isinstance(policy, str) else policy
    missing = [name for name in ("attach", "ready", "decide", "notice") if not callable(getattr(found, name, None))]
    if isinstance(found, type) or (missing and callable(found)):
        try:
            found = found()
        except TypeError as error:
            raise AuditError(f"{policy} cannot be made without arguments ({error}); name an instance") from error
        missing = [name for name in ("attach", "ready", "decide", "notice") if not callable(getattr(found, name, None))]
    if missing:
        raise AuditError(f"{policy} is no policy: it lacks {', '.join(missing)} (see `runtime.Policy`)")
    return found  # type: ignore[return-value]


def _simplified(policy: Policy, state: State, found: PolicyFinding) -> PolicyFinding:
    """The same violation with fewer requests, if there is one."""
    examine = _SHRUNK.get(found.name)
    if examine is None or found.status is not Status.REFUTED or found.case is None:
        return found
    case: Case = found.case
    for fewer in state.smaller():
        smaller = _simplified(policy, fewer, examine(Table(policy, fewer).arrays()))
        if smaller.case is not None and (smaller.case.size, -smaller.case.amount) < (case.size, -case.amount):
            case = smaller.case
    return replace(found, case=case)


_SHRUNK = {
    "truthful": truthful,
    "individually-rational": rational,
    "no-deficit": solvent,
    "socially-efficient": efficient,
}
