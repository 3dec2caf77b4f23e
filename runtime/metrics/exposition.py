"""A `Tally` as Prometheus reads it: names that vLLM's dashboards know for what vLLM counts too, `iemas_` for ours."""

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from allocation import MICROS
from runtime.metrics.histogram import Histogram
from runtime.metrics.tally import AgentTally, Tally

#: The text format, which every Prometheus reads.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_AGENT = ("model_name", "agent")
#: Gauges and counters by agent: what Prometheus calls them, the tally's figure, what they are.
_GAUGES = (
    ("vllm:num_requests_running", "running", "Requests that the agent is serving."),
    ("vllm:num_requests_waiting", "in_line", "Requests in the agent's line that were not sent to it yet."),
)
_COUNTS = (
    ("vllm:prompt_tokens", "prompt", "Prompt tokens of served requests, as engines count them."),
    ("vllm:generation_tokens", "output", "Tokens of served answers."),
    ("vllm:prefix_cache_queries", "prompt", "Prompt tokens that could have been in a cache."),
    ("vllm:prefix_cache_hits", "cached", "Prompt tokens that were."),
    ("iemas_matches", "decided", "Requests that a round gave to the agent."),
    ("iemas_failed", "failed", "Requests that failed at the agent for good."),
    ("iemas_retried", "retried", "Requests that the agent failed and that went back to a round."),
    ("iemas_abandoned", "abandoned", "Requests whose client hung up while they were answered."),
    ("iemas_predicted_latency_seconds", "predicted_latency_s", "Predicted seconds from decision to first token."),
    ("iemas_measured_latency_seconds", "measured_latency_s", "The same, measured, of the same requests."),
    ("iemas_latency_error_seconds", "error_latency_s", "Sum of |predicted - measured| of them."),
    ("iemas_predicted_cost_credits", "predicted_costs", "Predicted cost of served requests."),
    ("iemas_measured_cost_credits", "measured_costs", "The same, measured, of the same requests."),
    ("iemas_cost_error_credits", "error_costs", "Sum of |predicted - measured| of them."),
    ("iemas_predicted_cached_tokens", "predicted_cached", "Prompt tokens that the auction thought to be cached."),
    ("iemas_measured_cached_tokens", "measured_cached", "Those that were, of the same requests."),
    ("iemas_cached_error_tokens", "error_cached", "Sum of |predicted - measured| of them."),
)
_CREDITS = (
    ("iemas_charges_credits", "charges", "What bidders were charged."),
    ("iemas_cost_credits", "costs", "What serving was measured to cost."),
    ("iemas_receipts_credits", "receipts", "What agents received."),
)
_HISTOGRAMS = (
    ("vllm:time_to_first_token_seconds", "first_token_s", "From arrival to the first token, of streamed answers."),
    ("vllm:e2e_request_latency_seconds", "latency_s", "From arrival to the last token."),
    ("vllm:request_queue_time_seconds", "queue_s", "From arrival to being sent to an engine, at each try."),
)


def exposition(tally: Tally) -> bytes:
    """The body of GET /metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(tally))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering does not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family, as it stands."""
        tally = self._tally
        yield from _by_agent(tally)
        yield from _ended(tally)
        yield from _rounds(tally)
        yield _gauge("iemas_requests_waiting", "Requests that no agent has yet.", tally.waiting)
        yield _gauge(
            "iemas_surplus_credits", "The auctioneer's surplus: charges less receipts.", surplus(tally) / MICROS
        )


def surplus(tally: Tally) -> int:
    """The auctioneer's surplus, charges less receipts, in micro-units."""
    return sum(one.charges - one.receipts for one in tally.agents)


def _by_agent(tally: Tally) -> Iterator[Metric]:
    up = GaugeMetricFamily("iemas_agent_up", "Whether the agent is in the market.", labels=_AGENT)
    for labels, alive in zip(_labels(tally), tally.alive(), strict=True):
        up.add_metric(labels, float(alive))
    yield up
    kinds: tuple[
        tuple[type[CounterMetricFamily] | type[GaugeMetricFamily], tuple[tuple[str, str, str], ...], float], ...
    ]
    kinds = (
        (GaugeMetricFamily, _GAUGES, 1),
        (CounterMetricFamily, _COUNTS, 1),
        (CounterMetricFamily, _CREDITS, MICROS),
    )
    for kind, rows, unit in kinds:
        for name, figure, text in rows:
            family = kind(name, text, labels=_AGENT)
            read: Callable[[AgentTally], float] = attrgetter(figure)
            for labels, one in zip(_labels(tally), tally.agents, strict=True):
                family.add_metric(labels, read(one) / unit)
            yield family
    for name, figure, text in _HISTOGRAMS:
        histogram = HistogramMetricFamily(name, text, labels=_AGENT)
        seen: Callable[[AgentTally], Histogram] = attrgetter(figure)
        for labels, one in zip(_labels(tally), tally.agents, strict=True):
            histogram.add_metric(labels, seen(one).cumulative(), seen(one).total)
        yield histogram


def _ended(tally: Tally) -> Iterator[Metric]:
    success = CounterMetricFamily(
        "vllm:request_success", "Served requests, by why the answer ended.", labels=(*_AGENT, "finished_reason")
    )
    for labels, one in zip(_labels(tally), tally.agents, strict=True):
        for reason, count in one.reasons.items():
            success.add_metric([*labels, reason], count)
    yield success
    agents = tally.agents
    outcomes = {
        "served": sum(one.served for one in agents),
        "declined": sum(tally.declined.values()),
        "failed": tally.failed_unplaced + sum(one.failed for one in agents),
        "abandoned": sum(one.abandoned for one in agents),
    }
    yield _counter("iemas_arrived", "Requests that were admitted.", {(): tally.arrived})
    yield _counter(
        "iemas_ended", "Requests by how they ended.", {(name,): n for name, n in outcomes.items()}, "outcome"
    )
    yield _counter("iemas_declined", "Declined requests, by why.", {(c,): n for c, n in tally.declined.items()}, "code")
    yield _counter(
        "iemas_stated", "Requests by who stated their worth.", {(s,): n for s, n in tally.stated.items()}, "source"
    )


def _rounds(tally: Tally) -> Iterator[Metric]:
    found = tally.rounds()
    yield _counter("iemas_rounds", "Rounds that were decided.", {(): sum(one.rounds for one in found)})
    yield _counter(
        "iemas_contested",
        "Matches that displaced somebody, and are charged for it.",
        {(): sum(one.contested for one in found)},
    )
    yield _counter(
        "iemas_deficit_rounds", "Rounds predicted to cost the auctioneer.", {(): sum(one.deficits for one in found)}
    )
    decide = HistogramMetricFamily("iemas_decide_seconds", "What a round took to decide.")
    decide.add_metric((), tally.decide_s.cumulative(), tally.decide_s.total)
    yield decide


def _labels(tally: Tally) -> list[tuple[str, str]]:
    return [(model, name) for name, model in tally.names]


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


def _counter(name: str, text: str, values: dict[tuple[str, ...], int], *labels: str) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
