"""Errors of the mechanisms room."""


class MechanismError(ValueError):
    """A mechanism, rule or preference that cannot be built or used as asked."""
