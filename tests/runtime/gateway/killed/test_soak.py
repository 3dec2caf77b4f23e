"""Engines die at random under load, for twenty seconds."""

import sys
from pathlib import Path

import pytest

from tests.runtime.gateway.killed.soak import soak


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc, which Linux has")
def test_engines_that_die_under_load_cost_nobody_and_leave_nothing_held(tmp_path: Path) -> None:
    soaked = soak(tmp_path, 20.0)
    assert soaked.deaths >= 3 and soaked.settled and soaked.released
    assert soaked.answers["200"] and soaked.answers["broken off"] + soaked.answers["502"] + soaked.answers["503"]
    # An answer that is kept, or a task that is not ended, of each of some thousand requests would be more.
    assert soaked.grown() < 64
