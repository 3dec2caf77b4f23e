"""A study as plots: bars with intervals, or lines along an axis of the study."""

from html import escape
from math import isnan
from typing import TYPE_CHECKING

from experiments.errors import StudyError
from experiments.reports.charts.figures import blank
from experiments.reports.charts.palette import NEUTRAL, looks
from experiments.studies.study.cells.cell import told
from experiments.studies.study.telling.result import StudyResult, figures_of
from experiments.studies.study.telling.tables import COLUMNS

if TYPE_CHECKING:
    import plotly.graph_objects as go

_TITLES = {figure: f"{heading}, {unit}" if unit else heading for figure, heading, unit, *_ in COLUMNS}
_FACTORS = {figure: factor for figure, _, _, factor, *_ in COLUMNS}
_TITLES |= {"welfare": "welfare, credits", "gain": "gain in welfare over it, %"}


def drawn(result: StudyResult, figure: str = "welfare", x: str | None = None) -> "go.Figure":
    """One figure by policy.

    Args:
        figure: any of the study's, or `gain`: what the first policy gains over each other.
        x: an axis of the study; default the first that has numbers, else bars.

    Raises:
        StudyError: there is no such figure or axis.
    """
    known = [*figures_of(result), "gain"]
    if figure not in known:
        raise StudyError(f"no figure {figure!r}; there are: {', '.join(known)}")
    if figure == "gain" and len(result.policies) < 2:
        raise StudyError("one policy gains over nobody; plot another figure, or let two play")
    axes = list(dict.fromkeys(name for run in result.runs for name in run.axes))
    if x is not None and x not in axes:
        raise StudyError(f"no axis {x!r}; this study varies {', '.join(axes) or 'nothing'}")
    if len(result.cells) == 1:
        return _bars(result, figure)
    numbers = [name for name in axes if all(_is_number(run.axes.get(name)) for run in result.runs)]
    chosen = x or (numbers or axes)[0]
    return _along(result, figure, chosen, lines=chosen in numbers)


def _bars(result: StudyResult, figure: str) -> "go.Figure":
    cell = result.cells[0]
    names = [name for name in result.policies if figure != "gain" or name != result.policies[0]]
    colours = looks(result.policies)
    middle, low, high = zip(*(_value(result, figure, name, cell) for name in names), strict=True)
    made = blank(90 + 34 * len(names), simulated=True, x=_plain(_TITLES.get(figure, figure)), showlegend=False)
    made.add_bar(
        x=middle,
        y=[_plain(name) for name in names],
        orientation="h",
        marker={"color": [colours[name].colour for name in names]},
        error_x=_error(middle, low, high),
    )
    made.update_yaxes(autorange="reversed")
    return made


def _along(result: StudyResult, figure: str, x: str, *, lines: bool) -> "go.Figure":
    """Lines where the axis has numbers, else bars side by side; one for each of what other axes say."""
    axes = {run.cell: run.axes for run in result.runs}
    others: dict[str, list[str]] = {}
    for cell in result.cells:
        rest = ", ".join(told(name, value) for name, value in axes[cell].items() if name != x)
        others.setdefault(rest, []).append(cell)
    colours = looks(result.policies)
    made = blank(380, simulated=True, x=_plain(x), y=_plain(_TITLES.get(figure, figure)), barmode="group")
    if figure == "gain":
        made.add_hline(y=0, line={"color": NEUTRAL, "width": 1})
    for name in result.policies:
        if figure == "gain" and name == result.policies[0]:
            continue
        for k, (rest, cells) in enumerate(others.items()):
            middle, low, high = zip(*(_value(result, figure, name, cell) for cell in cells), strict=True)
            look = colours[name]
            drawn = {
                "y": middle,
                "name": _plain(f"{name}, {rest}" if rest else name),
                "error_y": _error(middle, low, high),
            }
            shade = 1 - 0.6 * k / max(len(others) - 1, 1)
            if lines:
                made.add_scatter(
                    x=[axes[cell][x] for cell in cells],
                    mode="lines+markers",
                    line={"color": look.colour, "dash": look.dash},
                    marker={"symbol": look.symbol, "size": 8},
                    opacity=shade,
                    **drawn,
                )
            else:
                labels = [
                    _plain("all" if axes[cell][x] is None else str(axes[cell][x])).replace(", ", ",<br>")
                    for cell in cells
                ]
                made.add_bar(x=labels, marker={"color": look.colour}, opacity=shade, **drawn)
    if lines:
        places = sorted({float(axes[cell][x] or 0) for cell in result.cells})
        made.update_xaxes(tickvals=places, ticktext=[f"{place:g}" for place in places], showgrid=False)
        if places[0] > 0 and places[-1] / places[0] >= 8:
            made.update_xaxes(type="log")
    return made


def _plain(text: str) -> str:
    """Plotly takes some of HTML for markup."""
    return escape(text, quote=False)


def _value(result: StudyResult, figure: str, policy: str, cell: str) -> tuple[float, float, float]:
    if figure == "gain":
        gain = result.gain(policy, cell=cell)
        return 100 * gain.share, 100 * gain.low, 100 * gain.high
    low, high = result.interval(policy, figure, cell)
    factor = _FACTORS.get(figure, 1)
    return factor * result.mean(policy, figure, cell), factor * low, factor * high


def _said(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_number(given: object) -> bool:
    return isinstance(given, (int, float)) and not isinstance(given, bool)


def _error(middle: tuple[float, ...], low: tuple[float, ...], high: tuple[float, ...]) -> dict[str, object]:
    reach = [(0.0, 0.0) if isnan(lo) else (at - lo, hi - at) for at, lo, hi in zip(middle, low, high, strict=True)]
    return {
        "type": "data",
        "symmetric": False,
        "arrayminus": [max(down, 0.0) for down, _ in reach],
        "array": [max(up, 0.0) for _, up in reach],
        "color": NEUTRAL,
        "thickness": 1.4,
        "width": 4,
    }
