"""For test suites: `assert_truthful(my_mechanism)`; `promised_on`, what there is to assert of a rule."""

from collections.abc import Iterable

from mechanisms import DirectMechanism
from proofs.audit import SMALL, audit, promises_of_subject
from proofs.claims.property import ALL, Property, Truthful, find_property
from proofs.errors import AuditError
from proofs.reals.encoding import PROVABLE
from proofs.reals.scope import Reals
from proofs.scopes.grid import Scope
from proofs.subject.subject import Subject


def assert_holds(mechanism: DirectMechanism | str, properties: Iterable[Property | str], scope: Scope = SMALL) -> None:
    """Raise `AssertionError` with every counterexample that an audit finds.

    Over a `Sample` passing means only that no violation was found.

    Raises:
        AssertionError: a property is refuted.
        AuditError, MechanismError: as `audit`.
    """
    __tracebackhide__ = True
    report = audit(mechanism, scope, properties)
    if report.refuted:
        raise AssertionError(f"{report}")


def assert_truthful(mechanism: DirectMechanism | str, scope: Scope = SMALL) -> None:
    """Raise `AssertionError` with a counterexample if any bidder can gain by a misreport.

    Raises:
        AssertionError: somebody can.
        AuditError, MechanismError: as `audit`.

    Example:
        >>> from proofs import Grid
        >>> assert_truthful("vcg", scope=Grid(bidders=2, agents=2, values=range(3)))
    """
    __tracebackhide__ = True
    assert_holds(mechanism, [Truthful()], scope)


#: Promises about misreports of agents.
_OF_AGENTS = ("truthful-agents", "truthful-both")


def promised_on(mechanism: DirectMechanism | str, scope: Scope, allocator: str | None = None) -> list[Property]:
    """What a mechanism promises on the markets of a scope, as properties to audit; `ALL` if it makes no promise.

    What it promises about agents' misreports counts where the scope has such misreports: where costs or capacities are
    private. Over `Reals` these are `PROVABLE`, promised or not.

    Args:
        mechanism, scope, allocator: as in `audit`.

    Raises:
        AuditError: it makes promises, and none of them is about such markets; or a promise needs parameters.
        MechanismError: the name stands for no mechanism.
    """
    if isinstance(scope, Reals):
        return list(PROVABLE)
    subject = Subject.of(mechanism, allocator)
    promises = promises_of_subject(subject)
    template = getattr(scope, "template", None)
    private = any(getattr(scope, terms, None) is not None for terms in ("private_costs", "private_capacities"))
    here = [
        name
        for name, domain in promises.items()
        if (template is None or domain.covers(template)) and (private or name not in _OF_AGENTS)
    ]
    if promises and not here:
        said = "; ".join(f"{name} on {domain}" for name, domain in promises.items())
        raise AuditError(f"{subject} promises nothing on {scope}; it promises {said}: name the properties to audit")
    return [find_property(name) for name in here] or list(ALL)
