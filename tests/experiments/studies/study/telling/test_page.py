"""The page of a study: one file, nothing from elsewhere, whatever things are called."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

from tests.experiments.studies.study.made import result, score

HOSTILE = "<script>alert(1)</script>&\"'</style>"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def page(tmp_path: Path, name: str = "a study", policy: str = "hero") -> str:
    cells = {f"{name} 1": {name: 1.0}, f"{name} 2": {name: 2.0}}
    scores = {(cell, each): [score(1.0), score(2.0)] for cell in cells for each in (policy, "rival")}
    found = result(
        scores, cells, name=name, described={name: name}, audits=({"subject": name, "findings": [{"property": name}]},)
    )
    return found.report(tmp_path / "folder" / "report.html").read_text()


def test_names_are_text_wherever_they_stand(tmp_path: Path) -> None:
    plain, hostile = page(tmp_path), page(tmp_path, HOSTILE, HOSTILE)
    one, other = Tags(), Tags()
    one.feed(plain)
    other.feed(hostile)
    assert other.tags == one.tags
    outside = re.sub(r"<script>/\*.*?</script>", "", hostile, flags=re.DOTALL)
    assert "<script>alert" not in outside


def test_plots_are_json_with_names_that_plotly_takes_for_text(tmp_path: Path) -> None:
    [figures] = re.findall(r'id="figures">(.*?)</script>', page(tmp_path, policy=HOSTILE), re.DOTALL)
    read = json.loads(figures)
    names = {trace.get("name") for figure in read.values() for trace in figure["data"]}
    assert names == {"&lt;script&gt;alert(1)&lt;/script&gt;&amp;\"'&lt;/style&gt;", "rival"}
    assert set(read) == {f"plot-{name}" for name in ("welfare", "gain", "quality", "hit_rate", "wait_median", "cost")}


def test_the_page_asks_nobody_for_anything(tmp_path: Path) -> None:
    found = Tags()
    found.feed(page(tmp_path))
    assert [tag for tag, attributes in found.tags if {"src", "href"} & set(attributes)] == []
    [policy] = [attributes["content"] for tag, attributes in found.tags if attributes.get("http-equiv")]
    assert policy is not None and policy.startswith("default-src 'none';") and "http" not in policy
    assert list((tmp_path / "folder").iterdir()) == [tmp_path / "folder" / "report.html"]


def test_a_loss_of_the_auctioneer_is_told_first(tmp_path: Path) -> None:
    found = result({("c", "hero"): [score(1.0, surplus=-5.0, charges=3.0)], ("c", "rival"): [score(1.0)]})
    text = found.report(tmp_path / "r.html").read_text()
    assert "The auctioneer loses</strong>" in text and "hero in c, −5 credits" in text
    alone = result({("c", "hero"): [score(1.0)]}).report(tmp_path / "one.html").read_text()
    assert "auctioneer loses" not in alone and "plot-gain" not in alone
    assert "No policy of this study runs a mechanism." in alone
