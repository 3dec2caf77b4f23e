"""The report's charts: from a `DemoResult` to plotly figures, each with a heading and a sentence on how to read it.

    for chart in charts(result):
        chart.figure.show()

`policies` compares policies, `auction` looks into one of them; `view` is the result as both see it, `figures` how
every chart looks, `palette` who has which colour.
"""

from dataclasses import dataclass
from typing import Any

from experiments.reports.charts import auction, policies
from experiments.reports.charts.palette import Look, looks
from experiments.reports.charts.view import Study
from experiments.results.results import DemoResult

__all__ = ["Chart", "Look", "Study", "charts", "looks"]


@dataclass(frozen=True, slots=True)
class Chart:
    """A plotly figure with its heading and caption; None where there is nothing to draw."""

    title: str
    caption: str
    figure: Any
    wide: bool = False


def charts(result: DemoResult) -> list[Chart]:
    """In the order of the page."""
    study = Study(result)
    spread = " Whiskers: one standard deviation over seeds." if study.several_seeds else ""
    seeds = ", mean over seeds" if study.several_seeds else ""
    of = f", {study.chosen}" if study.chosen else ""
    lost = policies.losses(study)
    loss = Chart(
        "Predicted surplus",
        f"Charges less receipts as decided, on predicted costs. Left of the red line the auctioneer loses.{spread}",
        lost,
        wide=True,
    )
    return [
        *([loss] if lost else []),
        Chart(
            "KV cache hit rate",
            f"Share of prompt tokens that were already in the cache of the engine that got them.{spread}",
            policies.bars(study, "hit_rate", "% of prompt tokens"),
        ),
        Chart(
            "Social welfare",
            f"Value of the served requests to their bidders, minus their cost.{spread}",
            policies.bars(study, "welfare", "credits"),
        ),
        Chart(
            "Wait for the first token",
            "Share of served requests whose first token came within that time; further left is faster. "
            + ("All seeds together." if study.several_seeds else ""),
            policies.waits(study),
            wide=True,
        ),
        Chart(
            "Welfare against cost",
            f"Up and to the left is better: more welfare from cheaper requests.{spread}",
            policies.trade_off(study),
        ),
        Chart(
            "Answer quality",
            f"Bars: mean token F1. Open diamonds: share of right answers.{spread}"
            + (" It follows from assumed skills and is no claim about any model." if result.simulated else ""),
            policies.quality(study),
        ),
        Chart(
            "Welfare over time",
            f"Welfare of the requests finished so far{seeds}; a line ends with the policy's last request.",
            policies.cumulative(study),
            wide=True,
        ),
        Chart(
            f"Charge against cost{of}",
            "One point per request. Above the dashed line the auctioneer gains on it, below it loses."
            f"{auction.thinned(study)}",
            auction.charges(study),
        ),
        Chart(
            f"Predicted against {study.was} latency{of}",
            "One point per request: time from dispatch to first token. On the dashed line the prediction, made before "
            f"serving, was exact.{auction.shorter(study)}{auction.thinned(study)}",
            auction.predictions(study),
        ),
        Chart(
            f"Learning curve{of}",
            f"Normalised error (NMAE) of the last {auction.WINDOW} predictions{seeds}; at 1, always answering zero "
            "would do as well.",
            auction.learning(study),
        ),
        Chart(
            f"Utility of each bidder{of}",
            f"True value of what they got minus their charges, as it turned out{seeds}. Individual rationality "
            f"speaks about the values predicted when they were charged: it can hold where a bar is below zero.{spread}",
            auction.utilities(study),
        ),
        Chart(
            "Who served",
            f"Requests by agent{', all seeds together' if study.several_seeds else ''}. "
            "Hatched: declined, with nobody serving.",
            policies.agents(study),
            wide=True,
        ),
    ]
