"""What every report is: one HTML file that needs nothing else. No network, no fonts, no second file.

Whoever writes one escapes what comes from data (`definitions` does); the page forbids itself, by its
Content-Security-Policy, to load anything. Plotly is in it once, however many figures there are.
"""

from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"

_DRAW = """
const figures = JSON.parse(document.getElementById("figures").textContent);
const config = {displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "", showTips: false,
  toImageButtonOptions: {format: "svg"},
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"]};
const plots = Object.entries(figures).map(([id, figure]) => {
  Plotly.newPlot(id, figure.data, figure.layout, config);
  return document.getElementById(id);
});
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("figure").forEach(figure => {
    const width = figure.classList.contains("wide") ? 700 : 338;
    figure.querySelectorAll(".plot").forEach(plot => Plotly.relayout(plot, {width}));
  });
});
window.addEventListener("afterprint", () => {
  plots.forEach(plot => Plotly.relayout(plot, {autosize: true, width: null}));
});
"""


def write_page(path: Path, title: str, body: str, figures: Mapping[str, Any], above: str = "") -> Path:
    """Write a page of about 5 MB, most of it plotly, whole or not at all; returns the path.

    Args:
        title: as plain text.
        body: HTML of the page's `main`.
        figures: plotly figures by the id of the element that each is drawn in.
        above: HTML that is as wide as the window, before `main`.
    """
    from plotly.offline import get_plotlyjs

    drawn = ",\n".join(f'"{name}": {figure.to_json()}' for name, figure in figures.items()).replace("<", r"\u003c")
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{files("experiments").joinpath("report.css").read_text(encoding="utf-8")}</style>
</head>
<body>
{above}<main>
{body}
</main>
<script>{get_plotlyjs()}</script>
<script type="application/json" id="figures">{{{drawn}}}</script>
<script>{_DRAW}</script>
</body>
</html>
"""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(page, encoding="utf-8")
    return beside.replace(path)


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Names with what is said of each."""
    entries = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>" for name, said in pairs)
    return f'<dl class="glossary">\n{entries}\n</dl>'
