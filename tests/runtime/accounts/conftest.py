from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.accounts.databases import database, server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
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
