"""Errors of the allocation room: each names the offending value and what to do about it."""


class MarketError(ValueError):
    """A market, an allocation or an amount of money that is malformed.

    Common causes: raw floats instead of micro-units (use `to_micros`), shapes that disagree, a negative capacity,
    NaN, or amounts so large that a sum could overflow.
    """


class CertificateError(ValueError):
    """An allocation that is infeasible, or whose prices do not prove it optimal."""


class SolverError(RuntimeError):
    """An allocator could not finish: the instance is beyond its stated limits, or a library reported failure."""


class TieError(ValueError):
    """Ties that cannot be listed: there are too many, or an allocator does not say which there are."""


class LawError(AssertionError):
    """An allocator, a rule or another part that breaks what every one of its kind owes."""


def unsolved(solver: str, status: str, shape: tuple[int, int]) -> SolverError:
    """The error of a library that ended anywhere but at an optimum."""
    return SolverError(f"{solver} ended as {status!r} on a market of shape {shape}; try MinCostFlow()")
