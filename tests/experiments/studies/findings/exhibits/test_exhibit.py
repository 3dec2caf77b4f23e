"""Exhibits: what they refuse, and that nothing is lost on the way to a file and back."""

import json
from math import isnan, nan
from pathlib import Path

import pytest

from experiments.errors import StudyError
from experiments.results.made import made_here
from experiments.studies.findings.exhibits.exhibit import Exhibit, Interval, interval

ROWS = (("a", 1, Interval(2.0, 1.5, 2.5)), ("b", 3, Interval(4.0, nan, nan)), ("b", 5, None))


def exhibit(**changed: object) -> Exhibit:
    given: dict[str, object] = {
        "name": "what",
        "question": "What is <it>?",
        "columns": ("who", "n", "value, credits"),
        "rows": ROWS,
        "notes": ("simulated",),
        "made": made_here(),
        "x": "n",
        "y": "value, credits",
        "by": "who",
    }
    return Exhibit(**{**given, **changed})  # type: ignore[arg-type]


def test_an_exhibit_is_plain_json_and_back() -> None:
    once = exhibit(more=(exhibit(name="more", x="", y="", by=""),))
    again = Exhibit.from_dict(json.loads(json.dumps(once.as_dict(), allow_nan=False)))
    assert again.as_dict() == once.as_dict()
    held = again.rows[1][2]
    assert isinstance(held, Interval) and held.mean == 4.0 and isnan(held.low)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rows": ()}, "without a row"),
        ({"rows": (("a", 1),)}, "2 values for 3 columns"),
        ({"y": "worth"}, "no column 'worth'"),
    ],
)
def test_what_shows_nothing_is_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        exhibit(**changed)
    with pytest.raises(StudyError, match="no exhibit"):
        Exhibit.from_dict({"format": "iemas-exhibit/1"})


def test_a_file_that_is_no_exhibit_is_said_to_be_none(tmp_path: Path) -> None:
    path = exhibit().save(tmp_path / "x.json")
    assert Exhibit.load(path).as_dict() == exhibit(made=Exhibit.load(path).made).as_dict()
    path.write_text("[")
    with pytest.raises(StudyError, match=r"x\.json is no exhibit"):
        Exhibit.load(path)
    path.write_text("[]")
    with pytest.raises(StudyError, match="no exhibit"):
        Exhibit.load(path)
    with pytest.raises(StudyError, match=r"none\.json cannot be read"):
        Exhibit.load(tmp_path / "none.json")


def test_tables_have_every_row_and_the_interval_beside_its_mean() -> None:
    made = exhibit()
    text = made.table(120)
    assert text.count("\n b") == 2 and "2 [1.5, 2.5]" in text
    assert "| b | 5 | - |" in made.markdown()
    assert "&lt;it&gt;" in made._repr_html_()
    frame = made.frame()
    assert frame["value, credits low"].to_list()[0] == 1.5
    assert len(made.plot().data) == 2


def test_a_report_is_one_page_with_a_plot_for_each_table_that_has_one(tmp_path: Path) -> None:
    page = exhibit(more=(exhibit(name="more", x="", y="", by=""),)).report(tmp_path / "r.html").read_text()
    assert page.count('class="plot"') == 1 and "What is &lt;it&gt;?" in page and "<it>" not in page
    assert [one.name for one in tmp_path.iterdir()] == ["r.html"]


def test_an_interval_is_of_the_mean_and_one_value_has_none() -> None:
    found = interval([1.0, 2.0, 3.0, 4.0])
    assert found.mean == 2.5 and 1.0 < found.low < 2.5 < found.high < 4.0
    assert isnan(interval([1.0]).low) and isnan(interval([]).mean)
