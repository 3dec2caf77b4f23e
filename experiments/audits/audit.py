"""`audit_policy`: the served policy's own `decide`, exhaustively over reports on small states."""

from collections.abc import Callable, Sequence
from time import perf_counter

from experiments.audits.finding import Case, PolicyFinding, PolicyReport
from experiments.audits.invariance import interference, orderly, own_past, predictions
from experiments.audits.one_round import efficient, rational, solvent, truthful
from experiments.audits.play import Played, Table
from experiments.audits.reference import MICROS
from experiments.audits.state import State
from experiments.audits.suite import suite
from mechanisms.catalogue import load_object
from proofs import AuditError, Status
from runtime import Policy

_ONE_ROUND = (truthful, rational, solvent, efficient, interference, orderly, predictions)


def audit_policy(
    policy: Policy | type[Policy] | str,
    states: Sequence[State] | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PolicyReport:
    """Ask a policy for its decision under every profile of reports, and score every misreport at a reference.

    Args:
        policy: an object, a class or function that makes one, or `module:object` of either. It is started afresh
            (`attach`) for every state, and given the state's past as events.
        states: default `suite()`.
        progress: called with (done, total) states.

    Raises:
        AuditError: it is no policy, or cannot be given a past.
    """
    made, started = find_policy(policy), perf_counter()
    chosen = suite() if states is None else tuple(states)
    findings: dict[str, PolicyFinding] = {}
    error = 0.0
    for done, state in enumerate(chosen):
        played = Table(made, state).arrays()
        error = max(error, int(played.error.max()) / MICROS - 1 / MICROS)
        for one in [*(examine(played) for examine in _ONE_ROUND), own_past(made, state)]:
            found = _simplified(made, state, one)
            findings[found.name] = findings[found.name].and_(found) if found.name in findings else found
        progress(done + 1, len(chosen))
    return PolicyReport(
        getattr(made, "name", type(made).__name__),
        tuple(map(str, chosen)),
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
    examine = next((one for one in _ONE_ROUND[:4] if one.__doc__ and found.name in _NAMES.get(one, "")), None)
    if examine is None or found.status is not Status.REFUTED or found.case is None:
        return found
    case: Case = found.case
    for fewer in state.smaller():
        smaller = _simplified(policy, fewer, examine(Table(policy, fewer).arrays()))
        if smaller.case is not None and (smaller.case.size, -smaller.case.amount) < (case.size, -case.amount):
            case = smaller.case
    return PolicyFinding(found.name, found.status, found.cases, found.seconds, found.worst, case, found.note)


_NAMES = {
    truthful: "truthful",
    rational: "individually-rational",
    solvent: "no-deficit",
    efficient: "socially-efficient",
}
