"""What a study's result shows: in a notebook, as plots, as a page; and how it says that it was made."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.errors import StudyError
from experiments.results.made import _command, made_here
from experiments.studies.study import Dialogues, Study, StudyResult
from mechanisms import Preferences

HOSTILE = "</script><img src=x onerror=alert(1)>&"


def few(rate: float, **more: int) -> Dialogues:
    return Dialogues("shipped", rate=rate, **{"dialogues": 2, "turns": 2, **more})  # type: ignore[arg-type]


def alike(rng: np.random.Generator) -> Preferences:
    return Preferences(50.0, 1.0)


@pytest.fixture(scope="module")
def result() -> StudyResult:
    rates = [few(0.5), few(2.0)]
    return Study(rates, policies=["cache-aware", "random"], seeds=2, name="rates").run(workers=0)


@pytest.fixture(scope="module")
def hostile(result: StudyResult) -> StudyResult:
    runs = tuple(
        replace(run, cell=HOSTILE + run.cell, policy=HOSTILE if run.policy == "random" else run.policy)
        for run in result.runs
    )
    audits = (
        {"subject": HOSTILE, "scope": HOSTILE, "findings": [{"property": HOSTILE, "status": HOSTILE, "cases": 1}]},
    )
    made = replace(result.made, command=HOSTILE)
    return replace(result, name=HOSTILE, runs=runs, audits=audits, described={HOSTILE: HOSTILE}, made=made)


def test_workloads_that_differ_in_numbers_are_told_by_them(result: StudyResult) -> None:
    assert result.cells == ("rate 0.5", "rate 2")
    assert result.frame()["rate"].to_list() == [0.5] * 4 + [2.0] * 4
    two = Study([few(0.5, turns=1), few(2.0, turns=2)])
    assert [cell.name for cell in two.cells] == ["rate 0.5, turns 1", "rate 2, turns 2"]
    named = Study([few(0.5), replace(few(0.5), data=("shipped", "shipped"))])
    assert [cell.name for cell in named.cells] == ["data shipped", "data shipped+shipped"]


def test_two_that_are_alike_are_an_error() -> None:
    with pytest.raises(StudyError, match="could not tell them apart"):
        Study([few(0.5), few(0.5)])
    with pytest.raises(StudyError, match="could not tell them apart"):
        Study(few(0.5), slots=[2, 2])


def test_bidders_by_number_are_an_axis() -> None:
    study = Study(few(2.0), bidders={1.0: alike, 10.0: "differing"}, slots=[1, None])
    assert [dict(cell.axes) for cell in study.cells] == [
        {"bidders": 1.0, "slots": 1},
        {"bidders": 1.0, "slots": None},
        {"bidders": 10.0, "slots": 1},
        {"bidders": 10.0, "slots": None},
    ]


def test_lines_stand_along_numbers_and_shares_are_in_per_cent(result: StudyResult) -> None:
    plot = result.plot("hit_rate")
    assert {trace.type for trace in plot.data} == {"scatter"} and list(plot.data[0].x) == [0.5, 2.0]
    assert plot.data[0].y[0] == pytest.approx(100 * result.mean("cache-aware", "hit_rate", "rate 0.5"))
    assert plot.layout.yaxis.title.text == "KV hit, %"


def test_bars_stand_beside_each_other_along_names(result: StudyResult) -> None:
    runs = tuple(replace(run, axes={"workload": f"shipped, {run.axes['rate']:g}/s"}) for run in result.runs)
    plot = replace(result, runs=runs).plot("welfare")
    assert {trace.type for trace in plot.data} == {"bar"}
    assert list(plot.data[0].x) == ["shipped,<br>0.5/s", "shipped,<br>2/s"]


def test_a_second_axis_makes_lines_of_its_own(result: StudyResult) -> None:
    runs = tuple(
        replace(run, cell=f"{run.cell}, slots {slots}", axes={**run.axes, "slots": slots})
        for slots in ("1", "all")
        for run in result.runs
    )
    names = [trace.name for trace in replace(result, runs=runs).plot("welfare").data]
    assert names == ["cache-aware, slots 1", "cache-aware, slots all", "random, slots 1", "random, slots all"]


def test_a_notebook_shows_tables_and_how_it_was_made(result: StudyResult) -> None:
    page = result._repr_html_()
    for said in ("rate 0.5, 2 seeds", "cache-aware gains over it", "<details>", result.made.version, "SHA-256"):
        assert said in page


def test_whatever_comes_from_names_is_escaped(hostile: StudyResult, tmp_path: Path) -> None:
    assert "<img" not in hostile._repr_html_()
    page = hostile.report(tmp_path / "report.html").read_text(encoding="utf-8")
    ours = page[: page.index("<script>")]
    assert "<img" not in ours and ours.count("&lt;img") > 8
    data = page[page.index('id="figures"') :]
    assert "<img" not in data[: data.index("</script>")]


def test_the_page_has_plotly_and_its_title_once(result: StudyResult, tmp_path: Path) -> None:
    page = result.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<script>/**\n* plotly.js") == 1
    ours = page[: page.index("<script>")]
    assert re.findall("<title>(.*?)</title>|<h1>(.*?)</h1>", ours) == [("rates: IEMAS study", ""), ("", "rates")]
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_a_command_is_told_as_it_is_typed() -> None:
    assert _command(["/x/bin/iemas", "study", "my file.toml"]) == "iemas study 'my file.toml'"
    assert _command(["/x/ipykernel_launcher.py", "-f", "/tmp/kernel.json"]) == "a notebook"
    assert {_command([]), _command([""]), _command(["-c"]), _command(["-"])} == {"python"}
    assert made_here().as_dict()["seeds"] == []
