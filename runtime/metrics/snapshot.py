"""A tally in the words of a live view: sums as they stand, and what happened between two instants."""

from collections.abc import Sequence
from dataclasses import dataclass

from allocation import MICROS
from runtime.metrics.tally import AgentTally, Tally


@dataclass(frozen=True, slots=True)
class Instant:
    """Sums over all agents at one moment; `at_s` on the loop's clock, `unix_s` on everybody's; money in micro-units."""

    unix_s: float
    at_s: float
    arrived: int
    served: int
    declined: int
    failed: int
    matches: int
    rounds: int
    prompt: int
    cached: int
    said_cached: int
    charges: int
    ended: int
    decide_s: float


def instant(tally: Tally, unix_s: float, at_s: float) -> Instant:
    """The sums now."""
    agents, rounds = tally.agents, tally.rounds()
    return Instant(
        unix_s=unix_s,
        at_s=at_s,
        arrived=tally.arrived,
        served=sum(one.served for one in agents),
        declined=sum(tally.declined.values()),
        failed=_failed(tally),
        matches=sum(one.decided for one in agents),
        rounds=sum(one.rounds for one in rounds),
        prompt=sum(one.prompt for one in agents),
        cached=sum(one.cached for one in agents),
        said_cached=sum(one.predicted_cached for one in agents),
        charges=sum(one.charges for one in agents),
        ended=sum(one.served + one.abandoned for one in agents),
        decide_s=tally.decide_s.total,
    )


def point(tally: Tally, last: Instant, now: Instant) -> dict[str, object]:
    """What happened between two instants: rates are a second's, shares in [0, 1], None where nothing was measured."""
    seconds = max(now.at_s - last.at_s, 1e-9)
    waits = sorted(one.first_token_s for one in tally.recent if one.at_s > last.at_s)
    prompt, ended, rounds = now.prompt - last.prompt, now.ended - last.ended, now.rounds - last.rounds

    def rate(after: int, before: int) -> float:
        return round((after - before) / seconds, 3)

    return {
        "at": round(now.unix_s, 3),
        "arrived": rate(now.arrived, last.arrived),
        "matches": rate(now.matches, last.matches),
        "served": rate(now.served, last.served),
        "declined": rate(now.declined, last.declined),
        "failed": rate(now.failed, last.failed),
        "rounds": rate(now.rounds, last.rounds),
        "price": _share(now.charges - last.charges, ended * MICROS, 6),
        "hit": _share(now.cached - last.cached, prompt),
        "said_hit": _share(now.said_cached - last.said_cached, prompt),
        "wait_p50": _quantile(waits, 0.5),
        "wait_p95": _quantile(waits, 0.95),
        "decide_ms": _share(1000 * (now.decide_s - last.decide_s), rounds, 3),
        "running": sum(one.running for one in tally.agents),
        "waiting": tally.waiting + sum(one.in_line for one in tally.agents),
    }


def agents_now(tally: Tally) -> list[dict[str, object]]:
    """Every agent as it stands; money in credits."""
    return [
        _agent(name, model, alive, one)
        for (name, model), alive, one in zip(tally.names, tally.alive(), tally.agents, strict=True)
    ]


def totals_now(tally: Tally) -> dict[str, object]:
    """Sums since the gateway began; money in credits."""
    agents, rounds = tally.agents, tally.rounds()
    return {
        "arrived": tally.arrived,
        "served": sum(one.served for one in agents),
        "declined": dict(tally.declined),
        "failed": _failed(tally),
        "abandoned": sum(one.abandoned for one in agents),
        "matches": sum(one.decided for one in agents),
        "rounds": sum(one.rounds for one in rounds),
        "contested": sum(one.contested for one in rounds),
        "charges": sum(one.charges for one in agents) / MICROS,
        "surplus": sum(one.charges - one.receipts for one in agents) / MICROS,
        "stated": dict(tally.stated),
        "last_round": None if not tally.recent_rounds else tally.recent_rounds[-1].number,
    }


def _agent(name: str, model: str, alive: bool, one: AgentTally) -> dict[str, object]:
    return {
        "name": name,
        "model": model,
        "up": bool(alive),
        "running": one.running,
        "waiting": one.in_line,
        "served": one.served,
        "failed": one.failed + one.retried,
        "hit": _share(one.cached, one.prompt),
        "said_hit": _share(one.predicted_cached, one.prompt),
        "price": _share(one.charges, (one.served + one.abandoned) * MICROS, 6),
        "tokens": one.output,
        "wait": _share(one.first_token_s.total, sum(one.first_token_s.counts), 4),
        "latency_error": _share(one.error_latency_s, one.measured_latency_s),
        "charges": one.charges / MICROS,
    }


def _failed(tally: Tally) -> int:
    return tally.failed_unplaced + sum(one.failed for one in tally.agents)


def _share(part: float, whole: float, digits: int = 4) -> float | None:
    return round(part / whole, digits) if whole else None


def _quantile(ordered: Sequence[float], at: float) -> float | None:
    return round(ordered[min(int(at * len(ordered)), len(ordered) - 1)], 4) if ordered else None
