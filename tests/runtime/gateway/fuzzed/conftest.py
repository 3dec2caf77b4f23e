"""One gateway for all of it."""

from collections.abc import Iterator

import pytest

from tests.runtime.gateway.fuzzed.living import Living, living


@pytest.fixture(scope="package")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living(tmp_path_factory.mktemp("fuzzed")) as found:
        yield found
