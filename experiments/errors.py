"""What can go wrong before a study has begun; every message names the culprit and the remedy."""


class DatasetError(ValueError):
    """A data file is missing, is not what its place promises, or could not be fetched.

    Common causes: a web page was saved in place of the file it shows, the download was cut short, the
    machine is offline, the file changed under a recorded checksum.
    """


class CalibrationError(ValueError):
    """Measured runs that no step time can be fitted to."""
