"""`RayCluster`: the blocks of an enumeration on a Ray cluster (Moritz et al. 2018). Needs the extra `ray`."""

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

from proofs.errors import AuditError
from proofs.grids.table import Block, Enumeration
from proofs.grids.workers import AHEAD, packed


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A cluster where this package and the mechanism's module can be imported too.

    Args:
        address: as `ray.init` takes it, such as "auto" or "ray://head:10001"; None: what `RAY_ADDRESS` says, or else
            one of its own on this machine, which ends with the sweep.
    """

    address: str | None = None

    def answer(self, work: Enumeration, numbers: Sequence[int]) -> Iterator[Block]:
        """The blocks as they are done.

        Raises:
            AuditError: as `Pool`, Ray is not installed, or the cluster cannot be reached.
        """
        ray = _ray()
        packed(work)  # fails in words, before any cluster is troubled
        ours = not ray.is_initialized()
        if ours:
            self._connect(ray)
        try:
            left = iter(numbers)
            shared, task = ray.put(work), ray.remote(_answer)
            ahead = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
            running = [task.remote(shared, number) for _, number in zip(range(ahead), left, strict=False)]
            while running:
                done, running = ray.wait(running)
                running += [task.remote(shared, number) for _, number in zip(done, left, strict=False)]
                for block in done:
                    yield self._got(ray, block)
        finally:
            if ours:
                ray.shutdown()

    def _connect(self, ray: ModuleType) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # an audit tells nobody that it ran
        try:
            _knock(self.address)
            ray.init(self.address, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError) as error:
            raise AuditError(f"no Ray cluster at {self.address or 'RAY_ADDRESS'}: {error}") from error

    def _got(self, ray: ModuleType, block: object) -> Block:
        try:
            found: Block = ray.get(block)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        return found


def _knock(address: str | None) -> None:
    """Raise `OSError` at once where nobody listens: Ray itself would wait for minutes."""
    host, colon, port = (address or os.environ.get("RAY_ADDRESS", "")).removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=5).close()


def _answer(work: Enumeration, number: int) -> Block:
    return work.answer(number)


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise AuditError("Ray is not installed; install the extra, iemas[ray], or use Processes()") from error
    found: ModuleType = ray
    return found
