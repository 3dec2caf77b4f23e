"""Claims: what counts as a figure, and that no figure stands on a page that nobody answers for."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.errors import StudyError
from experiments.studies.claims import checking, registry
from experiments.studies.claims.pages import ROOT, figures, pages, sections
from experiments.studies.findings.exhibits.exhibit import Interval
from experiments.studies.findings.exhibits.pictured import draw
from tests.experiments.studies.findings.exhibits.test_exhibit import exhibit

PAGE = """# One

It takes 1,234 credits, or .5 of them, in 3 s (`iemas one`).

## Two

No figure: two agents, Vitter 1985, arXiv:2603.17302, version 0.32.0, `9.99`, [a page](x1.5.md).

```
iemas two --json      # 77.7
```

## Three

| a | b |
|---|---|
| 1.5 | 80.2 % |
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(PAGE)
    return tmp_path


def registered(root: Path) -> registry.Registry:
    file = root / "claims.toml"
    file.write_text("")
    checking.update(registry.read(file), "README.md", root, file)
    return registry.read(file)


def test_figures_are_what_may_have_been_measured(root: Path) -> None:
    found = sections(root / "README.md", root)
    assert [(one.title, one.figures) for one in found] == [
        ("One", ("1,234", ".5", "3")),
        ("Two", ()),
        ("Three", ("1.5", "80.2")),
    ]
    assert found[0].commands == ("iemas one",) and found[1].commands == ("iemas two --json",)
    assert figures("-9 to +1.6 %, 4 of 12, 65,624 and 40000") == ("+1.6", "65,624", "40000")


def test_a_figure_changed_by_hand_is_found_and_so_is_one_that_is_new(root: Path) -> None:
    kept = registered(root)
    [unsaid] = checking.check(kept, root=root).faults
    assert "'Three'" in unsaid and "say the command" in unsaid
    page = root / "README.md"
    page.write_text(PAGE.replace("1,234", "1,235") + "\n## Four\n\nIt wins by 12 %.\n")
    faults = checking.check(kept, root=root).faults
    assert any("'One'" in one and "not those registered" in one and "iemas one" in one for one in faults)
    assert any("'Four'" in one and "no claim covers" in one for one in faults)
    page.write_text(PAGE.replace("## Three", "## Third"))
    assert any("'Three'" in one and "no section" in one for one in checking.check(kept, root=root).faults)


def test_words_around_figures_may_change(root: Path) -> None:
    kept = registered(root)
    before = len(checking.check(kept, root=root).faults)
    (root / "README.md").write_text(PAGE.replace("It takes", "All of it takes"))
    assert len(checking.check(kept, root=root).faults) == before


