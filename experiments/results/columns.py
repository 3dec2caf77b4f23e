"""The policy table's columns: what each figure is called, its unit, how it is printed, and how it was computed.

Reports and terminals print the same cells, so that a mark or a dash means the same in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, isnan, log10
from typing import Literal

from experiments.results.measures import Measures
from prediction import RIGHT

#: What is printed where a policy has no such figure.
NONE = "–"

#: Printed beside the best figure of a column.
BEST = "★"


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure as printed: `text` without its unit, `spread` empty with one seed alone, `best` of its column."""

    text: str
    spread: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of `Measures`.

    `factor` turns it into `unit`; `better` is None where neither more nor less is a merit; `how` is how it is
    computed, in a sentence that can stand alone.
    """

    figure: str
    title: str
    unit: str
    how: str
    better: Literal["high", "low"] | None = None
    factor: float = 1.0

    def cells(self, table: Mapping[str, tuple[Measures, Measures]], *, spread: bool) -> dict[str, Cell]:
        """By policy, from means and standard deviations; three digits of the largest mean, as many decimals for all.

        Best is whatever prints like the best mean, in columns where at least two figures print differently.
        """
        means = {policy: self._of(mean) for policy, (mean, _) in table.items()}
        known = [mean for mean in means.values() if not isnan(mean)]
        decimals = _decimals(known)
        texts = {policy: _printed(mean, decimals) for policy, mean in means.items()}
        best = self._best(means, texts)
        return {
            policy: Cell(
                texts[policy],
                _printed(self._of(deviation), decimals) if spread and texts[policy] != NONE else "",
                texts[policy] == best,
            )
            for policy, (_, deviation) in table.items()
        }

    def _of(self, measures: Measures) -> float:
        return self.factor * float(getattr(measures, self.figure))

    def _best(self, means: dict[str, float], texts: dict[str, str]) -> str | None:
        known = [policy for policy, mean in means.items() if not isnan(mean)]
        if self.better is None or len({texts[policy] for policy in known}) < 2:
            return None
        choose = max if self.better == "high" else min
        return texts[choose(known, key=means.__getitem__)]


def _decimals(figures: Sequence[float]) -> int:
    largest = max((abs(figure) for figure in figures), default=0.0)
    if largest == 0.0 or all(figure == round(figure) for figure in figures):
        return 0
    return min(max(2 - floor(log10(largest)), 0), 6)


def _printed(figure: float, decimals: int) -> str:
    if isnan(figure):
        return NONE
    text = f"{figure:,.{decimals}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


SERVICE = (
    Column("requests", "Served", "requests", "Requests that were answered."),
    Column(
        "declined",
        "Declined",
        "requests",
        "Requests that nobody served. A dialogue ends with its first declined request; its later turns are never "
        "asked and count nowhere, so figures of a policy that declines are over other requests than the rest.",
        "low",
    ),
    Column(
        "hit_rate",
        "KV hit",
        "% of tokens",
        "Prompt tokens that the serving engine found in its KV cache, over all prompt tokens, both summed over served "
        "requests.",
        "high",
        100.0,
    ),
    Column(
        "hit_rate_per_request",
        "KV hit, per request",
        "%",
        "Mean over served requests of each one's own share of cached prompt tokens.",
        "high",
        100.0,
    ),
    Column(
        "latency_median",
        "Wait, median",
        "s, first token",
        "Median over served requests of the wait from arrival at the router to the first token, the wait for a round "
        "and for free capacity included.",
        "low",
    ),
    Column(
        "latency_p95", "Wait, p95", "s, first token", "95th percentile of the same wait, interpolated linearly.", "low"
    ),
    Column(
        "cost_per_request",
        "Cost per request",
        "credits",
        "What the tokens of a request cost by the price list of the engine that served it (fresh and cached prompt "
        "tokens, output tokens), summed, over served requests.",
        "low",
    ),
    Column(
        "quality",
        "Token F1",
        "0 to 1",
        "Mean over graded requests of the token F1 between the answer and the closest gold answer, after SQuAD's "
        "normalisation. Requests without a gold answer are not graded.",
        "high",
    ),
    Column("right", "Right", "%", f"Share of graded requests whose token F1 is at least {RIGHT}.", "high", 100.0),
)

MARKET = (
    Column(
        "welfare",
        "Social welfare",
        "credits",
        "Sum over served requests of true value minus cost. The true value is the bidder's value of a right "
        f"answer, if the answer is right (token F1 at least {RIGHT}; one that nobody can grade is not), minus their "
        "cost of delay times the seconds they waited for the first token. Who was declined loses that of their wait.",
        "high",
    ),
    Column("payments", "Charges", "credits", "Sum of what bidders were charged. Routers without prices have none."),
    Column("surplus", "Surplus", "credits", "Charges minus receipts, as settled."),
    Column(
        "auction_surplus",
        "Predicted surplus",
        "credits",
        "Charges minus receipts as decided round by round, on predicted costs: a mechanism without deficit is never "
        "below zero here, and may be in the column before.",
    ),
    Column(
        "latency_nmae",
        "Latency NMAE",
        "error / mean",
        "Sum of |predicted − actual| over the sum of actual times from dispatch to first token. At 1, always "
        "answering zero would have done as well. Each prediction was made before its request was served.",
        "low",
    ),
    Column("cost_nmae", "Cost NMAE", "error / mean", "The same of the cost of a request.", "low"),
    Column(
        "quality_brier",
        "Brier score",
        "0 to 1",
        "Mean over graded requests of (predicted probability of a right answer − 1 if right, else 0)². Always "
        "predicting one half gives 0.25.",
        "low",
    ),
    Column(
        "contested",
        "Contested",
        "% of requests",
        "Share of requests given to an agent who pay for displacing somebody.",
        None,
        100.0,
    ),
    Column(
        "decide_ms",
        "Decision",
        "ms",
        "Mean computing time of a round's decision, prediction included, by the clock of the machine that ran the "
        "study, even where engines are simulated.",
        "low",
    ),
)

COLUMNS = SERVICE + MARKET


def column(figure: str) -> Column:
    """The column of a figure of `Measures`."""
    return next(one for one in COLUMNS if one.figure == figure)
