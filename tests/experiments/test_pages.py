"""The pages of docs/ say what the code does: their code runs, their verdicts come out of a fresh audit."""

import doctest
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from experiments.studies.paper_verdicts import verdicts

pytestmark = pytest.mark.usefixtures("replayed_here")

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_the_page_on_writing_a_rule_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, question = blocks("writing-a-rule.md", "python")
    [answer] = blocks("writing-a-rule.md", "text")
    assert len(rule.strip().splitlines()) <= 15
    (tmp_path / "my_rules.py").write_text(rule)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(question, "writing-a-rule.md", "exec"), {})
    assert printed.getvalue() == answer
    [session] = blocks("writing-a-rule.md", "pycon")
    examples = doctest.DocTestParser().get_doctest(session, {}, "writing-a-rule.md", None, 0)
    assert doctest.DocTestRunner().run(examples) == (0, 3)


def test_the_page_on_large_sweeps_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auction, question = blocks("large-sweeps.md", "python")
    [answer] = blocks("large-sweeps.md", "text")
    (tmp_path / "my_auction.py").write_text(auction)
    monkeypatch.syspath_prepend(tmp_path)
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(question, "large-sweeps.md", "exec"), {})
    assert printed.getvalue() == answer


def test_the_page_on_ties_prints_what_it_says() -> None:
    question, [answer] = blocks("ties.md", "python")[0], blocks("ties.md", "text")
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(question, "ties.md", "exec"), {})
    assert printed.getvalue() == answer


def test_the_page_on_what_comes_after_audits_prints_what_it_says() -> None:
    names: dict[str, object] = {}
    for question, answer in zip(blocks("beyond-audits.md", "python"), blocks("beyond-audits.md", "text"), strict=True):
        printed = StringIO()
        with redirect_stdout(printed):
            exec(compile(question, "beyond-audits.md", "exec"), names)
        assert printed.getvalue() == answer


def test_the_published_rules_verdicts_are_those_of_a_fresh_audit() -> None:
    fresh = verdicts()
    assert fresh.count("REFUTED") == 4 and fresh.count("VERIFIED") == 4
    assert fresh in (DOCS / "paper-router.md").read_text(), (
        "paste what `python -m experiments.studies.paper_verdicts` prints"
    )
