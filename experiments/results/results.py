"""`DemoResult`: all that a demonstration found, ready for a table, a report or a notebook."""

import json
from dataclasses import dataclass
from pathlib import Path

from experiments.results.made import Made
from experiments.results.measures import Measures, averaged, measure
from experiments.worlds.running.run import PolicyRun
from experiments.worlds.running.watch import Contradiction
from proofs import Report


@dataclass(frozen=True, slots=True)
class DemoResult:
    """One mechanism, audited, then run against other policies.

    Args:
        mechanism: its name, as printed.
        audit: the findings about the very object that served.
        despite_audit: it served although the audit refuted a property, or could not examine it.
        workload: what was talked about, by the titles of files and parts used.
        settings: rate, rounds, bidders and so on, as name and printed value.
        engines: one line per engine: what it is, and where its speed comes from.
        simulated: no real model ran.
        runs: one per policy and seed.
        made: how, where, and from which data.
        contradictions: what failed in the rounds that were served.
    """

    mechanism: str
    audit: Report
    despite_audit: bool
    workload: str
    settings: dict[str, str]
    engines: tuple[str, ...]
    simulated: bool
    runs: tuple[PolicyRun, ...]
    made: Made
    contradictions: tuple[Contradiction, ...] = ()

    @property
    def policies(self) -> tuple[str, ...]:
        """Names of the policies, in the order they ran."""
        return tuple(dict.fromkeys(run.policy for run in self.runs))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs."""
        return tuple(dict.fromkeys(run.seed for run in self.runs))

    def runs_of(self, policy: str) -> tuple[PolicyRun, ...]:
        """A policy's runs, one per seed."""
        return tuple(run for run in self.runs if run.policy == policy)

    def table(self) -> dict[str, tuple[Measures, Measures]]:
        """Mean and standard deviation over seeds, by policy."""
        return {policy: averaged([measure(run) for run in self.runs_of(policy)]) for policy in self.policies}

    def as_dict(self) -> dict[str, object]:
        """Plain data, ready for JSON; figures that a policy does not have are null."""
        return {
            "mechanism": self.mechanism,
            "audit": json.loads(self.audit.to_json()),
            "despite_audit": self.despite_audit,
            "contradictions": [one.as_dict() for one in self.contradictions],
            "workload": self.workload,
            "settings": self.settings,
            "engines": list(self.engines),
            "simulated": self.simulated,
            "seeds": list(self.seeds),
            "made": self.made.as_dict(),
            "policies": {
                policy: {"mean": _nullable(mean), "standard_deviation": _nullable(spread)}
                for policy, (mean, spread) in self.table().items()
            },
        }

    def save(self, folder: Path) -> Path:
        """Write `results.json` and one line per request to `requests.jsonl`; returns the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps(self.as_dict(), indent=1) + "\n")
        with (folder / "requests.jsonl").open("w") as lines:
            for run in self.runs:
                lines.writelines(json.dumps(row) + "\n" for row in _rows(run))
        return folder


def _rows(run: PolicyRun) -> list[dict[str, object]]:
    served: list[dict[str, object]] = [
        {
            "policy": run.policy,
            "seed": run.seed,
            "request": one.request.id,
            "bidder": one.request.bidder,
            "agent": one.agent,
            "arrived_s": one.arrived_s,
            "first_token_s": one.first_token_s,
            "latency_s": one.latency_s,
            "prompt_tokens": one.completion.prompt_tokens,
            "cached_tokens": one.completion.cached_tokens,
            "output_tokens": one.completion.output_tokens,
            "charge_micros": one.charge,
            "cost_micros": one.cost,
            "receipt_micros": one.receipt,
            "quality": one.quality,
            "predicted_latency_s": one.predicted.latency_s if one.predicted else None,
            "predicted_cost": one.predicted.cost if one.predicted else None,
            "predicted_quality": one.predicted.quality if one.predicted else None,
        }
        for one in run.served
    ]
    declined: list[dict[str, object]] = [
        {"policy": run.policy, "seed": run.seed, "request": one.request.id, "declined": one.reason}
        for one in run.declined
    ]
    return served + declined


def _nullable(measures: Measures) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in measures.as_dict().items()}
