"""Replays a trace under one policy after the other, and says what each came to.

Requests come when they came, whatever became of those before: clients do not wait for answers in a replay. Welfare is
as in the arena: stated worth times the assumed skill of whoever answered, less the delay cost until the first token,
less the measured cost; a declined request loses its delay cost until its bidder was told.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from math import inf, nan
from typing import TYPE_CHECKING

import numpy as np

from allocation import MICROS
from experiments.routers.catalogue import Make, find_policy, policies
from experiments.studies.arena.pairs import Difference, compare
from experiments.studies.replay.engines import Limited, Stand, stands
from experiments.studies.replay.prompts import prompts
from experiments.worlds.traffic.player import Player, Prompt
from mechanisms import Preferences, find_mechanism
from runtime import (
    Declined,
    Ledger,
    Message,
    Policy,
    Request,
    RoundRules,
    Router,
    Served,
    ServingError,
    SimulatedEngine,
    calibration,
    running,
)
from runtime.engines.simulated.virtual_time import run
from runtime.rounds.records import RoundStatistics
from runtime.traces.reading import Trace
from runtime.traces.records import Recorded

if TYPE_CHECKING:
    import polars

#: Called after each request with requests done and requests in all.
Progress = Callable[[int, int], None]

#: Who is shown unless named.
SHOWN = ("iemas", "cache-aware", "round-robin")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a policy came to; money in credits, times in seconds. `welfare` is by conversation, and so is nothing else.

    `trouble` counts requests that no engine could serve.
    """

    policy: str
    welfare: tuple[float, ...]
    served: int
    declined: int
    trouble: int
    hit_rate: float
    wait_median: float
    wait_p95: float
    cost: float
    latency_nmae: float
    contested: float
    charges: float
    surplus: float

    @property
    def total(self) -> float:
        """Welfare of all."""
        return sum(self.welfare)


@dataclass(frozen=True, slots=True)
class Replay:
    """A trace under several policies; simulated."""

    trace: Trace
    agents: tuple[Stand, ...]
    runs: tuple[Replayed, ...]

    def over(self, other: Replayed) -> Difference:
        """What the first policy gains over another, in welfare."""
        return compare([self.runs[0].welfare], [other.welfare])

    def frame(self) -> "polars.DataFrame":
        """One row a policy: its figures, the welfare of all, and what the first gains over it, with its interval."""
        import polars

        rows = []
        for played in self.runs:
            gain = None if played is self.runs[0] else self.over(played)
            names = [one.name for one in fields(played) if one.name not in ("policy", "welfare")]
            rows.append(
                {
                    "policy": played.policy,
                    "welfare": played.total,
                    "gain_over_it": None if gain is None else gain.share,
                    "gain_low": None if gain is None else gain.low,
                    "gain_high": None if gain is None else gain.high,
                    **{name: getattr(played, name) for name in names},
                }
            )
        return polars.DataFrame(rows, infer_schema_length=None)


def replay(trace: Trace, names: Sequence[str] = (), progress: Progress = lambda done, total: None) -> Replay:
    """Play a trace under policies by name, `iemas demo`'s or yours.

    Raises:
        StudyError: a policy does not exist.
    """
    known = policies(find_mechanism("vcg"))
    wanted = list(dict.fromkeys(names)) or list(SHOWN)
    makes: list[Make] = [find_policy(name, known) for name in wanted]
    agents, told, done = stands(trace.head), prompts(trace), 0
    total = len(wanted) * len(trace.requests)

    def one_more() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    runs = []
    for name, make in zip(wanted, makes, strict=True):
        found = run(_play(trace, agents, told, make(0), one_more), virtual=True)
        runs.append(_summed(name, trace, agents, *found))
    return Replay(trace, tuple(agents), tuple(runs))


Ended = dict[str, Served | Declined]


