"""What can go wrong before a study has begun; every message names the culprit and the remedy."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proofs import Report


class DatasetError(ValueError):
    """A data file is missing, is not what its place promises, or could not be fetched.

    Common causes: a web page was saved in place of the file it shows, the download was cut short, the
    machine is offline, the file changed under a recorded checksum.
    """


class CalibrationError(ValueError):
    """Measured runs that no step time can be fitted to."""


class StudyError(ValueError):
    """A study that cannot be run as asked: an unknown policy, an empty folder, a refuted mechanism."""


class AuditRefusedError(StudyError):
    """A mechanism whose audit refuted a required property, without the order to run it all the same."""

    def __init__(self, report: "Report", broken: list[str]) -> None:
        self.report = report
        super().__init__(
            f"{report.subject} is not run at scale: the audit {_verdict(report, broken)}; "
            "add --despite-audit (despite_audit=True) to run it all the same, and the report will say so"
        )


def _verdict(report: "Report", broken: list[str]) -> str:
    found = {name: report[name].counterexample for name in broken}
    refuted = [f"{name} ({one.text})" for name, one in found.items() if one is not None]
    unknown = [name for name, one in found.items() if one is None]
    parts = [f"refuted {', '.join(refuted)}"] if refuted else []
    return " and ".join([*parts, *([f"could not examine {', '.join(unknown)}"] if unknown else [])])


class ContradictionError(StudyError):
    """What was served contradicts what the audit found, and nobody gave the order to run it all the same."""

    def __init__(self, name: str, contradiction: str) -> None:
        self.property = name
        super().__init__(
            f"{contradiction}; the run stops here: add --despite-audit to go on, and the report will say so"
        )
