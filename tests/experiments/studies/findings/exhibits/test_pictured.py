"""Pictures of exhibits: the figures of the table and no others, in a file that is whole and the same again."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from math import nan
from pathlib import Path
from xml.etree import ElementTree

import pytest

from experiments.answers.loading import SHIPPED as ANSWERS
from experiments.data.loading import SHIPPED as DIALOGUES
from experiments.errors import StudyError
from experiments.reports.pictures import Dot
from experiments.studies.findings.exhibits.exhibit import Exhibit, Interval
from experiments.studies.findings.exhibits.of_study import exhibit_of, read_finished
from experiments.studies.findings.exhibits.pictured import draw, picture
from experiments.studies.findings.exhibits.views import VIEWS
from experiments.studies.study import Dialogues, Study
from experiments.studies.study.file import SHIPPED
from tests.experiments.studies.findings.exhibits.test_exhibit import exhibit
from tests.experiments.studies.study.made import result, score

PICTURES = Path(__file__).parents[5] / "docs" / "pictures"


def dots(shown: Exhibit) -> dict[tuple[str, str, str, str], Dot]:
    """By panel, group, row and series."""
    return {
        (panel.title, row.group, row.label, series): dot
        for block in picture(shown).blocks
        for k, panel in enumerate(block.panels)
        for row in block.rows
        for series, dot in zip(block.series, row.cells[k], strict=True)
        if dot is not None
    }


def test_any_table_has_a_panel_for_each_x_and_a_row_for_each_by() -> None:
    found = dots(exhibit())
    assert set(found) == {("n 1", "", "a", ""), ("n 3", "", "b", "")}
    assert found["n 1", "", "a", ""] == Dot(2.0, 1.5, 2.5)


def test_a_table_that_says_no_plot_has_a_panel_for_each_column_with_intervals() -> None:
    bare = exhibit(x="", y="", by="", rows=(("a", 1, Interval(2.0, -1.5, 2.5)), ("b", 3, Interval(nan, nan, nan))))
    [block] = picture(bare).blocks
    assert [(one.title, one.unit, one.line) for one in block.panels] == [("value", "credits", 0.0)]
    assert set(dots(bare)) == {("value", "", "a, 1", "")}


def test_a_study_that_shares_a_name_with_one_that_ships_is_drawn_as_any_other() -> None:
    assert set(dots(exhibit(name="measured"))) == set(dots(exhibit()))


def test_more_panels_than_stand_side_by_side_go_below_on_one_scale() -> None:
    many = exhibit(rows=tuple(("a", k, Interval(float(k), k - 0.5, k + 0.5)) for k in range(6)))
    blocks = picture(many).blocks
    assert [len(block.panels) for block in blocks] == [4, 2] and all(block.shared for block in blocks)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"x": "", "y": "", "by": "", "rows": (("a", 1, 2.0),)}, "what: 0 columns with intervals, 1 rows"),
        ({"x": "", "y": "", "by": "", "rows": ((("a", 1, Interval(1.0, 0.0, 2.0)),) * 61)}, "1 columns .*, 61 rows"),
        ({"rows": (("a", 1, 2.0), ("a", 1, 3.0))}, "what: two rows at one place"),
        (
            {
                "name": "strategic",
                "columns": ("rule and who deviates", "n", "rounds in which somebody gains, %"),
                "x": "",
                "y": "",
                "by": "",
                "rows": (("vcg, the moon", 1, 2.0),),
            },
            r"strategic: its picture has no place for the row \['vcg, the moon', 1\]",
        ),
    ],
)
def test_what_has_no_picture_is_refused_and_nothing_is_written(
    changed: Mapping[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match=said):
        draw(exhibit(**changed), tmp_path / "x.svg")
    assert not list(tmp_path.iterdir())


def test_a_picture_is_written_with_what_it_is_drawn_from(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"x\.png: pictures are SVG"):
        draw(exhibit(), tmp_path / "x.png")
    first = draw(exhibit(), tmp_path / "new" / "x.svg").read_bytes()
    assert sorted(one.name for one in (tmp_path / "new").iterdir()) == ["x.json", "x.svg"]
    again = Exhibit.load(tmp_path / "new" / "x.json")
    assert again.as_dict() == exhibit(made=again.made).as_dict()
    assert draw(again, tmp_path / "y.svg").read_bytes() == first
    # How and when it was made is beside the picture, not in it.
    later = replace(again, made=replace(again.made, at="later", commit="other"))
    assert draw(later, tmp_path / "z.svg").read_bytes() == first
    assert ElementTree.fromstring(first).tag.endswith("svg")


def test_a_studys_exhibit_has_the_figures_of_its_tables() -> None:
    scores = {
        (cell, policy): [score(base, base + 1), score(base + 2, base + 4)]
        for cell, start in (("rate 0.5", 10.0), ("rate 2", 30.0))
        for policy, base in (("iemas", start + 5), ("random", start))
    }
    found = result(scores, name="measured")
    made = exhibit_of(found)
    gain = found.gain("random", cell="rate 2")
    row = next(one for one in made.rows if one[:2] == ("random", "rate 2"))
    assert row[2:4] == (Interval(100 * gain.share, 100 * gain.low, 100 * gain.high), gain.wins)
    welfare = made.column("welfare, credits")[1]
    assert isinstance(welfare, Interval) and welfare.mean == found.mean("random", "welfare", "rate 0.5")
    assert dots(made) == {
        (".5 dialogues a second", "", "random", ""): Dot(
            *(100 * one for one in _three(found.gain("random", cell="rate 0.5")))
        ),
        ("2 dialogues a second", "", "random", ""): Dot(*(100 * one for one in _three(gain))),
    }
    # A study of somebody's own is drawn without a view of its own.
    assert {key[0] for key in dots(exhibit_of(replace(found, name="mine")))} == {"rate 0.5", "rate 2"}
    alone = {key: each for key, each in scores.items() if key[1] == "iemas"}
    assert set(dots(exhibit_of(result(alone, name="measured")))) == {
        ("rate 0.5", "", "iemas", ""),
        ("rate 2", "", "iemas", ""),
    }
    assert dots(exhibit_of(result(alone, name="mine")))["rate 2", "", "iemas", ""].mean == found.mean(
        "iemas", "welfare", "rate 2"
    )


def _three(gain: object) -> tuple[float, float, float]:
    return gain.share, gain.low, gain.high  # type: ignore[attr-defined]


def test_a_finished_study_is_read_from_its_folder_or_file(tmp_path: Path) -> None:
    exhibit().save(tmp_path / "a" / "exhibit.json")
    found = result({("all", "iemas"): [score(1.0), score(2.0)]})
    found.save(tmp_path / "b" / "result.json")
    for place in ("a", "a/exhibit.json"):
        assert isinstance(read_finished(tmp_path / place), Exhibit)
    for place in ("b", "b/result.json"):
        assert getattr(read_finished(tmp_path / place), "policies", None) == ("iemas",)
    (tmp_path / "c").mkdir()
    (tmp_path / "d.json").write_text("{}")
    (tmp_path / "e.json").write_text("[")
    for place, said in (
        ("c", "has 0 finished results"),
        ("none", "cannot be read"),
        ("d.json", "no result of a study"),
        ("e.json", "no result of a study"),
    ):
        with pytest.raises(StudyError, match=said):
            read_finished(tmp_path / place)


@pytest.mark.parametrize("file", sorted(PICTURES.glob("*.json")), ids=lambda file: file.stem)
def test_every_figure_that_is_drawn_is_the_exhibits(file: Path) -> None:
    shown = Exhibit.load(file)
    values = [value for table in (shown, *shown.more) for row in table.rows for value in row]
    there = {(one.mean, one.low, one.high) for one in values if isinstance(one, Interval)}
    there |= {(float(one), nan, nan) for one in values if isinstance(one, (int, float))}
    texts = {str(one) for one in there}
    found = dots(shown)
    assert len(found) >= 4 and all(str((dot.mean, dot.low, dot.high)) in texts for dot in found.values())
    assert shown.name == file.stem and json.loads(file.read_text())["made"]["command"].startswith(
        f"iemas study {file.stem}"
    )


def test_views_are_of_studies_that_there_are() -> None:
    from experiments.studies.findings.catalogue import QUESTIONS

    assert set(VIEWS) <= set(QUESTIONS) | {path.stem for path in SHIPPED.glob("*.toml")}


def test_what_lies_beside_pictures_names_no_place_of_a_machine() -> None:
    exhibits = sorted((Path(__file__).parents[5] / "docs" / "pictures").glob("*.json"))
    assert exhibits
    for path in exhibits:
        text = path.read_text(encoding="utf-8")
        assert not [place for place in ('"/', " /tmp/", " /home/") if place in text], path.name


def test_what_is_written_beside_a_picture_names_no_place_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data, tables and policies are given by absolute paths, and the picture itself too."""
    data, answers = tmp_path / "talks" / "mine.json", tmp_path / "talks" / "scores.jsonl"
    data.parent.mkdir()
    data.write_bytes(DIALOGUES.read_bytes())
    answers.write_bytes(ANSWERS.read_bytes())
    (tmp_path / "mine_drawn.py").write_text(
        "from experiments.routers.plain.spread import RoundRobin\n\n\nclass Mine(RoundRobin):\n    name = 'mine'\n"
    )
    policy, svg = f"{tmp_path}/mine_drawn.py:Mine", tmp_path / "pictures" / "x.svg"
    monkeypatch.setattr(sys, "argv", ["iemas", "study", str(tmp_path / "x.toml"), f"--picture={svg}"])
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    talks = [Dialogues((str(data),), rate=rate, dialogues=2, turns=1, answers=str(answers)) for rate in (1.0, 2.0)]
    found = Study(talks, [policy, "random"], seeds=1).run(workers=0)
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    assert found.made.sources["talks/mine.json"] == digest
    draw(exhibit_of(found), svg)
    text = svg.with_suffix(".json").read_text(encoding="utf-8")
    assert not [place for place in ('"/', " /tmp/", " /home/", str(tmp_path)) if place in text]
    assert str(tmp_path) not in svg.read_text(encoding="utf-8")
    made = Exhibit.load(svg.with_suffix(".json"))
    assert made.made.sources["talks/mine.json"] == digest and made.made.command == "iemas study x.toml --picture=x.svg"
    assert "mine_drawn.py:Mine" in made.column("policy") and "talks/scores.jsonl" in " ".join(made.notes)
    # What is said with a slash and is no path stays.
    said = exhibit(question="Costs /s, prices / and *, 0.5/s, https://example.org/a/b?")
    draw(said, svg)
    assert Exhibit.load(svg.with_suffix(".json")).question == said.question


def test_files_of_one_name_in_two_places_are_both_told() -> None:
    class Cut(Dialogues):
        @property
        def sources(self) -> tuple[tuple[str, str], ...]:
            return (("talks/mine.json", "ab" * 32 if self.rate == 1.0 else "cd" * 32),)

    few = [Cut(rate=rate, dialogues=1, turns=1) for rate in (1.0, 2.0)]
    made = Study(few, ["random"], seeds=1)._made()
    assert made.sources == {"talks/mine.json": "ab" * 32, "talks/mine.json (cdcdcdcd)": "cd" * 32}
