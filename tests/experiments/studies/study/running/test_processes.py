"""A study in processes: the same numbers in any number of them, and errors that are told as one."""

import os
from pathlib import Path

import pytest

from experiments.errors import StudyError
from experiments.studies.study import Dialogues, Study
from mechanisms import Preferences
from runtime.events import Event
from tests.experiments.studies.study.few import FEW, Mine, figures


def test_nothing_is_printed_where_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    Study(Dialogues("shipped", dialogues=1, turns=1), ["random"], seeds=1).run(workers=0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_who_fails_to_take_note_is_told_as_one_error_and_no_traceback_is_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Forgetful(Mine):
        def notice(self, event: Event) -> None:
            raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        Study(FEW, [("forgetful", Forgetful)], seeds=1).run(workers=1, progress=lambda done, of: None)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_numbers_are_the_same_in_any_number_of_processes(tmp_path: Path) -> None:
    class Local(Mine):
        """Of no file: it travels by its code."""

    made = Study(
        FEW, ["iemas", ("local", Local), "random"], seeds=2, bidders=lambda rng: Preferences(50.0, rng.uniform())
    )
    found = [figures(made.run(workers=workers)) for workers in (0, 1, 2)]
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
def test_numbers_are_the_same_on_ray() -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed; install iemas[ray]")
    made = Study(FEW, [("mine", Mine), "random"], seeds=1)
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    try:
        assert figures(made.run(workers="ray")) == figures(made.run(workers=0))
    finally:
        ray.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="exit codes as POSIX systems have them")
def test_a_policy_that_kills_its_worker_is_named() -> None:
    class Deadly(Mine):
        def decide(self, offers, fleet):  # type: ignore[no-untyped-def]
            os._exit(7)

    with pytest.raises(StudyError, match=r"deadly in shipped, .* at seed 0 ended 2 worker processes \(exit 7\)"):
        Study(FEW, [("deadly", Deadly)], seeds=1).run(workers=1)
