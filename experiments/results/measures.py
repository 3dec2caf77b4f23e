"""From what was served to the figures of the table: cache hits, latency, cost, quality, welfare, payments, errors."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import nan

import numpy as np

from allocation import MICROS
from experiments.worlds.running.run import PolicyRun
from mechanisms import Preferences
from prediction import RIGHT, ErrorMeter, Measured
from runtime import Served


@dataclass(frozen=True, slots=True)
class Measures:
    """One policy's figures. Latencies are waits from arrival to first token, in seconds; money is in credits.

    `hit_rate` is cached over prompt tokens, summed over requests; `hit_rate_per_request` the mean of each request's
    own. `welfare` sums, over served requests, the true value of what was measured minus the measured cost, less what
    those who were declined lost by waiting. `surplus`
    is charges (`payments`) minus receipts, `auction_surplus` the same on the predicted costs that the auction rested
    on. `contested` is the share of requests given to an agent who pay for displacing somebody. NaN where a policy has
    no such figure.
    """

    requests: float
    declined: float
    hit_rate: float
    hit_rate_per_request: float
    latency_median: float
    latency_p95: float
    cost_per_request: float
    quality: float
    right: float
    welfare: float
    payments: float
    surplus: float
    auction_surplus: float
    latency_nmae: float
    cost_nmae: float
    quality_brier: float
    contested: float
    decide_ms: float

    def as_dict(self) -> dict[str, float]:
        """Figures by name."""
        return asdict(self)


def measure(run: PolicyRun) -> Measures:
    """The figures of one run."""
    served = run.served
    waits = [one.first_token_s for one in served]
    prompts = [one.completion.prompt_tokens for one in served]
    cached = [one.completion.cached_tokens for one in served]
    graded = [one.quality for one in served if one.quality is not None]
    costs = sum(one.cost for one in served) / MICROS
    charges = sum(one.charge for one in served) / MICROS
    receipts = sum(one.receipt for one in served) / MICROS
    auction = any(one.predicted is not None for one in served)
    errors = _errors(served)
    return Measures(
        requests=len(served),
        declined=len(run.declined),
        hit_rate=_ratio(sum(cached), sum(prompts)),
        hit_rate_per_request=_mean([hit / length for hit, length in zip(cached, prompts, strict=True)]),
        latency_median=float(np.median(waits)) if waits else nan,
        latency_p95=float(np.quantile(waits, 0.95)) if waits else nan,
        cost_per_request=_ratio(costs, len(served)),
        quality=_mean(graded),
        right=_mean([quality >= RIGHT for quality in graded]),
        welfare=sum(true_value(one, run.preferences[one.request.bidder]) for one in served)
        - costs
        - sum(run.preferences[one.request.bidder].delay_cost * one.waited_s for one in run.declined),
        payments=charges if auction else nan,
        surplus=charges - receipts if auction else nan,
        auction_surplus=run.statistics.predicted_surplus / MICROS if auction else nan,
        latency_nmae=errors["latency_nmae"],
        cost_nmae=errors["cost_nmae"],
        quality_brier=errors["quality_brier"],
        contested=_ratio(run.statistics.contested, run.statistics.decided) if auction else nan,
        decide_ms=1000 * _mean(run.statistics.decide_s),
    )


def true_value(one: Served, preferences: Preferences) -> float:
    """Credits of value that a served request had for its bidder: that of a right answer minus the cost of delay.

    An answer that nobody can grade is not right, for every policy alike. What was at stake beyond it is not in it.
    """
    right = one.quality is not None and one.quality >= RIGHT
    return float(replace(preferences, stake=0.0).value(float(right), one.first_token_s)) / MICROS


def averaged(runs: Sequence[Measures]) -> tuple[Measures, Measures]:
    """Mean and standard deviation over seeds, figure by figure."""
    table = {field.name: [getattr(one, field.name) for one in runs] for field in fields(Measures)}
    spread = {name: float(np.std(column, ddof=1)) if len(column) > 1 else 0.0 for name, column in table.items()}
    return Measures(**{name: float(np.mean(column)) for name, column in table.items()}), Measures(**spread)


def _errors(served: Sequence[Served]) -> dict[str, float]:
    meter = ErrorMeter(quality_threshold=RIGHT)
    for one in served:
        if one.predicted is not None:
            # What was predicted is the wait from the decision on, the line included.
            took = one.dispatched_s - one.decided_s + one.completion.first_token_s
            measured = Measured(took, one.cost / MICROS, one.quality)
            meter.update(one.predicted.latency_s, one.predicted.cost, one.predicted.quality, measured)
    return meter.summary()


def _ratio(total: float, by: float) -> float:
    return total / by if by else nan


def _mean(numbers: Sequence[float]) -> float:
    return float(np.mean(numbers)) if numbers else nan
