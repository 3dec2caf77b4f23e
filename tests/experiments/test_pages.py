"""The pages of docs/ say what the code does: their code runs, their verdicts come out of a fresh audit."""

import dataclasses
import doctest
import json
import re
import shlex
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.studies.paper_verdicts import verdicts
from experiments.studies.routing.comparison import LEARNED, PERSONAL
from experiments.studies.study import Dialogues, Mix, Questions, Trace
from experiments.studies.study.file import KEYS, read_study
from experiments.studies.study.running import pool
from experiments.traces.layouts.own import COLUMNS
from runtime.gateway.serving.receipts import Receipts
from tests.runtime.referees.test_menu import made

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


@pytest.mark.slow
def test_the_page_on_policies_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    router, question = blocks("policies.md", "python")
    [policy] = re.findall(r"class CheapEnough:\n.*?(?=\n\n\n)", router, re.DOTALL)
    assert len([line for line in policy.splitlines() if line.strip()]) <= 20
    (tmp_path / "my_router.py").write_text(router)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_router", raising=False)
    [session] = blocks("policies.md", "pycon")
    examples = doctest.DocTestParser().get_doctest(session, {}, "policies.md", None, 0)
    assert doctest.DocTestRunner().run(examples) == (0, 3)
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(question, "policies.md", "exec"), {"__name__": "__main__"})
    lines = printed.getvalue().splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == ["iemas", "my_router", "random"]
    assert re.fullmatch(r"iemas gains [+-][\d.]+ % \[[+-][\d.]+, [+-][\d.]+\], \d/3", lines[-1])
    assert len(Path("runs.jsonl").read_text().splitlines()) == 9
    [commands] = re.findall(r"^```\n(iemas .*?)```", (DOCS / "policies.md").read_text(), re.DOTALL | re.MULTILINE)
    for command in commands.strip().splitlines():
        _, *arguments = shlex.split(command, comments=True)
        small = ["--data", "shipped", "--dialogues", "2", "--turns", "2", "--seeds", "1"]
        small += ["--policy", "c-mu"] if "--policy" not in arguments else []
        done = CliRunner().invoke(app, [*arguments, *small])
        assert done.exit_code == 0, done.output
        assert ("cheap-enough" in done.output or "my_router:Cheap" in done.output) == ("CheapEnough" in command)


def test_the_page_on_workloads_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [requests] = blocks("workloads.md", "csv")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "requests.csv").write_text(requests)
    monkeypatch.chdir(tmp_path / "docs")
    names: dict[str, object] = {}
    answers = blocks("workloads.md", "text")
    for question, answer in zip(blocks("workloads.md", "python"), answers, strict=True):
        printed = StringIO()
        with redirect_stdout(printed):
            exec(compile(question, "workloads.md", "exec"), names)
        assert printed.getvalue() == answer
    [mixed] = blocks("workloads.md", "toml")
    Path("mix.toml").write_text(mixed)
    made = read_study("mix.toml")
    assert made.cells[0].workload == names["mix"]
    found = made.run(workers=0)
    assert {part: found.mean("random", f"{part}.served") for part in ("talk", "code", "ask")} == {
        name: part.turns
        for name, part in names["load"].parts.items()  # type: ignore[attr-defined]
    }
    page = (DOCS / "workloads.md").read_text()
    assert [name for name in COLUMNS if f"`{name}`" not in page] == []


def test_the_page_on_notebooks_prints_what_it_says_and_names_them_all() -> None:
    [question], [answer] = blocks("notebooks.md", "python"), blocks("notebooks.md", "text")
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(question, "notebooks.md", "exec"), {"__name__": "notebook"})
    assert printed.getvalue() == answer
    page = (DOCS / "notebooks.md").read_text()
    there = sorted((DOCS.parent / "experiments" / "notebooks").glob("*.py"))
    assert re.findall(r"\(\.\./experiments/notebooks/(.*?)\)", page) == [source.name for source in there]
    makefile = (DOCS.parent / "Makefile").read_text()
    assert all(f"\n{target}:" in makefile for target in re.findall(r"^make (\S+)", page, re.MULTILINE))


