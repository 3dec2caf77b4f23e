"""A demonstration as one HTML file that needs nothing else; whatever comes from data is escaped.

write_report(result, Path("report.html"))
"""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from experiments.reports.charts import Chart, Look, Study, charts
from experiments.reports.page import definitions, write_page
from experiments.results.columns import BEST, COLUMNS, MARKET, NONE, SERVICE, Cell, Column
from experiments.results.measures import measure
from experiments.results.results import DemoResult
from proofs import Finding, Report, Status, Suite

SIMULATED = (
    "Simulated engines: cache and scheduler as vLLM's; speed fitted (see engines, with their errors); "
    "answer quality follows assumed skills."
)

#: A word and a sign, so that nobody depends on the colour.
_SIGNS = {Status.PROVED: "✓", Status.VERIFIED: "✓", Status.REFUTED: "✗", Status.UNKNOWN: "?"}

_CHOSEN = ' class="chosen"'

#: A setting of more letters takes two columns.
_LONG, _WIDE = 48, ' class="long"'


def write_report(result: DemoResult, path: Path) -> Path:
    """Write the demonstration to `path` as a self-contained page; returns the path."""
    study, drawn = Study(result), charts(result)
    body = "\n".join(
        [
            _head(result),
            _losses(result),
            _audit(result),
            _tables(study),
            _charts(drawn, result.simulated),
            _made(result),
            _glossary(result.simulated),
        ]
    )
    figures = {f"plot-{k}": chart.figure for k, chart in enumerate(drawn) if chart.figure}
    return write_page(path, f"{result.mechanism}: IEMAS demonstration", body, figures, above=_despite(result))


def _despite(result: DemoResult) -> str:
    return _failed(result) + _contradicted(result)


def _contradicted(result: DemoResult) -> str:
    if not result.contradictions:
        return ""
    names = escape(", ".join(dict.fromkeys(one.property for one in result.contradictions)))
    evidence = "\n".join(f"<pre>{escape(str(one))}</pre>" for one in result.contradictions)
    return f"""<div class="despite contradicted" role="alert"><div>
<strong>Contradicted while serving: {names}</strong> <p>In rounds that were served, on the market as predicted and
reported, this does not hold, whatever was found on small scopes:</p> {evidence} </div></div>
"""


def _failed(result: DemoResult) -> str:
    if not result.despite_audit:
        return ""
    refuted = result.audit.refuted
    names = escape(", ".join(finding.property.name for finding in refuted)) or "no property is named"
    evidence = "\n".join(f"<pre>{escape(str(finding.counterexample))}</pre>" for finding in refuted)
    return f"""<div class="despite" role="alert"><div>
<strong>Served despite a failed audit. Refuted: {names}</strong> <p>{escape(result.mechanism)} does not keep what a
mechanism promises. Its bidders may have reason to misreport, and figures below that rest on true reports may mean
nothing. The audit found:</p> {evidence} </div></div> <div class="despite-strip">✗ Served despite a failed audit.
Refuted: {names}</div>
"""


def _head(result: DemoResult) -> str:
    settings = "\n".join(
        f"<div{_WIDE if len(value) > _LONG else ''}><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in result.settings.items()
    )
    engines = "\n".join(f"<li>{escape(line)}</li>" for line in result.engines)
    banner = f'<div class="simulated">{escape(SIMULATED)}</div>' if result.simulated else ""
    return f"""<header>
<p class="kicker">IEMAS demonstration</p>
<h1>{escape(result.mechanism)}</h1>
{banner}
<p class="small-title">Workload</p>
<p class="workload">{escape(result.workload)}</p>
<dl class="settings">
{settings}
</dl>
<p class="small-title">Engines</p>
<ul class="engines">
{engines}
</ul>
</header>"""


def _losses(result: DemoResult) -> str:
    """Where the auctioneer loses on the very costs that an auction rested on."""
    lost = [
        f"{run.policy} at seed {run.seed}, −{-measured.auction_surplus:,.3f} credits"
        for run in result.runs
        if (measured := measure(run)).auction_surplus < 0
    ]
    if not lost:
        return ""
    return f"""<p class="loss"><strong>✗ The auctioneer loses as predicted</strong> (charges less receipts, as decided):
{escape("; ".join(lost))}</p>"""


def _made(result: DemoResult) -> str:
    return f"""<section>
<h2>How it was made</h2>
{definitions(result.made.lines())}
</section>"""


def _audit(result: DemoResult) -> str:
    report = result.audit
    failed = {one.property for one in result.contradictions}
    rows = "\n".join(_finding(finding, finding.property.name in failed) for finding in report.findings)
    return f"""<section>
<h2>Audit</h2>
<p class="lead">Of the very object that served. VERIFIED: every case of the scope was examined, in exact integers, and
none violates the property; the finding speaks about that scope and no other. REFUTED: the counterexample happens, and
was replayed in a fresh process. UNKNOWN: cases were sampled and none violates it, which proves nothing.</p>
<div class="scroll"><table class="audit">
<thead><tr>
<th scope="col">Property</th><th scope="col">Finding</th><th scope="col">Scope</th>
<th scope="col" class="number">Cases</th><th scope="col" class="number">Time<span class="unit">s</span></th>
</tr></thead>
<tbody>
{rows}
</tbody>
</table></div>
{_scopes(report)}
</section>"""


