"""A study as one HTML file that needs nothing else, and as tables for a notebook."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from experiments.reports.page import definitions, write_page
from experiments.studies.study.telling.figures import drawn
from experiments.studies.study.telling.result import StudyResult
from experiments.studies.study.telling.tables import COLUMNS, number, of_part, starred

#: What a page plots, with a sentence on how to read it.
_SHOWN = {
    "welfare": "Value of what was served to its bidders, less cost and waiting.",
    "gain": "What the first policy gains over each: above zero it is ahead, for sure where its whisker is.",
    "quality": "How good the answers were.",
    "hit_rate": "Share of prompt tokens that were in the cache of the engine that got them.",
    "wait_median": "Half of those served had their first token by then.",
    "cost": "Of a served request.",
}
_TITLES = {
    "welfare": "Welfare",
    "gain": "Gain in welfare",
    "quality": "Answer quality",
    "hit_rate": "KV cache hits",
    "wait_median": "Wait for the first token",
    "cost": "Cost of a request",
}
#: A word and a sign, so that nobody depends on the colour.
_SIGNS = {"PROVED": "✓", "VERIFIED": "✓", "REFUTED": "✗"}
#: A notebook has no style sheet of ours.
_STYLES = {"number gain": ";white-space:nowrap", "number bad": ";color:#d9484f"}


def write_study(result: StudyResult, path: Path) -> Path:
    """Write the study to `path`, whole or not at all: tables, plots, and how it was made; returns the path."""
    shown = [name for name in _SHOWN if name != "gain" or len(result.policies) > 1]
    charts = {f"plot-{name}": drawn(result, name) for name in shown}
    whiskers = "" if len(result.seeds) < 2 else " Whiskers: 95 % intervals."
    figures = "\n".join(
        f"<figure><figcaption><h3>{escape(_TITLES[name])}</h3><p>{escape(_SHOWN[name])}</p></figcaption>"
        f'<div class="plot" id="plot-{name}"></div></figure>'
        for name in shown
    )
    body = f"""<header>
