"""The report and the terminal's tables: complete, escaped, self-contained, and never prettier than the truth."""

import dataclasses
import io
import json
import re
from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from experiments.reports.charts import charts
from experiments.reports.charts.auction import WINDOW, _running_error
from experiments.reports.html import SIMULATED, write_report
from experiments.reports.terminal import audit_table, policy_tables
from experiments.results.columns import BEST, COLUMNS, NONE, column
from experiments.results.made import Made
from experiments.results.measures import Measures
from experiments.results.results import DemoResult
from experiments.worlds.running.run import PolicyRun
from mechanisms import Preferences
from proofs import SUITE, Grid, audit
from runtime import Completion, Declined, EngineInfo, Message, Offer, Prediction, Request, Served
from runtime.rounds.records import RoundStatistics

pytestmark = pytest.mark.usefixtures("replayed_here")

HOSTILE = "</script><img src=x onerror=alert(1)>&"
ENGINE = EngineInfo("m", 16, 100, 4096, 4, "t", simulated=True)
MADE = Made(
    command="iemas demo --data 'my <file>'",
    version="0.1.0",
    commit="ec34af04a387" * 3,
    machine="x86_64, 2 cores, Linux",
    python="3.11.7",
    at="2026-01-01 00:00 UTC",
    seeds=(0, 1),
    sources={"data/shipped.json": "c2efe167" * 8},
)
BANNER = 'class="despite"'


def offer(request: Request, arrived_s: float) -> Offer:
    return Offer(request, Preferences(10.0, 1.0), ((1, 2), (1, 2)), 0, arrived_s)


def served(k: int, seed: int, *, predicted: bool, bidder: str = "bidder-0") -> Served:
    request = Request(f"{k}", bidder, (Message("user", "hello"),))
    done = Completion("yes", 100, 10 * (k % 7), 5, 0.1 + 0.01 * k + 0.05 * seed, 0.5 + 0.01 * k)
    guess = Prediction(0.2, 1.1, 0.6) if predicted else None
    charge, cost = 2_000_000 if predicted else 0, 1_000_000 + 1000 * k
    asked, at_s = offer(request, float(k)), k + 0.01
    return Served(at_s + 0.5, asked, k % 2, done, at_s, at_s, charge, cost, cost, float(k % 2), guess)


def run(policy: str, seed: int = 0, requests: int = 60, *, predicted: bool = False, **fields: object) -> PolicyRun:
    whole = PolicyRun(
        policy,
        seed,
        tuple(served(k, seed, predicted=predicted) for k in range(requests)),
        (),
        {"bidder-0": Preferences(10.0, 1.0)},
        RoundStatistics(rounds=4, decided=60, contested=15, decide_s=[0.001] * 4),
        (ENGINE, ENGINE),
        100.0,
    )
    return dataclasses.replace(whole, **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def result() -> DemoResult:
    return DemoResult(
        mechanism="vcg",
        audit=audit("vcg", Grid(2, 2, range(2))),
        despite_audit=False,
        workload="data/shipped.json, first 3 of 14 (3 dialogues, 20 turns)",
        settings={"rate": "0.2 per s"},
        engines=("small-a: simulated, error 10%", "large-a: simulated, error 11%"),
        simulated=True,
        runs=tuple(run(name, seed, predicted=name == "iemas") for seed in (0, 1) for name in ("iemas", "random")),
        made=MADE,
    )


@pytest.fixture(scope="module")
def refuted(result: DemoResult) -> DemoResult:
    report = audit("pay-as-bid", Grid(2, 1, range(3)))
    return dataclasses.replace(result, mechanism="pay-as-bid", audit=report, despite_audit=True)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[DemoResult], str]:
    def page(result: DemoResult) -> str:
        """The report without plotly's own code."""
        text = write_report(result, tmp_path / "new folder" / "report.html").read_text(encoding="utf-8")
        before, script, rest = text.partition("</main>\n<script>")
        assert script
        return before + rest[rest.index('<script type="application/json"') :]

    return page


def figures_of(page: str) -> dict[str, dict[str, object]]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    assert found
    figures: dict[str, dict[str, object]] = json.loads(found[1])
    return figures


def test_everything_is_there(result: DemoResult, written: Callable[[DemoResult], str]) -> None:
    page = written(result)
    for policy in result.policies:
        assert f"</span>{policy}</th>" in page
    for one in COLUMNS:
        assert escape(one.title) in page
        assert escape(one.how) in page
    for finding in result.audit.findings:
        assert finding.property.name in page
    for text in (result.workload, str(result.audit.scope), *result.engines, "0.2 per s"):
        assert escape(text) in page
    assert len(figures_of(page)) == len(charts(result))


