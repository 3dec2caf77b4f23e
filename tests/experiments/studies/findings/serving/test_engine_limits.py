"""Engines within the paper's limits: what fits into memory, and that random routing hits least."""

import pytest

from experiments.errors import StudyError
from experiments.studies.findings.exhibits.exhibit import Interval
from experiments.studies.findings.serving.engine_limits import LARGE, PAPER, SMALL, USUAL, agent, fleets, run
from experiments.studies.study import Dialogues
from experiments.worlds.rooflines import kv_bytes


def test_the_cache_is_what_weights_leave() -> None:
    one = agent("a", 8, LARGE, PAPER)
    tokens = one.shape.cache_blocks * one.shape.block_size
    assert tokens == pytest.approx((0.6 * 80e9 - 16e9) / kv_bytes(8), abs=16)
    assert one.shape.max_num_seqs == 12
    assert agent("a", 8, LARGE, USUAL).shape.cache_blocks > one.shape.cache_blocks
    assert len(fleets()) == 5


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(StudyError, match=r"8 billion parameters in 0.6 of 24 GB leave -1.6 GB"):
        agent("a", 8, SMALL, PAPER)


def test_random_routing_hits_least() -> None:
    few = {"shipped": Dialogues("shipped", rate=10.0, think_time_s=1.0, dialogues=6, turns=4)}
    small = {"two": [agent(f"4b-{k}", 4, SMALL, PAPER) for k in range(2)]}
    found = run(seeds=[0, 1], workers=0, progress=lambda done, total: None, given=few, agents=small)
    hits = {str(row[0]): row[2] for row in found.rows}
    lowest = hits.pop("shipped, random")
    assert isinstance(lowest, Interval)
    assert all(isinstance(one, Interval) and one.mean > lowest.mean for one in hits.values())


def test_nothing_to_play_is_refused() -> None:
    with pytest.raises(StudyError, match="no workload or no fleet"):
        run(seeds=[0], workers=0, progress=lambda done, total: None, given={})
