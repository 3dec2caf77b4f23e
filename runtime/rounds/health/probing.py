"""Asks engines that are left out, or in doubt, whether they are well, so that no request has to find out.

One whose answer broke off is asked at once (`Health.broke`), and left out if it is not well. An engine that can say so
(`healthy`) comes back on trial as soon as it does, and is left out for as long as it does not; one that cannot is tried
with a request once its pause is over, as `Health` has it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from runtime.engines.engine import Engine
from runtime.errors import ServingError
from runtime.rounds.health.health import Health

_log = logging.getLogger(__name__)
_EVERY_S = 0.5


def askable(engines: Sequence[Engine]) -> list[int]:
    """Numbers of the engines that can be asked."""
    return [j for j, engine in enumerate(engines) if hasattr(engine, "healthy")]


class Probing:
    """Probes for one router, one at a time for each engine.

    Args:
        engines: those with a method `healthy` are asked.
        health: who is out.
        wake: is called when one came back.
        vacate: is told who is found to be out: whoever stands in line there goes elsewhere.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        health: Health,
        wake: Callable[[], None],
        vacate: Callable[[int], None] = lambda agent: None,
    ) -> None:
        self._engines, self._health, self._wake, self._vacate = engines, health, wake, vacate
        self._asked: dict[int, asyncio.Task[None]] = {}
        health.ask = self.ask

    async def run(self) -> None:
        """Probe until cancelled."""
        try:
            while True:
                await asyncio.sleep(_EVERY_S)
                for j in range(len(self._engines)):
                    if self._health.probed(j):
                        self.ask(j)
        finally:
            self._health.ask = lambda agent: None
            for task in self._asked.values():
                task.cancel()

    def ask(self, agent: int) -> None:
        """Ask one that can be asked, now, unless it is being asked."""
        if agent not in self._asked:
            engine = self._engines[agent]
            self._asked[agent] = asyncio.create_task(self._ask(agent, engine), name=f"probe {engine.name}")

    async def _ask(self, j: int, engine: Engine) -> None:
        loop = asyncio.get_running_loop()
        try:
            well = bool(await engine.healthy())  # type: ignore[attr-defined]
        except ServingError as error:
            _log.warning("engine %s does not say that it is well: %s", engine.name, error)
            well = False
        finally:
            del self._asked[j]
        if well:
            self._health.recovered(j)
            self._wake()
        elif self._health.ailing(j, loop.time()):
            self._vacate(j)
            self._wake()