def test_pages_without_a_figure_are_no_pass(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# Nothing\n")
    assert checking.check(registry.Registry((), ()), root=tmp_path).faults == (
        "no page has a figure: nothing was checked",
    )


def value(**changed: object) -> registry.Value:
    given: dict[str, object] = {
        "page": "README.md", "text": "1,234", "command": "iemas one --json", "at": "rows/name=b/cases",
    }  # fmt: skip
    return registry.Value(**{**given, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cases", "changed", "fine"),
    [
        (1234, {}, True),
        (1235, {}, False),
        (1235, {"tolerance": 0.001}, True),
        (0.5004, {"text": ".5"}, True),
        (0.56, {"text": ".5"}, False),
        (1234, {"at": "rows/0/cases"}, False),
        (1234, {"at": "rows/name=c/cases"}, False),
    ],
)
def test_a_value_is_what_its_command_prints_now(
    root: Path, monkeypatch: pytest.MonkeyPatch, cases: float, changed: dict[str, object], fine: bool
) -> None:
    printed = {"rows": [{"name": "a", "cases": 1}, {"name": "b", "cases": cases}]}
    monkeypatch.setattr(checking, "_printed", lambda command: printed)
    kept = registry.Registry(registered(root).sections, (value(**changed),))
    faults = [one for one in checking.check(kept, run=True, root=root).faults if "say the command" not in one]
    assert (faults == []) is fine, faults


def test_a_command_that_prints_nothing_is_a_fault_and_no_crash() -> None:
    with pytest.raises(StudyError, match="prints no JSON"):
        checking._printed("iemas data show /nowhere --json")
    with pytest.raises(StudyError, match="`iemas` commands alone"):
        checking._printed("rm -rf x")


def test_a_registry_is_read_as_it_is_written(root: Path) -> None:
    kept = registered(root)
    whole = registry.Registry(kept.sections, (value(text='a "b"', tolerance=0.5),))
    registry.write(whole, root / "claims.toml")
    assert registry.read(root / "claims.toml") == whole
    (root / "claims.toml").write_text("[[section]]\npage = 3\n")
    with pytest.raises(StudyError, match=r"claims.toml: section\.0\.page"):
        registry.read(root / "claims.toml")


SHOWN = """# One

It gains 2.0 [1.5, 2.5] credits, and loses 4 [3, 5].

![What somebody gains over nobody, and that it is more](docs/pictures/what.svg)

| who | gains | n |
|---|---|---|
| a | **2** | 1 |
| b | -4 [-5, -3] \\* | 3 |
"""


@pytest.fixture
def shown(root: Path) -> Path:
    """A page with a picture, which says its figures."""
    (root / "README.md").write_text(SHOWN)
    rows = (("a", 1, Interval(2.0, 1.5, 2.5)), ("b", 3, Interval(-4.0, -5.0, -3.0)))
    draw(exhibit(rows=rows), root / "docs" / "pictures" / "what.svg")
    return root


def pictured(root: Path) -> list[str]:
    """Faults of pictures, of a page that nobody answers for."""
    found = checking.check(registry.Registry((), ()), root=root).faults
    return [one for one in found if "no claim covers" not in one]


def test_a_picture_that_is_drawn_from_what_the_page_says_is_no_fault(shown: Path) -> None:
    assert pictured(shown) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "2.0 [1.5, 2.5]",
            "2.0 [1.4, 2.5]",
            r"'2.0 [1.4, 2.5]' is no figure of its pictures (what; nearest: 2 [1.5, 2.5])",
        ),
        ("| **2** |", "| **2.1** |", "'2.1' is no figure of its pictures (what; nearest: 2)"),
        ("-4 [-5, -3]", "-4 [-5, -2]", "'-4 [-5, -2]' is no figure"),
        ("| 3 |", "| 7 |", "'7' is no figure"),
        ("![What somebody gains over nobody, and that it is more]", "![plot]", "say in its brackets what it shows"),
        ("what.svg", "other.svg", "docs/pictures/other.svg or the figures beside it are missing"),
    ],
)
def test_a_page_that_says_what_its_picture_does_not_is_found(shown: Path, before: str, after: str, said: str) -> None:
    (shown / "README.md").write_text(SHOWN.replace(before, after))
    [fault] = pictured(shown)
    assert said in fault


def test_a_picture_of_other_figures_than_lie_beside_it_is_found_and_drawn_again(shown: Path) -> None:
    picture = shown / "docs" / "pictures" / "what.svg"
    good = picture.read_bytes()
    picture.write_bytes(good.replace(b">a<", b">A<"))
    [fault] = pictured(shown)
    assert "docs/pictures/what.svg is not what what.json draws; `iemas claims update README.md`" in fault
    said = checking.update(registry.Registry((), ()), "README.md", shown, shown / "claims.toml")
    assert "docs/pictures/what.svg: drawn again" in said
    assert picture.read_bytes() == good
    picture.with_suffix(".json").write_text("{}")
    assert any("no exhibit" in one for one in pictured(shown))


def test_every_finding_has_a_picture_that_is_small_and_of_use() -> None:
    there = [one for page in pages() for one in sections(page)]
    findings = [one for one in there if one.page == "docs/findings.md" and "\n|---" in one.text]
    assert len(findings) >= 7 and [one.title for one in findings if not one.images] == []
    used = {ROOT / place for one in there for _, place in one.images}
    files = set((ROOT / "docs" / "pictures").iterdir())
    assert files == used | {path.with_suffix(".json") for path in used}
    for path in used:
        assert ElementTree.fromstring(path.read_text()).tag == "{http://www.w3.org/2000/svg}svg"
        assert path.stat().st_size < 30_000


def test_every_figure_of_readme_and_docs_is_somebodys() -> None:
    found = CliRunner().invoke(app, ["claims", "check"])
    assert found.exit_code == 0, found.output
