"""The report's charts: from runs to plotly figures, each with a heading and a sentence on how to read it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allocation import MICROS
from experiments._figures import blank, diagonal, emphasis, error, horizontal_bars, label
from experiments._palette import NEUTRAL, Look, agent_colours, looks
from experiments.columns import Cell, column
from experiments.measures import Measures, true_value
from experiments.results import StudyResult
from experiments.study import PolicyRun
from runtime import Served

#: A curve or a cloud of more points is thinned out: the eye sees no more, and the file stays small.
MOST_POINTS = 1500
#: Requests that a point of the learning curve looks back on.
WINDOW = 50
#: Times are drawn at no less than this on a logarithmic axis, in seconds.
SHORTEST_S = 1e-3

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Chart:
    """A plotly figure with its heading and caption; None where there is nothing to draw."""

    title: str
    caption: str
    figure: Any
    wide: bool = False


@dataclass(frozen=True)
class Study:
    """A result as the charts look at it: one table, one look per policy, and the policy that stands out."""

    result: StudyResult

    @cached_property
    def table(self) -> dict[str, tuple[Measures, Measures]]:
        return self.result.table()

    @cached_property
    def looks(self) -> dict[str, Look]:
        return looks(self.result.policies)

    @cached_property
    def chosen(self) -> str:
        """`iemas`, or else the first policy that predicted, or else the first."""
        policies = self.result.policies
        predicted = (name for name in policies if any(one.predicted for run in self.runs(name) for one in run.served))
        return "iemas" if "iemas" in policies else next(predicted, next(iter(policies), ""))

    @cached_property
    def names(self) -> list[str]:
        """Policies of which somebody was served."""
        return [name for name in self.result.policies if any(run.served for run in self.runs(name))]

    @property
    def several_seeds(self) -> bool:
        return len(self.result.seeds) > 1

    @property
    def was(self) -> str:
        """No simulated figure is called measured."""
        return "simulated" if self.result.simulated else "measured"

    def runs(self, name: str) -> tuple[PolicyRun, ...]:
        return self.result.runs_of(name)

    def served(self, name: str) -> list[Served]:
        """Of all seeds."""
        return [one for run in self.runs(name) for one in run.served]

    def cells(self, figure: str) -> dict[str, Cell]:
        return column(figure).cells(self.table, spread=self.several_seeds)

    def figures(self, figure: str, names: Sequence[str]) -> tuple[list[float], list[float]]:
        """Means and standard deviations, in the column's unit."""
        factor = column(figure).factor
        pairs = [self.table[name] for name in names]
        return (
            [factor * float(getattr(mean, figure)) for mean, _ in pairs],
            [factor * float(getattr(spread, figure)) if self.several_seeds else 0.0 for _, spread in pairs],
        )

    def drawn(self) -> list[str]:
        """Policies in the order of drawing: who stands out comes last, on top."""
        return sorted(self.names, key=lambda name: name == self.chosen)

    def blank(self, height: int, *, x: str, y: str = "", **layout: Any) -> Any:
        return blank(height, simulated=self.result.simulated, x=x, y=y, **layout)


def charts(result: StudyResult) -> list[Chart]:
    """In the order of the page."""
    study = Study(result)
    spread = " Whiskers: one standard deviation over seeds." if study.several_seeds else ""
    seeds = ", mean over seeds" if study.several_seeds else ""
    name = study.chosen
    return [
        Chart(
            "KV cache hit rate",
            f"Share of prompt tokens that were already in the cache of the engine that got them.{spread}",
            _bars(study, "hit_rate", "% of prompt tokens"),
        ),
        Chart(
            "Social welfare",
            f"What served requests were worth to their bidders, minus what they cost.{spread}",
            _bars(study, "welfare", "credits"),
        ),
        Chart(
            "Wait for the first token",
            "Share of served requests whose first token came within that time; further left is faster. "
            + ("All seeds together." if study.several_seeds else ""),
            _waits(study),
            wide=True,
        ),
        Chart(
            "Welfare against cost",
            f"Up and to the left is better: more welfare from cheaper requests.{spread}",
            _trade_off(study),
        ),
        Chart(
            "Answer quality",
            f"Bars: mean token F1. Open diamonds: share of right answers.{spread}"
            + (" It follows from assumed skills and says nothing about any model." if result.simulated else ""),
            _quality(study),
        ),
        Chart(
            "Welfare over time",
            f"Welfare of the requests finished so far{seeds}; a line ends with the policy's last request.",
            _cumulative(study),
            wide=True,
        ),
        Chart(
            f"Charge against cost, {name}",
            f"One point per request. Above the dashed line the house gains on it, below it loses.{_thinned(study)}",
            _charges(study),
        ),
        Chart(
            f"Predicted against {study.was} latency, {name}",
            "One point per request: time from dispatch to first token. On the dashed line the prediction, made before "
            f"serving, was exact.{_thinned(study)}",
            _predictions(study),
        ),
        Chart(
            f"Learning curve, {name}",
            f"Normalised error of the last {WINDOW} predictions{seeds}; at 1, always answering zero would do as well.",
            _learning(study),
        ),
        Chart(
            f"Utility of each bidder, {name}",
            f"True value of what he got minus what he was charged, as it turned out{seeds}; the audit speaks about "
            f"utility as predicted when he was charged.{spread}",
            _utilities(study),
        ),
        Chart(
            "Who served",
            f"Requests by agent{', all seeds together' if study.several_seeds else ''}. "
            "Hatched: declined, with nobody serving.",
            _agents(study),
            wide=True,
        ),
    ]