async def _play(
    trace: Trace, agents: Sequence[Stand], told: dict[str, Prompt], policy: Policy, one_more: Callable[[], None]
) -> tuple[Ended, RoundStatistics]:
    head, ended = trace.head, Ended()
    everybody = set(range(len(agents)))
    barred = {one.id: frozenset(everybody - set(one.agents)) for one in trace.requests}
    engines = [
        Player(SimulatedEngine(stand.name, lambda request: "", calibration(stand.calibration), stand.shape), told)
        for stand in agents
    ]
    rules = RoundRules(head.window_s, head.max_batch, head.patience_s, None, head.depth)
    failures: list[BaseException] = []
    async with running(engines):
        with Ledger() as ledger:
            router = Router(
                engines,
                Limited(policy, barred) if any(barred.values()) else policy,
                [stand.prices for stand in agents],
                rounds=rules,
                ledger=ledger,
                on_error=failures.append,
            )
            await router.start()
            try:
                start = trace.requests[0].at_s
                async with asyncio.TaskGroup() as asking:
                    for one in trace.requests:
                        asking.create_task(_ask(router, one, one.at_s - start, ended, one_more))
            finally:
                await router.stop()
    if failures:
        raise failures[0]
    return ended, router.statistics


async def _ask(router: Router, one: Recorded, after_s: float, ended: Ended, one_more: Callable[[], None]) -> None:
    await asyncio.sleep(after_s)
    longest = max(info.max_model_len for info in router.infos)
    request = Request(
        one.id, one.bidder, (Message("user", one.id),), min(one.max_tokens, longest), turn=one.turn, stream=one.stream
    )
    # What no engine of these can serve is counted by its absence.
    with suppress(ServingError):
        ended[one.id] = await router.submit(request, reported(one))
    one_more()


def reported(one: Recorded) -> Preferences:
    """What the bidder reported, and is taken to be worth."""
    said = one.stated
    return Preferences(said.worth, said.delay_cost, inf if said.deadline_s is None else said.deadline_s, said.stake)


def _summed(name: str, trace: Trace, agents: Sequence[Stand], ended: Ended, statistics: RoundStatistics) -> Replayed:
    place: dict[tuple[str, str], int] = {}
    for one in trace.requests:
        place.setdefault(_conversation(one), len(place))
    welfare = np.zeros(len(place))
    for one in trace.requests:
        end, true = ended.get(one.id), reported(one)
        at = place[_conversation(one)]
        if isinstance(end, Served):
            late = end.first_token_s > true.deadline
            worth = 0.0 if late else true.worth * agents[end.agent].skill
            welfare[at] += worth - true.delay_cost * end.first_token_s - end.cost / MICROS
        elif isinstance(end, Declined):
            welfare[at] -= true.delay_cost * end.waited_s
    served = [end for end in ended.values() if isinstance(end, Served)]
    waits = [one.first_token_s for one in served]
    prompt = sum(one.completion.prompt_tokens for one in served)
    pairs = [(one.predicted.latency_s, _took(one)) for one in served if one.predicted is not None]
    charges = sum(one.charge for one in served) / MICROS
    return Replayed(
        policy=name,
        welfare=tuple(welfare.tolist()),
        served=len(served),
        declined=len(ended) - len(served),
        trouble=len(trace.requests) - len(ended),
        hit_rate=sum(one.completion.cached_tokens for one in served) / prompt if prompt else nan,
        wait_median=float(np.median(waits)) if waits else nan,
        wait_p95=float(np.quantile(waits, 0.95)) if waits else nan,
        cost=sum(one.cost for one in served) / MICROS / len(served) if served else nan,
        latency_nmae=sum(abs(a - b) for a, b in pairs) / sum(b for _, b in pairs) if pairs else nan,
        contested=statistics.contested / statistics.decided if statistics.decided else nan,
        charges=charges,
        surplus=charges - sum(one.receipt for one in served) / MICROS,
    )


def _conversation(one: Recorded) -> tuple[str, str]:
    """Whose, and how it begins: requests of one conversation are not independent."""
    return one.bidder, one.blocks[0] if one.blocks else one.id


def _took(one: Served) -> float:
    return one.dispatched_s - one.decided_s + one.completion.first_token_s


def recorded_figures(trace: Trace) -> dict[str, float]:
    """What was measured when the trace was recorded, by the same names."""
    served = [one for one in trace.requests if one.measured is not None]
    waits = [one.first_token_s - one.at_s for one in served if one.first_token_s is not None]
    prompt = sum(one.measured.prompt for one in served if one.measured is not None)
    cached = sum(one.measured.cached for one in served if one.measured is not None)
    return {
        "served": len(served),
        "declined": sum(one.outcome == "declined" for one in trace.requests),
        "trouble": sum(one.outcome in ("failed", "abandoned") for one in trace.requests),
        "hit_rate": cached / prompt if prompt else nan,
        "wait_median": float(np.median(waits)) if waits else nan,
        "charges": sum(one.charge for one in trace.requests) / MICROS,
    }
