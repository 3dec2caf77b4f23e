"""Asks engines that are left out whether they are well, so that no request has to be the one that finds out.

An engine that can say so (`healthy`) comes back on trial as soon as it does, and is left out for as long as it does
not; one that cannot is tried with a request once its pause is over, as `Health` has it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from runtime.engines.engine import Engine
from runtime.errors import ServingError
from runtime.rounds.health import Health

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
    """

    def __init__(self, engines: Sequence[Engine], health: Health, wake: Callable[[], None]) -> None:
        self._engines, self._health, self._wake = engines, health, wake
        self._asked: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Probe until cancelled."""
        try:
            while True:
                await asyncio.sleep(_EVERY_S)
                for j, engine in enumerate(self._engines):
                    if self._health.probed(j) and j not in self._asked:
                        self._asked[j] = asyncio.create_task(self._ask(j, engine), name=f"probe {engine.name}")
        finally:
            for task in self._asked.values():
                task.cancel()

    async def _ask(self, j: int, engine: Engine) -> None:
        loop = asyncio.get_running_loop()
        try:
            well = bool(await engine.healthy())  # type: ignore[attr-defined]
        except ServingError as error:
            _log.warning("engine %s does not come back: %s", engine.name, error)
            well = False
        finally:
            del self._asked[j]
        if well:
            self._health.recovered(j)
            self._wake()
        else:
            self._health.ailing(j, loop.time())
