"""The simulation's benchmark on two processes, at a size at which nothing can be measured."""

import re

import pytest

from tests.benchmarks.bench_simulation import main


@pytest.mark.slow
def test_two_processes_play_all_their_requests(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--processes", "2", "--requests", "600", "--policy", "sticky"])
    *rows, last = capsys.readouterr().out.splitlines()
    played = [int(found) for row in rows for found in re.findall(r'"requests": (\d+)', row)]
    # Who is never declined asks all: three times the 117 turns that are shipped, in either process.
    assert played == [351, 351]
    assert last.startswith("702 requests on 2 processes in ")