def test_nothing_is_loaded(result: DemoResult, written: Callable[[DemoResult], str]) -> None:
    page = written(result)
    assert not re.search(r"""https?://|\bsrc\s*=|\bhref\s*=|url\(|@import""", page)
    assert "default-src 'none'" in page
    assert 'showSendToCloud: false, plotlyServerURL: ""' in page


def test_every_simulated_chart_says_so(result: DemoResult, written: Callable[[DemoResult], str]) -> None:
    assert escape(SIMULATED) in written(result)
    for chart in charts(result):
        assert "simulated engines" in [note.text for note in chart.figure.layout.annotations], chart.title
        assert "measured" not in f"{chart.title} {chart.caption} {chart.figure.to_json()}"


def test_a_real_one_does_not(result: DemoResult, written: Callable[[DemoResult], str]) -> None:
    real = dataclasses.replace(result, simulated=False, engines=("a: vLLM", "b: vLLM"))
    page = written(real)
    assert escape(SIMULATED) not in page
    assert "simulated engines" not in page
    assert "measured cost" in page


def test_the_banner_is_there_only_despite_the_audit(
    result: DemoResult, refuted: DemoResult, written: Callable[[DemoResult], str]
) -> None:
    page = written(refuted)
    assert page.count(BANNER) == 1
    assert "Refuted: truthful" in page
    assert escape(str(refuted.audit["truthful"].counterexample)) in page
    assert BANNER not in written(result)
    assert BANNER not in written(dataclasses.replace(refuted, despite_audit=False))


def test_whatever_comes_from_data_is_escaped(result: DemoResult, written: Callable[[DemoResult], str]) -> None:
    hostile = run(
        HOSTILE,
        served=tuple(served(k, 0, predicted=True, bidder=HOSTILE) for k in range(20)),
        preferences={HOSTILE: Preferences(10.0, 1.0)},
    )
    page = written(
        dataclasses.replace(
            result,
            mechanism=HOSTILE,
            workload=HOSTILE,
            settings={HOSTILE: HOSTILE},
            engines=(f"{HOSTILE}: x", HOSTILE),
            runs=(hostile,),
        )
    )
    assert "<img" not in page
    assert page.count(escape(HOSTILE)) > 10
    assert escape(HOSTILE) in json.dumps(figures_of(page))


def test_no_figure_is_a_dash(result: DemoResult) -> None:
    cells = column("payments").cells(result.table(), spread=True)
    assert cells["random"].text == NONE
    assert cells["random"].spread == ""
    assert cells["iemas"].text == "120"
    assert not cells["iemas"].best


def test_contested_is_a_share_of_requests_and_of_auctions_alone(result: DemoResult) -> None:
    cells = column("contested").cells(result.table(), spread=False)
    assert cells["iemas"].text == "25"
    assert cells["random"].text == NONE


def test_the_page_has_dashes_and_no_nan(result: DemoResult, written: Callable[[DemoResult], str]) -> None:
    page = written(result)
    assert f'<td class="number none">{NONE}</td>' in page
    assert "nan" not in re.findall(r"<td[^>]*>(.*?)</td>", page)


def measures(**figures: float) -> tuple[Measures, Measures]:
    names = [one.figure for one in COLUMNS]
    return Measures(**{name: figures.get(name, 1.0) for name in names}), Measures(**dict.fromkeys(names, 0.0))


def test_what_prints_alike_is_marked_alike() -> None:
    table = {"a": measures(hit_rate=0.50001), "b": measures(hit_rate=0.50002), "c": measures(hit_rate=0.3)}
    cells = column("hit_rate").cells(table, spread=False)
    assert [cell.best for cell in cells.values()] == [True, True, False]
    assert not any(cell.best for cell in column("quality").cells(table, spread=False).values())


def test_less_is_better_where_it_is_and_zero_has_no_sign() -> None:
    table = {"a": measures(latency_p95=2.5, surplus=-0.001), "b": measures(latency_p95=11.0, surplus=-1234.5)}
    assert [cell.best for cell in column("latency_p95").cells(table, spread=False).values()] == [True, False]
    assert [cell.text for cell in column("surplus").cells(table, spread=False).values()] == ["0", "−1,234"]


