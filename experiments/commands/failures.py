"""What went wrong, in one line: our own words for typed errors, the place in the user's code for all others."""

import re
import site
import sys
import sysconfig
import traceback
from pathlib import Path

#: The folder that our rooms lie in, and the rooms.
_HOME = Path(__file__).resolve().parents[2]
_ROOMS = ("allocation", "mechanisms", "prediction", "proofs", "runtime", "experiments")


def one_line(error: BaseException) -> str:
    """The message of a typed error and its notes; of any other also its kind and where in the user's code it arose."""
    notes = getattr(error, "__notes__", ())
    if isinstance(error, _our_errors()):
        return " ".join([str(error), *(f"({note})" for note in notes)])
    message = " ".join([f"{type(error).__name__}: {error}", *notes])
    return f"{message} ({_where(error)}; IEMAS_TRACEBACK=1 shows how it came there)"


def is_ours(file: str) -> bool:
    """Whether a source file belongs to one of our rooms."""
    path = Path(file)
    return any(path.is_relative_to(_HOME / room) for room in _ROOMS)


def _where(error: BaseException) -> str:
    places = _places(error)
    theirs = [place for place in places if not is_ours(place[0]) and not _is_installed(place[0])]
    file, line = (theirs or places or [("?", 0)])[-1]
    return f"{file}:{line}"


def _places(error: BaseException) -> list[tuple[str, int]]:
    """Files and lines, outermost first; of an error in a worker process, those there."""
    remote = getattr(error.__cause__, "tb", None)
    if type(error.__cause__).__name__.endswith("RemoteTraceback") and isinstance(remote, str):
        found = re.findall(r'^  File "(.+)", line (\d+)', remote, re.MULTILINE)
        return [(file, int(line)) for file, line in found]
    return [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]


def _is_installed(file: str) -> bool:
    """Whether a file belongs to Python itself or to a package installed beside it."""
    if file.startswith("<"):
        return True
    paths = sysconfig.get_paths()
    folders = [paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()]
    return any(Path(file).is_relative_to(folder) for folder in folders) or file.startswith(f"{sys.base_prefix}/lib/")


def _our_errors() -> tuple[type[Exception], ...]:
    from allocation import CertificateError, MarketError, SolverError
    from experiments.errors import CalibrationError, DatasetError, StudyError
    from mechanisms import MechanismError
    from prediction import PredictionError
    from proofs import AuditError, ReplayError
    from runtime import ServingError

    return (
        MarketError,
        CertificateError,
        SolverError,
        MechanismError,
        PredictionError,
        AuditError,
        ReplayError,
        ServingError,
        DatasetError,
        CalibrationError,
        StudyError,
    )
