"""Our own gateway, `iemas serve` as a process over three fake engines, held to the checks that judge other proxies too.

All of them are in tests/benchmarks/gateway/conformance; `make bench-gateway` runs these and what is left out here:
LiteLLM's client, and what waits for seconds by its nature.
"""

from collections.abc import Iterator

import pytest

from tests.benchmarks.gateway.conformance.check import CHECKS
from tests.benchmarks.gateway.conformance.run import judge
from tests.benchmarks.gateway.engines import engines
from tests.benchmarks.gateway.peers import PEERS, Proxy

#: Left to `make bench-gateway`.
SLOW = ("litellm", "never answers", "falls silent", "after 100 refusals", "48 MB", "2 MB", "clients hang up at once")
GROUPS = tuple(dict.fromkeys(check.group for check in CHECKS))


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """One gateway for all groups, as it has to serve all clients."""
    with engines() as fleet, PEERS["iemas keyed"].run(fleet) as running:
        yield running


@pytest.mark.parametrize("group", GROUPS)
def test_every_check_of_a_group_passes(group: str, proxy: Proxy) -> None:
    results = judge(proxy, only=f"{group}: ", leave=SLOW)
    failed = {result.name: result.reason for result in results if result.reason}
    assert not failed
    assert any(not result.skipped for result in results)
