"""`iemas fleet check`: what a file means, or every fault of it and exit code 2."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app

DOCS = Path(__file__).parents[4] / "docs"
RUN = CliRunner(env={"COLUMNS": "160"})
AGENT = '[[agents]]\nname = "a"\nmodel = "tiny"\nprices = { fresh = 1, cached = 1, output = 1 }\n'


def write(folder: Path, text: str, name: str = "fleet.toml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_the_example_means_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIG_KEY", "sk-hidden")
    monkeypatch.delenv("ALICE_KEY", raising=False)
    result = RUN.invoke(app, ["fleet", "check", str(DOCS / "fleet.toml")])
    assert result.exit_code == 0
    for words in (
        "vllm serve smollm2-135m on port 8101",
        "http://10.0.0.5:8000",
        "small, small-2, big",
        "2 of 2 bidders",
    ):
        assert words in result.stdout
    assert "keys[0].key: the variable ALICE_KEY holds no key; export ALICE_KEY" in result.stderr
    assert "agents[2]" not in result.stderr and "sk-hidden" not in result.output


def test_json_has_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIG_KEY", "sk-hidden")
    result = RUN.invoke(app, ["fleet", "check", str(DOCS / "fleet.toml"), "--json"])
    told = json.loads(result.stdout)
    assert told["models"]["fast"] == ["small", "small-2"] and told["faults"] == []
    assert told["fleet"]["agents"][2]["key"] == {"env": "BIG_KEY", "file": None}
    assert "sk-hidden" not in result.stdout


def test_faults_are_lines_and_exit_code_2(tmp_path: Path) -> None:
    file = write(tmp_path, AGENT + "[server]\nprot = 3\n[limits]\nbody_bytes = 0\n")
    result = RUN.invoke(app, ["fleet", "check", file])
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{file}: server.prot: no such key; did you mean port?",
        f"{file}: limits.body_bytes = 0: expected greater than or equal to 1; write for instance body_bytes = 10485760",
    ]
    told = json.loads(RUN.invoke(app, ["fleet", "check", file, "--json"]).stdout)
    assert told == {"faults": result.stderr.splitlines()}


def test_policies_and_predictors_are_names_that_ship_or_yours(tmp_path: Path) -> None:
    file = write(tmp_path, AGENT + '[auction]\npolicy = "iema"\npredictor = "clever"\n')
    result = RUN.invoke(app, ["fleet", "check", file])
    assert result.exit_code == 2
    assert 'auction.policy = "iema": nothing of this name ships; did you mean iemas?' in result.stderr
    assert 'auction.predictor = "clever": nothing of this name ships; there are: by-question' in result.stderr
    file = write(tmp_path, AGENT + '[auction]\npolicy = "no_such_module:Mine"\nmechanism = "no_such_module:Rule"\n')
    assert RUN.invoke(app, ["fleet", "check", file]).exit_code == 0, "code of others is not imported here"


def test_what_could_change_live(tmp_path: Path) -> None:
    old = write(tmp_path, AGENT, "old.toml")
    new = write(tmp_path, AGENT + '[pools]\nfast = ["a"]\n[rounds]\nmax_batch = 2\n')
    result = RUN.invoke(app, ["fleet", "check", new, "--against", old])
    assert "needs a restart: rounds.max_batch; live: pools" in result.stdout
    assert "changes     none" in RUN.invoke(app, ["fleet", "check", old, "--against", old]).stdout
    told = json.loads(RUN.invoke(app, ["fleet", "check", new, "--against", old, "--json"]).stdout)
    assert told["changes"]["restart"] == ["rounds.max_batch"]


def test_no_file_is_one_line(tmp_path: Path) -> None:
    result = RUN.invoke(app, ["fleet", "check", str(tmp_path / "none.toml")])
    assert result.exit_code == 2 and "cannot be read" in result.stderr


def test_help_shows_an_example() -> None:
    assert "iemas fleet check fleet.toml" in RUN.invoke(app, ["fleet", "check", "--help"]).stdout


def test_a_calibration_that_does_not_exist_is_found_before_anything_starts(tmp_path: Path) -> None:
    text = '[[agents]]\nname = "a"\nsimulated = "gpt"\nserves = ["x"]\nprices = { fresh = 1, cached = 1, output = 1 }\n'
    result = RUN.invoke(app, ["fleet", "check", write(tmp_path, text)])
    assert result.exit_code == 2 and "agents[0].simulated" in result.stderr and "smollm2-135m-cpu" in result.stderr
