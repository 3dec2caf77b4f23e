"""When requests begin: rates, bursts, times that are given."""

import numpy as np
import pytest

from experiments.data import Arrivals, AtTimes, Bursts, Closed, Poisson, arrivals
from experiments.errors import StudyError

EVERY = (Closed(), Poisson(2.0), Bursts(2.0), AtTimes(tuple(map(float, range(50)))))


@pytest.mark.parametrize("process", EVERY, ids=lambda each: type(each).__name__)
def test_starts_are_ordered_and_repeat(process: Arrivals) -> None:
    assert isinstance(process, Arrivals)
    found = process.starts(50, seed=3)
    assert len(found) == 50 and list(found) == sorted(found) and found[0] >= 0
    assert process.starts(50, seed=3) == found
    assert process.starts(20, seed=3) == found[:20]
    assert process.starts(0, seed=3) == ()
    with pytest.raises(StudyError, match="must not be negative"):
        process.starts(-1, seed=3)


def test_the_schedule_of_dialogues_is_the_poisson_process() -> None:
    assert arrivals(9, rate_per_s=2.0, seed=5).starts_s == Poisson(2.0).starts(9, 5)


@pytest.mark.parametrize(("burst", "on_s", "off_s"), [(5.0, 10.0, 60.0), (7.0, 10.0, 60.0), (1.0, 3.0, 3.0)])
def test_bursts_keep_the_rate(burst: float, on_s: float, off_s: float) -> None:
    ends = [Bursts(20.0, burst, on_s, off_s).starts(20_000, seed)[-1] for seed in range(10)]
    assert np.mean(ends) == pytest.approx(1000, rel=0.1)


def test_bursts_are_bursts_and_poisson_is_none() -> None:
    def dispersion(process: Arrivals) -> float:
        """Variance over mean of the counts of five seconds; 1 for Poisson."""
        times = np.array(process.starts(20_000, seed=1))
        counts = np.histogram(times, np.arange(0, times[-1], 5.0))[0]
        return float(counts.var() / counts.mean())

    assert dispersion(Poisson(20.0)) == pytest.approx(1, abs=0.3)
    assert dispersion(Bursts(20.0, burst=1.0)) == pytest.approx(1, abs=0.3)
    assert dispersion(Bursts(20.0, burst=5.0)) > 10


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Poisson(0.0), "rate = 0"),
        (lambda: Poisson(float("nan")), "rate = nan"),
        (lambda: Bursts(1.0, burst=0.5), "burst = 0.5"),
        (lambda: Bursts(1.0, burst=7.1), "from 1 to 7"),
        (lambda: Bursts(1.0, on_s=-1.0), "on_s = -1"),
        (lambda: AtTimes((1.0, 0.5)), r"times\[1\] = 0.5 s"),
        (lambda: AtTimes((-1.0,)), r"times\[0\] = -1 s"),
        (lambda: AtTimes((1.0,)).starts(2, 0), "2 starts are asked for, and 1 times given"),
    ],
)
def test_what_is_no_process_is_refused(wrong: object, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        wrong()  # type: ignore[operator]
