"""Charts of one auction: charges, predictions, utilities."""

from collections.abc import Callable
from typing import Any

import numpy as np

from allocation import MICROS
from experiments.reports.charts.figures import diagonal, error, label, log_axis
from experiments.reports.charts.view import MOST_POINTS, SHORTEST_S, Floats, Study, thin
from experiments.results.measures import true_value
from experiments.worlds.running.run import PolicyRun
from runtime import Served

#: Requests that a point of the learning curve looks back on.
WINDOW = 50


def charges(study: Study) -> Any:
    """What each served request was charged, over its cost."""
    served = [one for one in study.served(study.chosen) if one.predicted is not None]
    if not served:
        return None
    charges, costs = (np.array([getattr(one, what) for one in served]) / MICROS for what in ("charge", "cost"))
    figure = study.blank(380, x=f"{study.was} cost, credits", y="charge, credits", showlegend=False)
    diagonal(figure, 0.0, float(min(1.05 * costs.max(), max(charges.max(), costs.max()))))
    _cloud(figure, study, costs, charges, "charged %{y:.3r} for what cost %{x:.3r} credits")
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(rangemode="tozero")
    return figure


def predictions(study: Study) -> Any:
    """Predictions too short for the axis are drawn on its edge; `shorter` says how many."""
    pairs = _latencies(study)
    if not pairs.size:
        return None
    predicted, actual = np.maximum(pairs, _edge(pairs)).T
    figure = study.blank(380, x=f"{study.was}, s (logarithmic)", y="predicted, s (logarithmic)", showlegend=False)
    low, high = 0.8 * float(predicted.min()), 1.25 * float(max(predicted.max(), actual.max()))
    diagonal(figure, low, high)
    _cloud(figure, study, actual, predicted, f"predicted %{{y:.2f}} s, {study.was} %{{x:.2f}} s")
    figure.update_xaxes(log_axis(0.8 * float(actual.min()), 1.25 * float(actual.max())))
    figure.update_yaxes(log_axis(low, high))
    return figure


def shorter(study: Study) -> str:
    """How many points lie on the lower edge, as a sentence."""
    pairs = _latencies(study)
    count = int((pairs[:, 0] < _edge(pairs)).sum()) if pairs.size else 0
    return f" The {count} shortest predictions lie on the lower edge." if count else ""


def learning(study: Study) -> Any:
    """Prequential error of the predictor, request by request."""
    look = study.looks.get(study.chosen)
    measured: list[tuple[str, str, Callable[[Served], tuple[float, float]]]] = [
        ("first-token latency", "solid", _latency_pair),
        ("cost", "dot", _cost_pair),
    ]
    figure = study.blank(380, x="requests served", y="NMAE", hovermode="x unified")
    for name, dash, pair in measured:
        curves = [
            _running_error(np.array([pair(one) for one in run.served if one.predicted is not None]))
            for run in study.runs(study.chosen)
        ]
        length = min((curve.size for curve in curves), default=0)
        if length == 0 or look is None:
            return None
        keep = thin(length, MOST_POINTS // 4)
        figure.add_scatter(
            x=keep + 1,
            y=np.mean([curve[:length] for curve in curves], axis=0)[keep],
            name=name,
            mode="lines",
            line={"color": look.colour, "width": 2.2, "dash": dash},
            hovertemplate="%{y:.2f}",
        )
    figure.update_yaxes(rangemode="tozero")
    return figure


def utilities(study: Study) -> Any:
    """Utility of each bidder."""
    per_seed = [_utility_by_bidder(run) for run in study.runs(study.chosen)]
    bidders = {bidder for utilities in per_seed for bidder in utilities}
    if not bidders or not any(one.predicted for one in study.served(study.chosen)):
        return None
    found = {bidder: [utilities.get(bidder, 0.0) for utilities in per_seed] for bidder in bidders}
    order = sorted(bidders, key=lambda bidder: (-float(np.mean(found[bidder])), bidder))
    figure = study.blank(380, x="", y="utility, credits", showlegend=False)
    figure.add_bar(
        x=[label(bidder) for bidder in order],
        y=[float(np.mean(found[bidder])) for bidder in order],
        marker={"color": study.looks[study.chosen].colour},
        error_y=error([float(np.std(found[bidder], ddof=1)) if len(per_seed) > 1 else 0.0 for bidder in order]),
        hovertemplate="%{x}: %{y:,.4r} credits<extra></extra>",
    )
    many = len(order) > 24
    figure.update_xaxes(type="category", tickangle=-45, showgrid=False, showticklabels=not many)
    figure.update_xaxes(title_text=f"{len(order)} bidders" if many else "")
    return figure


def thinned(study: Study) -> str:
    """How many points were left out, as a sentence."""
    points = len(study.served(study.chosen)) if study.chosen else 0
    return f" {MOST_POINTS:,} of {points:,} requests are drawn." if points > MOST_POINTS else ""


def _cloud(figure: Any, study: Study, x: Floats, y: Floats, hover: str) -> None:
    keep = thin(x.size, MOST_POINTS)
    figure.add_scatter(
        x=x[keep],
        y=y[keep],
        mode="markers",
        marker={"color": study.looks[study.chosen].colour, "size": 6, "opacity": 0.45},
        hovertemplate=f"{hover}<extra></extra>",
    )


def _latencies(study: Study) -> Floats:
    """(n, 2) predicted and actual seconds from dispatch to first token."""
    served = study.served(study.chosen)
    return np.array([_latency_pair(one) for one in served if one.predicted is not None])


def _edge(pairs: Floats) -> float:
    """Half the shortest actual time."""
    return max(float(pairs[:, 1].min()) / 2, SHORTEST_S)


def _running_error(pairs: Floats) -> Floats:
    """NMAE of the last `WINDOW` (predicted, actual) pairs, at each; of all so far while there are fewer."""
    if not pairs.size:
        return np.zeros(0)
    wrong = np.cumsum(np.abs(pairs[:, 0] - pairs[:, 1]))
    size = np.cumsum(np.abs(pairs[:, 1]))
    for total in (wrong, size):
        total[WINDOW:] -= total[:-WINDOW].copy()
    curve: Floats = np.divide(wrong, size, out=np.full(len(pairs), np.nan), where=size > 0)
    return curve


def _latency_pair(one: Served) -> tuple[float, float]:
    return (one.predicted.latency_s if one.predicted else 0.0, one.completion.first_token_s)


def _cost_pair(one: Served) -> tuple[float, float]:
    return (one.predicted.cost if one.predicted else 0.0, one.cost / MICROS)


def _utility_by_bidder(run: PolicyRun) -> dict[str, float]:
    utilities = dict.fromkeys(run.preferences, 0.0)
    for one in run.served:
        bidder = one.request.bidder
        utilities[bidder] += true_value(one, run.preferences[bidder]) - one.charge / MICROS
    return utilities
