"""What each part of a mix came to, beside what all of it did."""

from collections.abc import Mapping, Sequence

from experiments.worlds.running.scores import Scoring
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.mixed import MixedTraffic
from experiments.worlds.traffic.traffic import Traffic
from runtime import Declined, Served
from runtime.rounds.records import RoundStatistics

#: Figures of a score that a part has, too. `welfare` and `welfare_last` are sums over its conversations.
BY_PART = (
    "welfare", "welfare_last", "quality", "hit_rate", "wait_median", "wait_p95", "latency_p95", "cost", "served",
    "declined", "charges", "surplus", "latency_nmae",
)  # fmt: skip


class PartScoring:
    """Counts the ends of requests, part by part; call it with each. Traffic that is no mix of several has no parts.

    Args:
        load, fleet, beginning: as of `Scoring`.
    """

    def __init__(
        self, load: Traffic, fleet: Sequence[SimulatedAgent], beginning: Sequence[SimulatedAgent] | None = None
    ) -> None:
        self._load = load if isinstance(load, MixedTraffic) and len(load.parts) > 1 else None
        parts = {} if self._load is None else self._load.parts
        self._scoring = {name: Scoring(part, fleet, beginning) for name, part in parts.items()}

    def joined(self, agent: SimulatedAgent) -> None:
        """The router has one agent more, its last."""
        for each in self._scoring.values():
            each.joined(agent)

    def __call__(self, end: Served | Declined) -> None:
        """One request has ended."""
        if self._load is not None:
            self._scoring[self._load.part_of(end.request.id)](end)

    def figures(self, statistics: RoundStatistics) -> Mapping[str, float]:
        """What each part came to: `talk.quality`."""
        found: dict[str, float] = {}
        for part, scoring in self._scoring.items():
            score = scoring.score(statistics)
            for figure in BY_PART:
                value = getattr(score, figure)
                found[f"{part}.{figure}"] = float(sum(value) if isinstance(value, tuple) else value)
        return found
