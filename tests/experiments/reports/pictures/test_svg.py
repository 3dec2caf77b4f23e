"""Pictures as files: the same bytes again, legible on both grounds, and dots where their numbers are."""

import re
from math import inf, nan
from xml.etree import ElementTree

import numpy as np
import pytest

from experiments.errors import StudyError
from experiments.reports.pictures import Block, Dot, Panel, Picture, Row, to_svg
from experiments.reports.pictures.svg import COLOURS, DARK, LIGHT
from tests.experiments.reports.test_palette import _EYES, _XYZ, lab, linear

SPACE = "{http://www.w3.org/2000/svg}"


def block(*dots: Dot | None, **changed: object) -> Block:
    """One panel with a line at zero, one row a dot."""
    rows = tuple(Row(f"row {k}", ((dot,),)) for k, dot in enumerate(dots))
    given: dict[str, object] = {"panels": (Panel("gain", "%", 0.0),), "rows": rows}
    return Block(**{**given, **changed})  # type: ignore[arg-type]


def drawn(*blocks: Block, **changed: str) -> ElementTree.Element:
    return ElementTree.fromstring(to_svg(Picture(**{"title": "What?", "blocks": blocks, **changed})))  # type: ignore[arg-type]


def paths(root: ElementTree.Element, looks: str) -> list[str]:
    found = [one for one in root.iter(f"{SPACE}path") if looks in one.attrib["class"].split()]
    return [one.attrib["d"] for one in found]


def texts(root: ElementTree.Element) -> list[str]:
    return [one.text or "" for one in root.iter(f"{SPACE}text")]


def test_the_same_numbers_are_the_same_bytes() -> None:
    one = Picture("What?", (block(Dot(1.0, 0.5, 1.5), Dot(-2.0, -3.0, -1.0)),), "so it was")
    assert to_svg(one) == to_svg(one)
    assert to_svg(one) != to_svg(Picture("What?", (block(Dot(1.1, 0.5, 1.5), Dot(-2.0, -3.0, -1.0)),), "so it was"))


def test_dots_and_intervals_lie_where_the_axis_says() -> None:
    root = drawn(block(Dot(20.0, 10.0, 40.0), Dot(-10.0, -20.0, 0.0)))
    ticks = {
        float(text.text.replace("−", "-")): float(text.attrib["x"])
        for text in root.iter(f"{SPACE}text")
        if text.attrib.get("class", "").endswith("m") and text.text
    }
    (low, x_low), (high, x_high) = min(ticks.items()), max(ticks.items())

    def place(value: float) -> float:
        return x_low + (value - low) / (high - low) * (x_high - x_low)

    ends = [tuple(map(float, re.findall(r"M([\d.]+) .*H([\d.]+)", path)[0])) for path in paths(root, "w")]
    assert ends == [
        pytest.approx((place(10), place(40)), abs=0.2),
        pytest.approx((place(-20), place(0)), abs=0.2),
    ]
    circles = [float(path[1:].split()[0]) + 4.0 for path in paths(root, "c0") if "a4" in path]
    assert circles == pytest.approx([place(20), place(-10)], abs=0.2)
    [zero] = paths(root, "z")
    assert float(zero[1:].split()[0]) == pytest.approx(place(0), abs=0.2)


def test_a_dot_is_hollow_where_its_interval_does_not_leave_out_the_line() -> None:
    root = drawn(block(Dot(1.0, 0.5, 1.5), Dot(1.0, -0.5, 1.5), Dot(-1.0, -2.0, -0.5), Dot(1.0), None))
    assert (len(paths(root, "f")), len(paths(root, "h")), len(paths(root, "w"))) == (3, 1, 3)
    plain = drawn(block(Dot(1.0, -0.5, 1.5), panels=(Panel("level"),)))
    assert (len(paths(plain, "f")), len(paths(plain, "h")), len(paths(plain, "z"))) == (1, 0, 0)


def test_what_is_written_is_text_and_stays_in_the_picture() -> None:
    row = Row("a <b> & c, " + "very " * 30, ((Dot(1234.5),),), "group " * 20)
    root = drawn(Block((Panel("T<i>tle " * 9, "µ" * 12),), (row,)), note="n & m " * 60)
    said = texts(root)
    assert any(one.startswith("a <b> & c, very") and one.endswith("…") for one in said)
    assert "1,235" in said or "1,234" in said
    *_, wide, tall = map(float, root.attrib["viewBox"].split())
    assert all(0 <= float(one.attrib["x"]) <= wide for one in root.iter(f"{SPACE}text"))
    assert all(0 <= float(one.attrib["y"]) <= tall for one in root.iter(f"{SPACE}text"))


def test_several_series_have_a_key_and_one_has_its_numbers() -> None:
    rows = (Row("r", ((Dot(1.0), Dot(2.0)),)),)
    several = drawn(Block((Panel("p"),), rows, ("ours", "theirs")), Block((Panel("q"),), rows, ("ours", "theirs")))
    assert texts(several).count("ours") == texts(several).count("theirs") == 1
    assert len(paths(several, "c1")) == 3
    assert "+7.5" in texts(drawn(block(Dot(7.5, 7.0, 8.0))))


def test_blocks_that_share_a_scale_have_one() -> None:
    panels = (Panel("p"), Panel("q"))
    rows = tuple(Row("r", ((Dot(value),), (Dot(2 * value),))) for value in (10.0, 400.0))
    apart = drawn(*(Block(panels, (row,)) for row in rows))
    shared = drawn(*(Block(panels, (row,), shared=True) for row in rows))
    assert texts(shared).count("800") >= 4 > texts(apart).count("800")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: block(), "shows nothing"),
        (lambda: block(Dot(1.0), series=tuple("abcde")), "5 series"),
        (lambda: block(Dot(1.0), series=("a", "b")), r"row 'row 0' has \[1\] dots; expected 2"),
        (lambda: block(Dot(0.0), panels=(Panel("time", log=True),)), "time: 0 has no logarithm"),
        (lambda: block(Dot(nan)), "gain: nan cannot be drawn"),
        (lambda: block(Dot(1.0, -inf, 2.0)), "gain: -inf cannot be drawn"),
    ],
)
def test_what_cannot_be_drawn_is_refused(made: object, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        made()  # type: ignore[operator]


def test_letters_and_marks_stand_out_from_both_grounds_for_every_eye() -> None:
    def light(colour: str) -> float:
        return float(linear(colour) @ _XYZ[1]) + 0.05

    def contrast(one: str, other: str) -> float:
        return max(light(one), light(other)) / min(light(one), light(other))

    for ground, ink, quiet, _ in (LIGHT, DARK):
        assert contrast(ink, ground) >= 7 and contrast(quiet, ground) >= 4.5
        assert min(contrast(mark, ground) for mark in COLOURS) >= 3
    seen = lab(np.einsum("eij,pj->epi", _EYES, np.array([linear(mark) for mark in COLOURS])))
    apart = np.linalg.norm(seen[:, :, None] - seen[:, None], axis=-1).min(axis=0)
    assert apart[~np.eye(len(COLOURS), dtype=bool)].min() >= 27
    text = to_svg(Picture("What?", (block(Dot(1.0)),)))
    assert "prefers-color-scheme:dark" in text and all(colour in text for colour in (*LIGHT, *DARK, *COLOURS))