@pytest.mark.parametrize("runs", ["none", "all declined", "one policy declined"])
def test_nothing_served_is_no_crash(result: DemoResult, written: Callable[[DemoResult], str], runs: str) -> None:
    request = Request("r", "bidder-0", (Message("user", "hello"),))
    empty = run(
        "iemas", requests=0, declined=(Declined(1.0, offer(request, 0.0), "too dear"),), statistics=RoundStatistics()
    )
    chosen = {"none": (), "all declined": (empty,), "one policy declined": (empty, run("random"))}[runs]
    page = written(dataclasses.replace(result, runs=chosen))
    assert "Nothing to draw." in page
    assert "policy" in printed(*policy_tables(dataclasses.replace(result, runs=chosen), 110))


def test_the_learning_curve_looks_back_over_its_window() -> None:
    pairs = np.column_stack([np.r_[np.zeros(WINDOW), np.ones(WINDOW)], np.ones(2 * WINDOW)])
    curve = _running_error(pairs)
    assert curve[0] == curve[WINDOW - 1] == 1.0
    assert curve[-1] == 0.0


def printed(*things: object, width: int = 110) -> str:
    text = io.StringIO()
    for thing in things:
        Console(width=width, file=text).print(thing)
    return text.getvalue()


def test_the_terminal_table_fits(result: DemoResult) -> None:
    wide = dataclasses.replace(result, runs=(*result.runs, run("a-policy-with-a-long-name:OfSomebody")))
    text = printed(*policy_tables(wide, 110))
    assert max(map(len, text.splitlines())) <= 110
    assert "…" not in text
    narrow = printed(*policy_tables(wide, 60), audit_table(wide.audit), width=60)
    assert max(map(len, narrow.splitlines())) <= 60
    assert "…" not in narrow
    # Nothing is missing: every figure of the wide table is in one of the narrow ones.
    assert set(re.findall(r"[\d,.]*\d", text)) <= set(re.findall(r"[\d,.]*\d", narrow))
    assert "simulated engines" in text
    assert BEST in text
    assert NONE in text


def test_the_terminal_says_what_was_refuted(refuted: DemoResult) -> None:
    assert "SERVED DESPITE A FAILED AUDIT: truthful" in printed(*policy_tables(refuted, 110))
    text = printed(audit_table(refuted.audit))
    assert "REFUTED" in text
    assert "bidder 0 reports" in text
    assert "2 bidders x 1 agent" in text


def test_the_page_says_how_it_was_made(result: DemoResult, written: Callable[[DemoResult], str]) -> None:
    page = written(result)
    for said in (
        "iemas demo --data &#x27;my &lt;file&gt;&#x27;",
        "0.1.0, commit ec34af04a387",
        "x86_64, 2 cores, Linux, Python 3.11.7",
        "data/shipped.json (SHA-256 c2efe167c2efe167)",
        "0, 1",
    ):
        assert f"<dd>{said}</dd>" in page
    assert result.as_dict()["made"]["sources"] == {"data/shipped.json": "c2efe167" * 8}  # type: ignore[index]


def test_plotly_and_the_title_are_there_once(result: DemoResult, tmp_path: Path) -> None:
    page = write_report(result, tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<script>/**\n* plotly.js") == 1
    ours = page[: page.index("</main>")]
    [title], [heading] = re.findall("<title>(.*?)</title>", ours), re.findall("<h1>(.*?)</h1>", ours)
    assert title == f"{heading}: IEMAS demonstration"


def test_a_predicted_loss_is_red_and_so_is_its_line(result: DemoResult, written: Callable[[DemoResult], str]) -> None:
    assert 'class="loss"' not in written(result) and "Predicted surplus" not in {one.title for one in charts(result)}
    lost = dataclasses.replace(result.runs[0].statistics, predicted_surplus=-1_500_000)
    runs = (dataclasses.replace(result.runs[0], statistics=lost), *result.runs[1:])
    losing = dataclasses.replace(result, runs=runs)
    page = written(losing)
    assert "The auctioneer loses as predicted" in page and "iemas at seed 0, −1.500 credits" in page
    assert re.search(r'class="number bad">−0.75', page)
    [chart] = [one for one in charts(losing) if one.title == "Predicted surplus"]
    [line] = chart.figure.layout.shapes
    assert (line.x0, line.line.color) == (0, "#E03131")


def test_equal_notes_of_an_audit_are_told_once(result: DemoResult, written: Callable[[DemoResult], str]) -> None:
    audited = dataclasses.replace(result, audit=audit("vcg", SUITE.only(["plain"]), ["no-deficit", "efficient"]))
    page = written(audited)
    assert page.count("profiles asked through run_many") == 1 and "no-deficit, efficient: " in page
