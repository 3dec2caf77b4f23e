"""Assertions for test suites: `assert_truthful(my_mechanism)` in pytest."""

from collections.abc import Iterable

from mechanisms import DirectMechanism
from proofs.audit import SMALL, audit
from proofs.properties import Property, Truthful
from proofs.scope import Scope


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
    """Raise `AssertionError` with a counterexample if any bidder can gain by a lie.

    Raises:
        AssertionError: somebody can.
        AuditError, MechanismError: as `audit`.

    Example:
        >>> from proofs import Grid
        >>> assert_truthful("vcg", scope=Grid(bidders=2, agents=2, values=range(3)))
    """
    __tracebackhide__ = True
    assert_holds(mechanism, [Truthful()], scope)
