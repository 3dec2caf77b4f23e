"""Sizes of a round: greedy is never better, what is too large is named, and slots bound who is served."""

from typing import Any

import pytest

from experiments.errors import StudyError
from experiments.studies.findings.exhibits.exhibit import Interval
from experiments.studies.findings.rounds import scale


def test_greedy_is_never_better_and_sizes_that_are_left_out_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IEMAS_DATASETS", raising=False)
    monkeypatch.setattr(scale, "MOST_PAIRS", 1000)
    told: list[tuple[int, int]] = []
    found = scale.run(
        seeds=[0, 1],
        workers=0,
        progress=lambda done, total: told.append((done, total)),
        sizes=((3, 40), (5, 100), (10, 1000)),
    )
    assert told[-1] == (4, 4)
    assert found.column("agents x requests") == ["3 x 40", "5 x 100"]
    assert "10 x 1,000, of more than 1,000 pairs" in " ".join(found.notes)
    for gain, served, size in zip(
        found.column("welfare over greedy, %"), found.column("served, %"), found.column("market, MiB"), strict=True
    ):
        assert isinstance(gain, Interval) and gain.low >= 0 and gain.high > 0
        assert isinstance(served, Interval) and served.high <= 90
        assert isinstance(size, Interval) and size.mean > 0


def test_a_round_without_anybody_and_sizes_that_are_all_too_large_are_refused() -> None:
    quiet: Any = {"seeds": [0], "workers": 0, "progress": lambda done, total: None}
    with pytest.raises(StudyError, match="0 agents and 10 requests"):
        scale.run(**quiet, sizes=((0, 10),))
    with pytest.raises(StudyError, match="every size has more than 20,000,000 pairs"):
        scale.run(**quiet, sizes=((1000, 100_000),))
