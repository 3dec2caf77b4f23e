"""docs/auditing.md and docs/ci-workflow.yml do what they say: each block is run where its reader would run it."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from proofs import replay

pytestmark = pytest.mark.usefixtures("replayed_here")

pytest_plugins = ["pytester"]

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "auditing.md").read_text()
RULE, PYTHON, PYTEST, HYPOTHESIS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PRINTED, SHOWN = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_rules", None)
    Path("my_rules.py").write_text(RULE)
    yield
    sys.modules.pop("my_rules", None)


def run(command: str) -> int:
    words = shlex.split(command)
    if words[:3] == ["python", "-m", "proofs.replay"]:
        return replay.main(words[3:])
    assert words[:1] == ["iemas"]
    return CliRunner().invoke(app, words[1:]).exit_code


def test_the_shell_commands_exit_as_the_table_says() -> None:
    [block] = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert [run(line) for line in block.strip().splitlines()] == [1, 0]
    assert run("iemas audit vcg --bidders 2 --agents 1 --values 0..1") == 0
    assert run("iemas audit vcg --values none") == 2
    assert run("iemas audit vcg --bidders 2 --sample 3") == 3
    assert run("iemas audit vcg --bidders 2 --sample 3 --allow-unknown") == 0
    assert run("python -m proofs.replay nothing.json") == 4
    report = json.loads(Path("report.json").read_text())
    report["mechanism"] = {"name": "vcg", "allocator": None}
    Path("report.json").write_text(json.dumps(report))
    assert run("python -m proofs.replay report.json") == 3


def test_python_prints_what_the_page_prints() -> None:
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(PYTHON, "auditing.md", "exec"), {})
    assert printed.getvalue() == PRINTED


def test_pytest_shows_what_the_page_shows(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(my_rules=RULE, test_promises=PYTEST)
    pytester.syspathinsert()
    result = pytester.runpytest_subprocess("-p", "iemas_pytest", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1, passed=3)
    text = result.stdout.str()
    assert all(line in text for line in SHOWN.splitlines())


def test_the_hypothesis_tests_pass(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_laws=HYPOTHESIS)
    result = pytester.runpytest_subprocess("-p", "_hypothesis_pytestplugin", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)


def test_the_workflow_fails_on_a_refuted_promise_and_has_a_report_to_keep() -> None:
    workflow = (DOCS / "ci-workflow.yml").read_text()
    [command] = re.findall(r"run: (iemas audit .*)", workflow)
    defaults = dict(
        re.findall(r"      (\w+):\n        description: .*\n        type: string\n +default: (.*)", workflow)
    )
    assert set(defaults) == {"mechanism", "options", "package"}
    for name, value in defaults.items():
        assert f"{name.upper()}: ${{{{ inputs.{name} }}}}" in workflow
        command = command.replace(f'"${name.upper()}"', value).replace(f"${name.upper()}", value)
    [kept] = re.findall(r"path: (.*)", workflow)
    assert "$" not in command and run(command) == 1
    assert [finding["status"] for finding in json.loads(Path(kept).read_text())["findings"]].count("REFUTED") == 1
    assert "if: always()" in workflow
    passed_on = re.findall(r"^      (\w+): ", PAGE.partition("```yaml")[2], re.MULTILINE)
    assert set(passed_on) <= set(defaults)
