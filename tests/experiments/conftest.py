"""Fixtures for the experiments' tests: the real data files, where this machine has them."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder of real files that are never committed; tests that need it are skipped without it."""
    for candidate in (os.environ.get("IEMAS_DATASETS"), REPOSITORY.parent / "shared" / "datasets"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    pytest.skip("no real data: set IEMAS_DATASETS to a folder of them, or put one at ../shared/datasets")