def test_the_page_on_learned_routers_prints_what_it_says() -> None:
    [question], [answer] = blocks("learned-routers.md", "python"), blocks("learned-routers.md", "text")
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(question, "learned-routers.md", "exec"), {})
    assert printed.getvalue() == answer
    page = (DOCS / "learned-routers.md").read_text()
    assert [name for name in (*LEARNED, *PERSONAL) if f"| {name} |" not in page] == []
    commands = re.findall(r"^iemas .*|(?<=`)iemas [^`\n]*", page, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        assert CliRunner().invoke(app, [*shlex.split(command)[1:], "--help"]).exit_code == 0


def test_the_page_on_receipts_checks_a_receipt_that_a_gateway_gave() -> None:
    names: dict[str, Any] = {}
    [check] = blocks("receipts.md", "python")
    exec(compile(check, "receipts.md", "exec"), names)
    [shown] = blocks("receipts.md", "json")
    assert names["holds"](json.loads(shown)["proof"])
    receipts = Receipts(menus=True)
    for seed in range(8):
        receipts.decided(made(seed))
        proof = receipts.proof("r0", "me")
        assert proof is not None and names["holds"](proof)
        assert not names["holds"]({**proof, "charge": "0.123457"})


@pytest.fixture
def beginner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder; runs are played in this process, which takes no seconds to start."""
    monkeypatch.setattr(pool, "_in_processes", lambda work, tasks, workers, title: pool._here(work, tasks, title))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path


def follow(page: str) -> None:
    """Save and run what a page says, in its order; every `text` is what the code before it prints."""
    names: dict[str, object] = {"__name__": "__main__"}
    printed = ""
    for before, language, body in re.findall(r"([^\n]*)\n\n```(\w*)\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
        saved = re.search(r"Save as `([\w.]+)`", before)
        if saved is not None:
            Path(saved[1]).write_text(body)
        elif language == "python":
            out = StringIO()
            with redirect_stdout(out):
                exec(compile(body, page, "exec"), names)
            printed = out.getvalue()
        elif language == "text":
            assert body == printed
        elif language == "toml":
            Path("study.toml").write_text(body)
        elif language == "":
            for command in body.strip().splitlines():
                _, *arguments = shlex.split(command, comments=True)
                done = CliRunner().invoke(app, arguments)
                assert done.exit_code == 0, (command, done.output)


@pytest.mark.slow
def test_a_newcomer_who_follows_the_page_on_their_own_gets_what_it_says(beginner: Path) -> None:
    follow("your-own.md")
    assert {"report.html", "runs"} <= {one.name for one in beginner.iterdir()}


def test_the_page_on_studies_runs_and_has_every_key(beginner: Path) -> None:
    follow("studies.md")
    assert read_study("study.toml").runs == 2 * 2 * 3 * 2
    page = (DOCS / "studies.md").read_text()
    assert [
        name for names in KEYS.values() for name in names if f"`{name}`" not in page and f"[{name}]" not in page
    ] == []
    fields = {one.name for kind in (Dialogues, Questions, Trace, Mix) for one in dataclasses.fields(kind)}
    assert sorted(one for one in fields - {"data", "table", "dialogues", "parts"} if f"`{one}`" not in page) == []


def test_the_page_on_money_cuts_bids_down_and_is_refuted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mechanism, question = blocks("money.md", "python")
    [answer] = blocks("money.md", "text")
    (tmp_path / "my_budget.py").write_text(mechanism)
    monkeypatch.syspath_prepend(tmp_path)
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(question, "money.md", "exec"), {})
    assert printed.getvalue() == answer


@pytest.mark.parametrize("name", ["money.md", "receipts.md", "threats.md"])
def test_every_promise_of_a_page_names_a_test_that_is_there(name: str) -> None:
    page = (DOCS / name).read_text()
    tests = "".join(file.read_text() for file in (DOCS.parent / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > {"money.md": 15, "receipts.md": 3, "threats.md": 40}[name]
    assert [name for name in sorted(named) if f"def {name}(" not in tests] == []
