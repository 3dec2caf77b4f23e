"""The one error of `mechanisms`."""


class MechanismError(ValueError):
    """A mechanism, rule or preference that cannot be built or used as asked."""
