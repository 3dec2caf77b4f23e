"""One run: the same traffic under one policy, and what became of it.

Nothing here knows whether engines are real. The traffic, the bidders' true preferences and the order of everything
drawn depend on the seed alone, so that policies meet the same world.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from experiments.worlds.churn import Churn
from experiments.worlds.traffic.traffic import Progress, Traffic
from mechanisms import Preferences
from mechanisms.settlement import Settlement
from prediction import TokenPrices
from runtime import Declined, Engine, EngineInfo, Policy, Request, RoundRules, Router, Served
from runtime.accounts.books import Entered
from runtime.events import Subscriber
from runtime.rounds.deciding.rounds import Watch
from runtime.rounds.records import RoundStatistics

#: Sees the end of every request.
Ended = Callable[[Served | Declined], None]


@dataclass(frozen=True, slots=True)
class Held:
    """How a run went, without its requests; `seconds` by the clock that it ran on."""

    statistics: RoundStatistics
    agents: tuple[EngineInfo, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class PolicyRun:
    """What happened under one policy with one seed."""

    policy: str
    seed: int
    served: tuple[Served, ...]
    declined: tuple[Declined, ...]
    preferences: dict[str, Preferences]
    statistics: RoundStatistics
    agents: tuple[EngineInfo, ...]
    seconds: float


@dataclass(slots=True)
class _Collected:
    served: list[Served] = field(default_factory=list)
    declined: list[Declined] = field(default_factory=list)

    def __call__(self, end: Served | Declined) -> None:
        if isinstance(end, Served):
            self.served.append(end)
        else:
            self.declined.append(end)


async def hold_traffic(
    policy: Policy,
    load: Traffic,
    engines: Sequence[Engine],
    prices: Sequence[TokenPrices],
    *,
    rounds: RoundRules,
    ledger: Entered,
    ended: Ended,
    settlement: Settlement | None = None,
    progress: Progress = lambda: None,
    watch: Watch | None = None,
    subscribers: Sequence[Subscriber] = (),
    churn: Churn | None = None,
) -> Held:
    """Put all of the traffic to one policy; engines must be running, with empty caches. Keeps no request.

    Args:
        churn: agents that leave and join meanwhile; `engines` are those that are there at the beginning.

    Raises:
        EngineError: every engine died.
        ServingError: an agent joins, and the policy takes none.
        Exception: what `watch` raises, which sees every outcome of an auction, or what the policy raises as it learns.
    """
    holding: list[asyncio.Task[None]] = []
    changing: asyncio.Task[None] | None = None

    failed: list[BaseException] = []

    def stop_holding(error: BaseException) -> None:
        holding[0].cancel()

    def churned(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            failed.append(_first(task.exception()))
            holding[0].cancel()

    router = Router(
        engines,
        policy,
        prices,
        rounds=rounds,
        ledger=ledger,
        settlement=settlement,
        grade=load.grade,
        watch=watch,
        subscribers=subscribers,
        on_error=stop_holding,
    )

    async def ask(request: Request, reported: Preferences) -> Served | Declined:
        result = await router.submit(request, reported)
        ended(result)
        return result

    loop = asyncio.get_running_loop()
    began = loop.time()
    await router.start()
    try:
        holding.append(asyncio.create_task(load.hold(ask, progress)))
        if churn is not None:
            changing = asyncio.create_task(churn.hold(router))
            changing.add_done_callback(churned)
        try:
            await holding[0]
        except asyncio.CancelledError:
            if failed:
                raise failed[0] from None
            raise
    finally:
        if changing is not None:
            changing.cancel()
            await asyncio.gather(changing, return_exceptions=True)
        # Raises what a policy failed to learn, which ended the conversations.
        await router.stop()
        if churn is not None:
            await churn.stop()
    return Held(router.statistics, tuple(router.infos), loop.time() - began)


def _first(error: BaseException | None) -> BaseException:
    """What a group of tasks failed by."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert error is not None
    return error


async def run_policy(
    policy: Policy,
    load: Traffic,
    engines: Sequence[Engine],
    prices: Sequence[TokenPrices],
    *,
    seed: int,
    rounds: RoundRules,
    ledger: Entered,
    settlement: Settlement | None = None,
    progress: Progress = lambda: None,
    watch: Watch | None = None,
    subscribers: Sequence[Subscriber] = (),
) -> PolicyRun:
    """The same, with every request kept.

    Raises:
        EngineError, Exception: as `hold_traffic`.
    """
    collected = _Collected()
    held = await hold_traffic(
        policy,
        load,
        engines,
        prices,
        rounds=rounds,
        ledger=ledger,
        ended=collected,
        settlement=settlement,
        progress=progress,
        watch=watch,
        subscribers=subscribers,
    )
    return PolicyRun(
        policy.name,
        seed,
        tuple(collected.served),
        tuple(collected.declined),
        dict(load.types),
        held.statistics,
        held.agents,
        held.seconds,
    )
