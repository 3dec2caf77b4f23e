"""How every chart of the report looks; the page's own colours come from its style sheet."""

from html import escape
from math import ceil, floor, log10
from typing import Any

from experiments.reports.charts.palette import NEUTRAL, Look
from experiments.results.columns import Cell

INK = "#1F2430"
GRID = "#E4E7EB"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def blank(height: int, *, simulated: bool, x: str, y: str = "", **layout: Any) -> Any:
    """A figure without traces, its axes titled; where no real engine ran, it says so itself, in every copy of it."""
    import plotly.graph_objects as go

    axis = {
        "gridcolor": GRID,
        "zerolinecolor": NEUTRAL,
        "zerolinewidth": 1,
        "automargin": True,
        "title": {"standoff": 10, "font": {"size": 13}},
        "tickfont": {"size": 12},
        "showline": False,
        "exponentformat": "none",
        "separatethousands": True,
    }
    template = go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": INK},
            "paper_bgcolor": "white",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 12, "r": 16, "t": 26, "b": 12},
            "xaxis": axis,
            "yaxis": axis,
            "legend": {
                "orientation": "h",
                "x": 0,
                "y": 0,
                "yref": "container",
                "yanchor": "bottom",
                "font": {"size": 12.5},
                "title": {"text": ""},
            },
            "hoverlabel": {"font": {"family": FONT, "size": 12.5}, "namelength": -1},
            "bargap": 0.34,
        }
    )
    figure = go.Figure(layout={"template": template, "height": height, **layout})
    figure.update_xaxes(title_text=x).update_yaxes(title_text=y)
    if simulated:
        figure.add_annotation(
            text="simulated engines",
            xref="paper",
            yref="paper",
            x=0,
            y=1,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": 11.5},
            opacity=0.75,
        )
    return figure


def horizontal_bars(
    figure: Any,
    names: list[str],
    chosen: str,
    looks: dict[str, Look],
    means: list[float],
    spreads: list[float],
    cells: list[Cell],
) -> None:
    """One bar per policy, its figure at the end."""
    labels = [label(name, name == chosen) for name in names]
    texts = [f"{cell.text} ± {cell.spread}" if cell.spread else cell.text for cell in cells]
    figure.add_bar(
        x=means,
        y=labels,
        orientation="h",
        marker={
            "color": [looks[name].colour for name in names],
            "opacity": [1.0 if name == chosen else 0.78 for name in names],
        },
        error_x=error(spreads),
        customdata=texts,
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )
    ends = [max(mean, 0.0) + spread for mean, spread in zip(means, spreads, strict=True)]
    figure.add_scatter(
        x=ends,
        y=labels,
        mode="text",
        text=[f" {cell.text}" for cell in cells],
        textposition="middle right",
        hoverinfo="skip",
        cliponaxis=False,
    )
    low = min(0.0, *(mean - spread for mean, spread in zip(means, spreads, strict=True)))
    span = max(ends) - low or 1.0
    figure.update_xaxes(range=[low - 0.02 * span if low < 0 else 0, low + 1.14 * span])
    figure.update_yaxes(autorange="reversed", showgrid=False)


def label(name: str, bold: bool = False) -> str:
    """A name from data, as text for plotly, which understands a little HTML."""
    return f"<b>{escape(name)}</b>" if bold else escape(name)


def log_axis(low: float, high: float) -> dict[str, object]:
    """A logarithmic axis over these positive numbers, with ticks at 1, 2 and 5."""
    decades = range(floor(log10(low)) - 1, ceil(log10(high)) + 1)
    ticks = [digit * 10.0**power for power in decades for digit in (1, 2, 5)]
    return {
        "type": "log",
        "range": [log10(low), log10(high)],
        "tickvals": ticks,
        "ticktext": [f"{tick:.6g}" for tick in ticks],
    }


def error(spreads: list[float]) -> dict[str, object]:
    """Error bars of one standard deviation, none where all are zero."""
    return {"type": "data", "array": spreads, "color": NEUTRAL, "thickness": 1.4, "width": 4, "visible": any(spreads)}


def diagonal(figure: Any, low: float, high: float) -> None:
    """The line on which both axes agree."""
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        line={"color": NEUTRAL, "width": 1.4, "dash": "dash"},
        hoverinfo="skip",
        showlegend=False,
    )