def _bars(study: Study, figure: str, x: str) -> Any:
    names = [name for name in study.names if not np.isnan(study.figures(figure, [name])[0][0])]
    if not names:
        return None
    means, spreads = study.figures(figure, names)
    cells = study.cells(figure)
    drawn = study.blank(76 + 32 * len(names), x=x, showlegend=False)
    horizontal_bars(drawn, names, study.chosen, study.looks, means, spreads, [cells[name] for name in names])
    return drawn


def _quality(study: Study) -> Any:
    graded = [name for name in study.names if not np.isnan(study.table[name][0].quality)]
    figure = _bars(study, "quality", "token F1, and share right") if graded else None
    if figure is None:
        return None
    shares, spreads = study.figures("right", graded)
    figure.data[1].visible = False
    figure.add_scatter(
        x=[share / 100 for share in shares],
        y=[label(name, name == study.chosen) for name in graded],
        mode="markers",
        marker={"symbol": "diamond-open", "size": 10, "color": NEUTRAL, "line": {"width": 2}},
        customdata=spreads,
        hovertemplate="%{y}: %{x:.1%} right<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1])
    return figure


def _waits(study: Study) -> Any:
    if not study.names:
        return None
    figure = study.blank(400, x="wait for the first token, s (logarithmic)", y="% of served requests")
    for name in study.drawn():
        waits = np.sort(np.maximum([one.first_token_s for one in study.served(name)], SHORTEST_S))
        shares = 100 * np.arange(1, waits.size + 1) / waits.size
        keep = _thin(waits.size, MOST_POINTS // 4)
        _line(figure, study, name, waits[keep], shares[keep], "%{y:.0f} % within %{x:.2f} s", shape="hv")
    figure.update_xaxes(type="log", dtick=1, minor={"dtick": "D1", "showgrid": False})
    figure.update_yaxes(range=[0, 101])
    return figure


def _trade_off(study: Study) -> Any:
    if not study.names:
        return None
    figure = study.blank(380, x="cost per request, credits", y="social welfare, credits")
    for name in study.drawn():
        look = study.looks[name]
        (cost,), (cost_spread,) = study.figures("cost_per_request", [name])
        (welfare,), (welfare_spread,) = study.figures("welfare", [name])
        figure.add_scatter(
            x=[cost],
            y=[welfare],
            name=label(name, name == study.chosen),
            mode="markers",
            marker={"color": look.colour, "symbol": look.symbol, "size": 17 if name == study.chosen else 12},
            error_x=error([cost_spread]),
            error_y=error([welfare_spread]),
            hovertemplate="%{y:,.4r} credits of welfare at %{x:.3r} credits per request",
            legendrank=1000 + study.names.index(name),
        )
    return figure


def _cumulative(study: Study) -> Any:
    if not study.names:
        return None
    figure = study.blank(380, x="time since the first arrival, s", y="welfare so far, credits")
    for name in study.drawn():
        curves = [_welfare_over_time(run) for run in study.runs(name) if run.served]
        times = np.linspace(0.0, max(float(when[-1]) for when, _ in curves), MOST_POINTS // 10)
        mean = np.mean([_step(when, welfare, times) for when, welfare in curves], axis=0)
        _line(figure, study, name, times, mean, "%{y:,.4r} credits after %{x:.0f} s")
    figure.update_xaxes(rangemode="tozero")
    return figure


def _charges(study: Study) -> Any:
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


def _predictions(study: Study) -> Any:
    pairs = np.array(
        [
            (one.predicted.latency_s, one.completion.first_token_s)
            for one in study.served(study.chosen)
            if one.predicted is not None
        ]
    )
    if not pairs.size:
        return None
    predicted, actual = np.maximum(pairs, SHORTEST_S).T
    low, high = float(min(predicted.min(), actual.min())), float(max(predicted.max(), actual.max()))
    axis = {"type": "log", "range": [np.log10(0.8 * low), np.log10(1.25 * high)], "dtick": 1}
    figure = study.blank(380, x=f"{study.was}, s (logarithmic)", y="predicted, s (logarithmic)", showlegend=False)
    diagonal(figure, 0.8 * low, 1.25 * high)
    _cloud(figure, study, actual, predicted, f"predicted %{{y:.2f}} s, {study.was} %{{x:.2f}} s")
    figure.update_xaxes(axis).update_yaxes(axis)
    return figure


def _learning(study: Study) -> Any:
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
        keep = _thin(length, MOST_POINTS // 4)
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


def _utilities(study: Study) -> Any:
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


def _agents(study: Study) -> Any:
    runs = study.result.runs
    names = [name for name in study.result.policies if any(run.served or run.declined for run in study.runs(name))]
    if not names:
        return None
    agents = max((len(run.agents) for run in runs), default=0)
    figure = study.blank(
        110 + 32 * len(names), x="% of requests that came in", barmode="stack", legend={"traceorder": "normal"}
    )
    totals = np.array([sum(len(run.served) + len(run.declined) for run in study.runs(name)) for name in names])
    tall = [label(name, name == study.chosen) for name in names]
    for j, colour in enumerate(agent_colours(agents)):
        counts = np.array([sum(one.agent == j for one in study.served(name)) for name in names])
        _stacked(figure, tall, agent_name(study.result, j), counts, totals, {"color": colour})
    declined = np.array([sum(len(run.declined) for run in study.runs(name)) for name in names])
    if declined.any():
        pattern = {"shape": "/", "fgcolor": NEUTRAL, "bgcolor": "rgba(0,0,0,0)", "size": 6, "fillmode": "replace"}
        _stacked(figure, tall, "declined", declined, totals, {"color": NEUTRAL, "pattern": pattern})
    figure.update_xaxes(range=[0, 100])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def agent_name(result: StudyResult, agent: int) -> str:
    """An agent as the engines' lines name it (`name: what it is`), or by its place."""
    line = result.engines[agent] if agent < len(result.engines) else ""
    name, colon, _ = line.partition(":")
    return name if colon and len(name) <= 40 else f"agent {agent}"


def _stacked(
    figure: Any, policies: list[str], name: str, counts: NDArray[np.int64], totals: NDArray[np.int64], marker: Any
) -> None:
    shares = 100 * counts / totals
    figure.add_bar(
        x=shares,
        y=policies,
        name=label(name),
        orientation="h",
        marker=marker,
        customdata=counts,
        hovertemplate="%{y}: %{x:.1f} %, %{customdata:,} requests",
    )


def _line(figure: Any, study: Study, name: str, x: Floats, y: Floats, hover: str, shape: str = "linear") -> None:
    look, chosen = study.looks[name], name == study.chosen
    figure.add_scatter(
        x=x,
        y=y,
        name=label(name, chosen),
        mode="lines",
        line={
            "color": look.colour,
            "width": 3.4 if chosen else 1.8,
            "dash": "solid" if chosen else look.dash,
            "shape": shape,
        },
        hovertemplate=hover,
        legendrank=1000 + study.names.index(name),
    )


def _cloud(figure: Any, study: Study, x: Floats, y: Floats, hover: str) -> None:
    keep = _thin(x.size, MOST_POINTS)
    figure.add_scatter(
        x=x[keep],
        y=y[keep],
        mode="markers",
        marker={"color": study.looks[study.chosen].colour, "size": 6, "opacity": 0.45},
        hovertemplate=f"{hover}<extra></extra>",
    )


def _thin(points: int, most: int) -> NDArray[np.intp]:
    """Evenly spaced indices, first and last included."""
    return np.unique(np.linspace(0, points - 1, min(points, most)).round().astype(np.intp))


def _thinned(study: Study) -> str:
    points = len(study.served(study.chosen)) if study.chosen else 0
    return f" {MOST_POINTS:,} of {points:,} requests are drawn." if points > MOST_POINTS else ""


def _welfare_over_time(run: PolicyRun) -> tuple[Floats, Floats]:
    """When each served request was finished, and the welfare until then."""
    start = min(one.arrived_s for one in run.served)
    ends = np.array([one.arrived_s + one.latency_s - start for one in run.served])
    gains = np.array([true_value(one, run.preferences[one.request.bidder]) - one.cost / MICROS for one in run.served])
    order = np.argsort(ends, kind="stable")
    return ends[order], np.cumsum(gains[order])


def _step(when: Floats, totals: Floats, times: Floats) -> Floats:
    """What the total was at each time."""
    return np.concatenate([[0.0], totals])[np.searchsorted(when, times, side="right")]


def _running_error(pairs: Floats) -> Floats:
    """NMAE of the last `WINDOW` (predicted, actual) pairs, at each; of all so far while there are fewer."""
    if not pairs.size:
        return np.zeros(0)
    wrong = np.cumsum(np.abs(pairs[:, 0] - pairs[:, 1]))
    size = np.cumsum(np.abs(pairs[:, 1]))
    for total in (wrong, size):
        total[WINDOW:] -= total[:-WINDOW].copy()
    return np.divide(wrong, size, out=np.full(len(pairs), np.nan), where=size > 0)


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