<p class="kicker">IEMAS study</p>
<h1>{escape(result.name)}</h1>
<div class="simulated">Simulated engines: cache and scheduler as vLLM's, speed fitted to measured runs.</div>
</header>
{_losses(result)}
<section>
<h2>Policies</h2>
{html_tables(result)}
</section>
<section>
<h2>Charts</h2>
<p class="lead">Every policy has one colour throughout.{whiskers} <span class="screen">Point at a chart for its figures,
drag to zoom, double-click to reset; the camera saves the chart as SVG.</span></p>
<div class="charts">
{figures}
</div>
</section>
<section>
<h2>Audit</h2>
{_audits(result)}
</section>
<section>
<h2>How it was made</h2>
{definitions([*result.described.items(), *result.made.lines()])}
</section>"""
    return write_page(path, f"{result.name}: IEMAS study", body, charts)


def html_tables(result: StudyResult) -> str:
    """A table a cell, for a page and for a notebook alike; a loss of the auctioneer is red."""
    hero = result.policies[0]
    parts = []
    for cell in result.cells:
        heads = [("welfare", "credits"), (f"{hero} gains over it", "95 % interval, seeds won")]
        heads += [(heading, unit) for _, heading, unit, *_ in COLUMNS]
        rows = {}
        for policy in result.policies:
            gain = "" if policy == hero else starred(result, policy, cell)
            cells = [_cell(number(result.mean(policy, "welfare", cell), 0)), _cell(gain, "number gain")]
            for figure, _, _, factor, digits, _ in COLUMNS:
                value = factor * result.mean(policy, figure, cell)
                lost = figure == "surplus" and value < 0
                cells.append(_cell(number(value, digits), "number bad" if lost else "number"))
            rows[policy] = cells
        parts.append(_table(f"{cell}, {len(result.seeds)} seed{'s' * (len(result.seeds) > 1)}", heads, rows))
        for part in result.parts(cell):
            heads, texts = of_part(result, cell, part)
            parts.append(_table(f"of it, {part}", heads, {name: list(map(_cell, row)) for name, row in texts.items()}))
    said = "; ".join(f"{name}: {text}" for name, text in result.described.items())
    return "".join(parts) + (
        f'<p class="caption" style="opacity:.75">Means over seeds. {escape(said)}. A star: the interval of the '
        "difference leaves out zero (paired by seed and conversation).</p>"
    )


def _table(title: str, heads: Sequence[tuple[str, str]], rows: Mapping[str, Sequence[str]]) -> str:
    """A row a policy, the first of them in bold, of finished cells."""
    head = "".join(f'<th scope="col" class="number">{_head(*one)}</th>' for one in heads)
    hero, body = next(iter(rows)), []
    for policy, cells in rows.items():
        name = f"<strong>{escape(policy)}</strong>" if policy == hero else escape(policy)
        body.append(f'<tr><th scope="row" style="text-align:left;white-space:nowrap">{name}</th>{"".join(cells)}</tr>')
    return (
        f'<p class="small-title" style="margin:.8em 0 0"><strong>{escape(title)}</strong></p>'
        '<div class="scroll" style="overflow-x:auto"><table class="study"><thead><tr><th scope="col">policy</th>'
        f"{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def html_made(result: StudyResult) -> str:
    """How it was made, folded up."""
    return f"<details><summary>How it was made</summary>{definitions(result.made.lines())}</details>"


def _losses(result: StudyResult) -> str:
    """Where the auctioneer loses though there are charges."""
    found = [
        f"{policy} in {cell}, −{-result.mean(policy, 'surplus', cell):,.0f} credits"
        for cell in result.cells
        for policy in result.policies
        if result.mean(policy, "surplus", cell) < 0 and result.mean(policy, "charges", cell) > 0
    ]
    if not found:
        return ""
    return f"""<p class="loss"><strong>✗ The auctioneer loses</strong> (charges less receipts, as settled, means over
seeds): {escape("; ".join(found))}</p>"""


def _audits(result: StudyResult) -> str:
    if not result.audits:
        return "<p>No policy of this study runs a mechanism.</p>"
    parts = []
    for one in result.audits:
        rows = "\n".join(map(_finding, one.get("findings", ())))
        parts.append(
            f'<p class="small-title">{escape(str(one["subject"]))}</p>'
            f'<div class="scroll"><table class="audit"><thead><tr><th scope="col">Property</th><th scope="col">Finding'
            f'</th><th scope="col" class="number">Cases</th></tr></thead><tbody>{rows}</tbody></table></div>'
            f"{_scopes(one)}"
        )
    return "".join(parts)


def _scopes(audit: Mapping[str, object]) -> str:
    """What was audited over: of a suite, grid by grid."""
    grids = audit.get("scopes")
    if not isinstance(grids, list):
        return f'<p class="caption">Over {escape(str(audit.get("scope", "")))}</p>'
    return definitions((str(grid["name"]), str(grid["scope"])) for grid in grids)


def _finding(found: dict[str, object]) -> str:
    status = str(found.get("status", ""))
    shade = status if status in _SIGNS else "UNKNOWN"
    cases = found.get("cases", 0)
    return (
        f"<tr><td>{escape(str(found.get('property')))}</td>"
        f'<td class="status {shade}">{_SIGNS.get(status, "?")} {escape(status)}</td>'
        f'<td class="number cases">{escape(f"{cases:,}" if isinstance(cases, int) else str(cases))}</td></tr>'
    )


def _head(heading: str, unit: str) -> str:
    small = f'<span class="unit" style="display:block;font-weight:400;opacity:.7">{escape(unit)}</span>'
    return escape(heading) + (small if unit else "")


def _cell(text: str, kind: str = "number") -> str:
    style = "text-align:right" + _STYLES.get(kind, "")
    return f'<td class="{kind}" style="{style}">{escape(text)}</td>'
