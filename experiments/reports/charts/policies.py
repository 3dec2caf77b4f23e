"""Charts that compare policies."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from allocation import MICROS
from experiments.reports.charts.figures import error, horizontal_bars, label, log_axis
from experiments.reports.charts.palette import BAD, NEUTRAL, agent_colours
from experiments.reports.charts.view import MOST_POINTS, SHORTEST_S, Floats, Study, thin
from experiments.results.measures import true_value
from experiments.results.results import DemoResult
from experiments.worlds.running.run import PolicyRun


def bars(study: Study, figure: str, x: str) -> Any:
    """One figure of every policy as bars."""
    names = [name for name in study.names if not np.isnan(study.figures(figure, [name])[0][0])]
    if not names:
        return None
    means, spreads = study.figures(figure, names)
    cells = study.cells(figure)
    drawn = study.blank(76 + 32 * len(names), x=x, showlegend=False)
    horizontal_bars(drawn, names, study.chosen, study.looks, means, spreads, [cells[name] for name in names])
    return drawn


def losses(study: Study) -> Any:
    """The auctioneer's predicted surplus by policy, where one is below zero; the line is what none may be left of."""
    means = study.figures("auction_surplus", study.names)[0] if study.names else []
    if not any(mean < 0 for mean in means):
        return None
    figure = bars(study, "auction_surplus", "credits")
    figure.add_vline(x=0, line={"color": BAD, "width": 2})
    return figure


def quality(study: Study) -> Any:
    """Quality of answers, by policy."""
    graded = [name for name in study.names if not np.isnan(study.table[name][0].quality)]
    figure = bars(study, "quality", "token F1, and share right") if graded else None
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


def waits(study: Study) -> Any:
    """Distribution of the time to the first token, by policy."""
    if not study.names:
        return None
    figure = study.blank(400, x="wait for the first token, s (logarithmic)", y="% of served requests")
    for name in study.drawn():
        waits = np.sort(np.maximum([one.first_token_s for one in study.served(name)], SHORTEST_S))
        shares = 100 * np.arange(1, waits.size + 1) / waits.size
        keep = thin(waits.size, MOST_POINTS // 4)
        _line(figure, study, name, waits[keep], shares[keep], "%{y:.0f} % within %{x:.2f} s", shape="hv")
    waits = np.maximum([one.first_token_s for name in study.names for one in study.served(name)], SHORTEST_S)
    figure.update_xaxes(log_axis(0.9 * float(waits.min()), 1.1 * float(waits.max())))
    figure.update_yaxes(range=[0, 101])
    return figure


def trade_off(study: Study) -> Any:
    """Welfare against waiting, by policy."""
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


def cumulative(study: Study) -> Any:
    """Welfare over time, by policy."""
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


def agents(study: Study) -> Any:
    """Who served how much, by policy."""
    runs = study.result.runs
    names = [name for name in study.result.policies if any(run.served or run.declined for run in study.runs(name))]
    if not names:
        return None
    count = max((len(run.agents) for run in runs), default=0)
    figure = study.blank(
        110 + 32 * len(names), x="% of requests that came in", barmode="stack", legend={"traceorder": "normal"}
    )
    totals = np.array([sum(len(run.served) + len(run.declined) for run in study.runs(name)) for name in names])
    tall = [label(name, name == study.chosen) for name in names]
    for j, colour in enumerate(agent_colours(count)):
        counts = np.array([sum(one.agent == j for one in study.served(name)) for name in names])
        _stacked(figure, tall, _agent_name(study.result, j), counts, totals, {"color": colour})
    declined = np.array([sum(len(run.declined) for run in study.runs(name)) for name in names])
    if declined.any():
        pattern = {"shape": "/", "fgcolor": NEUTRAL, "bgcolor": "rgba(0,0,0,0)", "size": 6, "fillmode": "replace"}
        _stacked(figure, tall, "declined", declined, totals, {"color": NEUTRAL, "pattern": pattern})
    figure.update_xaxes(range=[0, 100])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def _agent_name(result: DemoResult, agent: int) -> str:
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
