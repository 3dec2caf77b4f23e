"""The one error of `prediction`."""


class PredictionError(ValueError):
    """A prediction was asked for, or taught, with something malformed.

    Common causes: token ids that are negative, an agent the index or model does not have, arrays whose shapes disagree,
    a measurement that is not finite. The message names the datum (row and column where there are any) and says what was
    expected.
    """
