"""Errors of the proofs room: each names the offending value and what to do about it."""


class AuditError(ValueError):
    """An audit that cannot be made, or would mean nothing.

    Common causes: an empty or far too large scope, a property that no engine examines over this scope, a mechanism that
    answers the same market differently twice, or one that hands out capacity that does not exist.
    """


class ReplayError(AuditError):
    """A counterexample that does not happen again when it is computed from scratch.

    Common causes: the file belongs to another mechanism, the mechanism changed since, or it depends on the state of
        its process.
    """
