"""Results of studies: figures by hand, differences in pairs, files, plots, and what changed from one to another."""

import json
from math import inf, isnan
from pathlib import Path

import numpy as np
import pytest

from experiments.errors import StudyError
from experiments.studies.study.telling.diff import diff
from experiments.studies.study.telling.result import StudyResult
from experiments.studies.study.telling.tables import starred, written
from tests.experiments.studies.study.made import NAN, result, score

#: Two cells; in the first the hero wins each conversation by one, in the second it wins one seed and loses the other.
TWO = {
    ("rate 1", "hero"): [score(2.0, 3.0), score(4.0, 5.0)],
    ("rate 1", "rival"): [score(1.0, 2.0), score(3.0, 4.0)],
    ("rate 2", "hero"): [score(9.0, 0.0), score(0.0, 1.0)],
    ("rate 2", "rival"): [score(0.0, 1.0), score(9.0, 0.0)],
}
AXES = {"rate 1": {"rate": 1.0}, "rate 2": {"rate": 2.0}}


def made(**changed: object) -> StudyResult:
    return result(TWO, AXES, **changed)  # type: ignore[arg-type]


def test_a_frame_has_a_row_a_run_and_the_axes_as_numbers() -> None:
    frame = made(figures={"tokens": 7.0}).frame()
    assert frame.shape[0] == 8 and frame["rate"].to_list() == [1.0] * 4 + [2.0] * 4
    assert frame["welfare"].to_list() == [5.0, 9.0, 3.0, 7.0, 9.0, 1.0, 1.0, 9.0]
    assert frame["policy"].to_list()[:4] == ["hero", "hero", "rival", "rival"] and set(frame["tokens"]) == {7.0}
    assert frame["seed"].to_list() == [0, 1] * 4


def test_an_axis_of_numbers_and_of_no_number_is_a_column() -> None:
    cells = {"slots 2": {"slots": 2}, "slots all": {"slots": None}}
    frame = result({(cell, "hero"): [score(1.0)] for cell in cells}, cells).frame()
    assert frame["slots"].to_list() == [2, None]


def test_a_gain_is_paired_and_a_share_of_the_others() -> None:
    gain = made().gain("rival", cell="rate 1")
    # 14 against 10; each conversation by one, so that every resample gains four.
    assert (gain.share, gain.wins, gain.seeds) == (pytest.approx(0.4), 2, 2)
    assert gain.low == gain.high == pytest.approx(0.4)
    other = made().gain("hero", of="rival", cell="rate 1")
    assert other.share == pytest.approx(-4 / 14) and other.wins == 0
    judged = made(delay="last-token").gain("rival", cell="rate 1")
    assert judged.share == pytest.approx(0.4) and made(delay="last-token").mean("hero", "welfare", "rate 1") == 3.5


def test_a_star_stands_only_where_the_interval_clears_zero() -> None:
    found = made()
    assert starred(found, "rival", "rate 1").startswith("* +40.0 %")
    unsure = found.gain("rival", cell="rate 2")
    assert unsure.low < 0 < unsure.high and starred(found, "rival", "rate 2").startswith("  +0.0 %")
    worse = result({("c", "hero"): [score(1.0), score(1.0)], ("c", "rival"): [score(2.0), score(2.0)]})
    assert starred(worse, "rival", "c").startswith("* -50.0 %")
    nothing = result({("c", "hero"): [score(1.0)], ("c", "rival"): [score(0.0)]})
    assert starred(nothing, "rival", "c").startswith("  ")


def test_an_interval_is_the_bootstrap_of_the_mean() -> None:
    seeds = [score(float(k)) for k in range(10)]
    found = result({("c", "hero"): seeds})
    low, high = found.interval("hero", "welfare")
    # The mean of ten of 0..9 has a standard deviation of 2.87 / sqrt(10) = .91.
    assert low == pytest.approx(4.5 - 1.96 * 0.908, abs=0.2) and high == pytest.approx(4.5 + 1.96 * 0.908, abs=0.2)
    assert found.mean("hero", "welfare") == 4.5
    assert all(map(isnan, result({("c", "hero"): [score(1.0)]}).interval("hero", "welfare")))
    assert all(map(isnan, found.interval("hero", "latency_nmae")))


def test_a_summary_has_a_row_a_cell_and_policy() -> None:
    rows = made().summary()
    assert rows.shape[0] == 4 and rows["rate"].to_list() == [1.0, 1.0, 2.0, 2.0]
    assert rows["gain_over_it"].to_list()[0] is None and rows["gain_over_it"].to_list()[1] == pytest.approx(0.4)
    assert rows["seeds_won"].to_list() == [None, 2, None, 1]


def test_what_is_asked_wrong_is_told_with_what_there_is() -> None:
    found = made()
    for ask, said in (
        (lambda: found.mean("hero", "welfare"), "name a cell; there are: rate 1; rate 2"),
        (lambda: found.mean("nobody", "welfare", "rate 1"), "no run of 'nobody' in 'rate 1'; there are: hero, rival"),
        (lambda: found.mean("hero", "beauty", "rate 1"), "no figure 'beauty'; there are: welfare, "),
        (lambda: found.plot("beauty"), "no figure 'beauty'"),
        (lambda: found.plot(x="colour"), "no axis 'colour'; this study varies rate"),
        (lambda: result({("c", "hero"): [score(1.0)]}).plot("gain"), "one policy gains over nobody"),
    ):
        with pytest.raises(StudyError, match=said):
            ask()


