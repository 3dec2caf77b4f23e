"""Which mechanism was it? A name for people, and a fingerprint of its sources for machines."""

from proofs.errors import AuditError
from proofs.subject.reach import definers, digest
from proofs.subject.subject import to_expression


def written(mechanism: object) -> str:
    """The mechanism as an expression, or else the name of its class."""
    kind = type(mechanism)
    try:
        return to_expression(mechanism)
    except AuditError:
        return f"{kind.__module__}:{kind.__qualname__}"


def fingerprint(mechanism: object) -> str:
    """sha256, in hex, of the sources that decide what it answers, as `reach.digest` has them.

    They are the modules of its classes, of its parts' and of what those inherit from, outside the standard library; of
    the user's all that these import, one from another; and the rooms `allocation` and `mechanisms`. Data files that it
    reads are not covered.
    """
    return digest(definers(mechanism))