def _scopes(report: Report) -> str:
    """What each scope of a suite is."""
    if not isinstance(report.scope, Suite):
        return ""
    noted: dict[str, list[str]] = {}
    for finding in report.findings:
        if finding.note and finding.counterexample is None:
            noted.setdefault(finding.note, []).append(finding.property.name)
    notes = "\n".join(
        f'<p class="caption">{escape(", ".join(names))}: {escape(note)}</p>' for note, names in noted.items()
    )
    return f"""{notes}
<p class="small-title">{escape(report.scope.outline)}</p>
{definitions((name, str(grid)) for name, grid in report.scope.grids.items())}"""


def _finding(finding: Finding, contradicted: bool) -> str:
    status = finding.status
    refuted = finding.counterexample is not None
    evidence = (
        f'<tr class="evidence"><td colspan="5"><pre>{escape(str(finding.counterexample))}\n'
        f"{escape(f'worst seen {finding.worst} micro-units; {finding.note}')}</pre></td></tr>"
        if refuted
        else ""
    )
    scope = finding.scope.outline if isinstance(finding.scope, Suite) else str(finding.scope)
    sign, said = (
        (_SIGNS[status], str(status)) if refuted or not contradicted else ("✗", f"{status}, but not in service")
    )
    colour = Status.REFUTED if contradicted else status
    return f"""<tr{' class="refuted"' if refuted or contradicted else ""}><td>{escape(finding.property.name)}</td>
<td class="status {colour}">{sign} {said}</td><td class="scope">{escape(scope)}</td>
<td class="number cases">{finding.cases:,}</td><td class="number seconds">{finding.seconds:.2f}</td></tr>{evidence}"""


def _tables(study: Study) -> str:
    seeds = study.result.seeds
    many = f" Means of {len(seeds)} seeds, ± one standard deviation." if study.several_seeds else ""
    tag = _tag(study.result.simulated)
    return f"""<section>
<h2>Policies{tag}</h2>
<p class="lead">The same dialogues, bidders and engines under each policy.{many} {BEST} best of its column as printed,
with no regard to spread. {NONE} the policy has no such figure.</p>
{_table(study, "Service", SERVICE)}
{_table(study, "Market and predictions", MARKET)}
</section>"""


def _table(study: Study, title: str, columns: Sequence[Column]) -> str:
    head = "".join(
        f'<th scope="col" class="number">{escape(one.title)}<span class="unit">{escape(one.unit)}</span></th>'
        for one in columns
    )
    cells = [(one.figure, study.cells(one.figure)) for one in columns]
    rows = "\n".join(
        f"<tr{_CHOSEN if policy == study.chosen else ''}>"
        f'<th scope="row">{_swatch(study.looks[policy])}{escape(policy)}</th>'
        f"{''.join(_cell(column[policy], figure == 'auction_surplus') for figure, column in cells)}</tr>"
        for policy in study.result.policies
    )
    return f"""<div class="scroll"><table class="figures">
<caption>{escape(title)}</caption>
<thead><tr><th scope="col">Policy</th>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table></div>"""


def _swatch(look: Look) -> str:
    return f'<span class="swatch" style="background:{look.colour}"></span>'


def _cell(cell: Cell, never_below_zero: bool) -> str:
    classes = "number" + (" best" if cell.best else "") + (" none" if cell.text == NONE else "")
    classes += " bad" if never_below_zero and cell.text.startswith("−") else ""
    star = f'<span class="star" title="best of its column">{BEST}</span>' if cell.best else ""
    spread = f'<span class="spread">± {cell.spread}</span>' if cell.spread else ""
    return f'<td class="{classes}">{star}{cell.text}{spread}</td>'


def _charts(drawn: Sequence[Chart], simulated: bool) -> str:
    return f"""<section>
<h2>Charts{_tag(simulated)}</h2>
<p class="lead">Every policy has one colour throughout. <span class="screen">Point at a chart for its figures, drag to
zoom, double-click to reset, click a legend's entry to hide it; the camera saves the chart as SVG.</span></p>
<noscript><p class="empty">The charts need JavaScript; the tables above do not.</p></noscript>
<div class="charts">
{"".join(_chart(k, chart) for k, chart in enumerate(drawn))}</div>
</section>"""


def _chart(k: int, chart: Chart) -> str:
    plot = f'<div class="plot" id="plot-{k}"></div>' if chart.figure else '<p class="empty">Nothing to draw.</p>'
    return f"""<figure{' class="wide"' if chart.wide else ""}>
<figcaption><h3>{escape(chart.title)}</h3><p>{escape(chart.caption)}</p></figcaption>
{plot}
</figure>
"""


def _glossary(simulated: bool) -> str:
    actual = (
        "Engines were simulated: “cost”, “wait” and “actual” mean what the simulation yielded."
        if simulated
        else "“Cost”, “wait” and “actual” mean what the engines measured."
    )
    return f"""<footer>
<h2>How each figure is computed</h2>
<p class="lead">{actual} Each figure is computed per seed, then averaged. Money is in credits, time in seconds.</p>
{definitions(_terms())}
</footer>"""


def _terms() -> Iterator[tuple[str, str]]:
    yield from ((one.title, one.how) for one in COLUMNS)
    yield (
        "Utility",
        "Of a bidder: over their served requests, the sum of true value (see social welfare) minus charge.",
    )


def _tag(simulated: bool) -> str:
    return '<span class="tag">simulated engines</span>' if simulated else ""
