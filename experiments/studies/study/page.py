"""A study as one HTML file that needs nothing else, and as tables for a notebook."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from experiments.studies.study.figures import drawn
from experiments.studies.study.result import StudyResult
from experiments.studies.study.tables import COLUMNS, number, starred

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_SHOWN = ("welfare", "gain", "quality", "hit_rate", "wait_median", "cost")
_DRAW = """
const figures = JSON.parse(document.getElementById("figures").textContent);
for (const [id, figure] of Object.entries(figures))
  Plotly.newPlot(id, figure.data, figure.layout, {displaylogo: false, responsive: true, plotlyServerURL: ""});
"""


def write_page(result: StudyResult, path: Path) -> Path:
    """Write the study to `path`, whole or not at all: tables, plots, and how it was made; returns the path."""
    from plotly.offline import get_plotlyjs

    shown = [name for name in _SHOWN if name != "gain" or len(result.policies) > 1]
    charts = {f"plot-{name}": drawn(result, name) for name in shown}
    figures = ",\n".join(f'"{name}": {figure.to_json()}' for name, figure in charts.items()).replace("<", r"\u003c")
    style = files("experiments").joinpath("report.css").read_text(encoding="utf-8")
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(result.name)}: IEMAS study</title>
<style>
{style}</style>
</head>
<body>
<main>
<h1>{escape(result.name)}</h1>
{_losses(result)}
{html_tables(result)}
<h2>Figures</h2>
{"".join(f'<figure class="wide"><div class="plot" id="{name}"></div></figure>' for name in charts)}
<h2>Audit</h2>
{_audits(result)}
<h2>How it was made</h2>
{_pairs([*result.described.items(), *result.made.lines()])}
</main>
<script>{get_plotlyjs()}</script>
<script type="application/json" id="figures">{{{figures}}}</script>
<script>{_DRAW}</script>
</body>
</html>
"""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(page, encoding="utf-8")
    return beside.replace(path)


def html_tables(result: StudyResult) -> str:
    """A table a cell; the best of each column in bold, a loss of the auctioneer in red."""
    hero = result.policies[0]
    parts = []
    for cell in result.cells:
        heads = ["policy", "welfare", f"{hero} gains over it", *(_head(column[1], column[2]) for column in COLUMNS)]
        rows = []
        for policy in result.policies:
            gain = "" if policy == hero else starred(result, policy, cell)
            cells = [f"<th>{escape(policy)}</th>", _cell(number(result.mean(policy, "welfare", cell), 0)), _cell(gain)]
            for figure, _, _, factor, digits, _ in COLUMNS:
                value = factor * result.mean(policy, figure, cell)
                cells.append(_cell(number(value, digits), "bad" if figure == "surplus" and value < 0 else ""))
            rows.append(f"<tr>{''.join(cells)}</tr>")
        title = f"{cell}, {len(result.seeds)} seeds"
        parts.append(
            f"<h3>{escape(title)}</h3><div style='overflow-x:auto'><table><thead><tr>"
            f"{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )
    said = "; ".join(f"{name}: {text}" for name, text in result.described.items())
    return "".join(parts) + (
        f"<p class='caption'>Means over seeds. {escape(said)}. A star: the interval of the difference "
        "leaves out nothing (paired by seed and conversation).</p>"
    )


def _losses(result: StudyResult) -> str:
    """Where the auctioneer loses as predicted."""
    found = [
        f"{escape(policy)} in {escape(cell)}: {result.mean(policy, 'surplus', cell):,.0f} credits"
        for cell in result.cells
        for policy in result.policies
        if result.mean(policy, "surplus", cell) < 0 and result.mean(policy, "charges", cell) > 0
    ]
    if not found:
        return ""
    said = "; ".join(found)
    return f"<p style='color:var(--bad)'><strong>The auctioneer loses</strong> (charges less receipts): {said}</p>"


def _audits(result: StudyResult) -> str:
    if not result.audits:
        return "<p>No policy of this study runs a mechanism.</p>"
    parts = []
    for one in result.audits:
        rows = "".join(
            f"<tr><th>{escape(str(finding.get('property')))}</th><td>{escape(str(finding.get('status')))}</td>"
            f"<td>{finding.get('cases', '')}</td></tr>"
            for finding in one.get("findings", ())
        )
        parts.append(f"<h3>{escape(str(one['subject']))}</h3><table><tbody>{rows}</tbody></table>")
    return "".join(parts)


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>" for name, said in pairs) + "</dl>"


def _head(heading: str, unit: str) -> str:
    return f"{heading} ({unit})" if unit else heading


def _cell(text: str, kind: str = "") -> str:
    style = " style='color:var(--bad, #b3122d)'" if kind == "bad" else ""
    return f"<td{style}>{escape(text)}</td>"
