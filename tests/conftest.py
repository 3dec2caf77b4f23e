"""Fixtures for tests in several folders."""

import subprocess
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

from proofs import replay
from proofs.evidence import fresh_process
from tests.runtime.accounts.databases import database, server

# How long an example takes says how busy the machine is, and what was compiled before.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def replayed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replays in this process, from the same files and words: a fresh one takes two seconds.

    Those are started in test_audit.py, test_counterexample.py and test_implementable.py of proofs.
    """
    monkeypatch.setattr(fresh_process, "subprocess", SimpleNamespace(run=_run))


def _run(command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
    said, wrong, code = StringIO(), StringIO(), 0
    with redirect_stdout(said), redirect_stderr(wrong):
        if command[1:3] == ["-m", "proofs.replay"]:
            code = replay.main(command[3:])
        else:
            exec(command[2], {})
    return subprocess.CompletedProcess(command, code, said.getvalue(), wrong.getvalue())


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server of PostgreSQL; where there is none, its tests are skipped and say what to install."""
    with server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Books of each kind, new."""
    if request.param == "sqlite":
        yield str(tmp_path / "books.db")
    else:
        with database(request.getfixturevalue("postgres")) as url:
            yield url