def test_a_saved_result_is_the_same_when_it_is_read(tmp_path: Path) -> None:
    found = made(figures={"odd": NAN, "endless": inf, "less": -inf, "some": 1.5}, audits=({"subject": "vcg"},))
    path = found.save(tmp_path / "folder" / "result.json")
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    again = StudyResult.load(path)
    assert repr(again.as_dict()) == repr(found.as_dict()) and again.made == found.made
    assert isnan(again.runs[0].score.latency_nmae) and isnan(again.runs[0].played.figures["odd"])
    assert again.runs[0].played.figures["endless"] == inf and again.runs[0].played.figures["less"] == -inf
    assert again.frame().equals(found.frame(), null_equal=True) and again.runs[0].score.welfare == (2.0, 3.0)
    assert list(tmp_path.rglob(".*")) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("nothing", "is no result of a study"),
        ("[1]", "is no result of a study"),
        ("{}", "it says no format"),
        ('{"format": "iemas-study/0", "runs": 3}', "is of format 'iemas-study/0'; this version reads iemas-study/1"),
        ('{"format": "iemas-study/1", "runs": []}', "it lacks 'made'"),
    ],
)
def test_what_is_no_result_is_refused_by_name(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(StudyError, match=rf"r\.json .*{said}|r\.json {said}"):
        StudyResult.load(tmp_path / "r.json")
    with pytest.raises(StudyError, match="cannot be read"):
        StudyResult.load(tmp_path / "elsewhere.json")


def test_a_result_of_an_older_score_is_refused(tmp_path: Path) -> None:
    row = made().as_dict()
    del row["runs"][0]["run"]["score"]["worth"]
    (tmp_path / "r.json").write_text(json.dumps(row))
    with pytest.raises(StudyError, match=r"is no result of a study .*worth"):
        StudyResult.load(tmp_path / "r.json")


def test_tables_and_notebooks_show_all_cells() -> None:
    found = made()
    text = written(found, 200)
    assert "a study: rate 1, 2 seeds" in text and "a study: rate 2" in text and "* +40.0 %" in text
    assert text.count("traffic: talks") == 1 and "-" in text
    html = found._repr_html_()
    assert html.count("<table") == 2 and "traffic: talks" in html
    assert repr(found) == "<study a study: 2 cells, 2 policies, 2 seeds>" and str(found) == found.table()


def test_plots_are_bars_or_lines_along_numbers() -> None:
    bars = result({("c", "hero"): [score(1.0), score(3.0)], ("c", "rival"): [score(1.0), score(1.0)]}).plot()
    assert list(bars.data[0].x) == [2.0, 1.0] and list(bars.data[0].y) == ["hero", "rival"]
    lines = made().plot("welfare")
    assert [(one.name, list(one.x), list(one.y)) for one in lines.data] == [
        ("hero", [1.0, 2.0], [7.0, 5.0]),
        ("rival", [1.0, 2.0], [5.0, 5.0]),
    ]
    [gain] = made().plot("gain").data
    assert gain.name == "rival" and gain.y[0] == pytest.approx(40)


def test_what_else_varies_has_lines_of_its_own() -> None:
    axes = {f"rate {rate}, slots {slots}": {"rate": rate, "slots": slots} for rate in (1, 2) for slots in (2, None)}
    found = result({(cell, "hero"): [score(float(k))] for k, cell in enumerate(axes)}, axes)
    lines = found.plot(x="rate").data
    assert [(one.name, list(one.x), list(one.y)) for one in lines] == [
        ("hero, slots 2", [1, 2], [0.0, 2.0]),
        ("hero, slots all", [1, 2], [1.0, 3.0]),
    ]
    assert list(found.plot(x="slots").data[0].x) == ["2", "all"]


def test_a_diff_is_paired_by_seed_and_says_what_else_changed() -> None:
    before, after = made(), made(described={"traffic": "others"})
    same = diff(before, after)
    assert all(one.alike and one.gain.share == 0 for one in same.changed) and len(same.changed) == 4
    assert same.gone == same.new == () and same.made == (("traffic", "talks", "others"),)
    more = {**TWO, ("rate 1", "hero"): [score(4.0, 6.0), score(8.0, 10.0)], ("rate 3", "new"): [score(1.0)]}
    del more["rate 2", "rival"]
    found = diff(before, result(more, AXES))
    [hero] = [one for one in found.changed if (one.cell, one.policy) == ("rate 1", "hero")]
    assert not hero.alike and hero.gain.share == pytest.approx(1.0) and hero.gain.wins == 2
    assert found.gone == (("rate 2", "rival"),) and found.new == (("rate 3", "new"),)


def test_a_diff_of_different_traffic_or_of_nothing_is_refused() -> None:
    other = result({("rate 1", "hero"): [score(1.0, 1.0, worth=(5.0, 6.0))]})
    with pytest.raises(StudyError, match="rate 1: the same seeds drew other conversations"):
        diff(made(), other)
    with pytest.raises(StudyError, match="no cell, policy and seed in common"):
        diff(made(), result({("elsewhere", "hero"): [score(1.0)]}))


def test_a_diff_judges_both_by_the_same_waits() -> None:
    found = diff(made(), made(delay="last-token"))
    assert all(one.alike for one in found.changed) and ("waits", "first-token", "last-token") in found.made
    assert np.isfinite([one.gain.share for one in found.changed]).all()
