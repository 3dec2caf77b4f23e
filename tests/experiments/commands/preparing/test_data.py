"""`iemas data`, as a user types it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.commands.preparing.data import app
from experiments.data import OFFERED
from experiments.errors import DatasetError

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("IEMAS_CACHE", str(tmp_path))
    return tmp_path


def test_list_names_every_official_file() -> None:
    result = run(app, ["list"])
    assert result.exit_code == 0
    assert all(file.name in result.output for file in OFFERED)


def test_list_as_json_holds_urls_and_checksums() -> None:
    rows = json.loads(run(app, ["list", "--json"]).output)
    assert [row["name"] for row in rows] == [file.name for file in OFFERED]
    assert [row["sha256"] for row in rows] == [file.sha256 for file in OFFERED]
    assert not any(row["fetched"] for row in rows)


def test_list_says_what_lies_in_the_folder_of_data(monkeypatch: pytest.MonkeyPatch, datasets: Path) -> None:
    monkeypatch.setenv("IEMAS_DATASETS", str(datasets))
    held = {row["name"]: row["elsewhere"] for row in json.loads(run(app, ["list", "--json"]).output)}
    assert held["azure-conv"] == str(datasets / "traces" / "azure" / "AzureLLMInferenceTrace_conv.csv")
    assert held["coqa-train"] is None


def test_show_says_what_a_file_is() -> None:
    result = run(app, ["show", "shipped"])
    assert result.exit_code == 0
    assert "14 dialogues, 117 turns" in result.output
    facts = json.loads(run(app, ["show", "shipped", "--json"]).output)
    assert (facts["layout"], facts["licence"], facts["turns"]) == ("iemas-dialogues/1", "Apache-2.0", 117)


def test_show_knows_tables_and_traces(tmp_path: Path) -> None:
    table, trace = tmp_path / "t.csv", tmp_path / "r.csv"
    table.write_text("prompt,x,y\nOne?,True,False\nTwo?,False,True\nThree?,False,False\n")
    facts = json.loads(run(app, ["show", str(table), "--json"]).output)
    assert (facts["layout"], facts["questions"], facts["score_of_x"]) == ("RouteLLM", 3, 0.3333)
    assert facts["score_of_the_best_of_each"] == 0.6667
    trace.write_text("at_s,prompt_tokens,output_tokens\n0,10,1\n4,20,2\n")
    facts = json.loads(run(app, ["show", str(trace), "--json"]).output)
    assert (facts["requests"], facts["seconds"], facts["prompt_tokens,_mean"]) == (2, 4.0, 15.0)
    assert "r.csv (2 requests)" in run(app, ["show", str(trace)]).output


def test_errors_are_left_to_the_main_program() -> None:
    assert isinstance(run(app, ["show", "nonsense"]).exception, DatasetError)
    assert isinstance(run(app, ["fetch", "nonsense"]).exception, DatasetError)


def test_fetch_says_that_a_first_use_was_trusted(cache: Path) -> None:
    path = cache / "data" / "sgd" / "train" / "dialogues_001.json"
    path.parent.mkdir(parents=True)
    turns = [{"speaker": "USER", "utterance": "Hello."}, {"speaker": "SYSTEM", "utterance": "Hello."}]
    path.write_text(json.dumps([{"dialogue_id": "1", "services": ["Homes_1"], "turns": turns}]))
    result = run(app, ["fetch", "sgd-train-001"])
    assert result.exit_code == 0
    assert "Nobody publishes a checksum of sgd-train-001" in result.output
    assert "1 dialogue, 1 turn" in result.output
    assert path.with_name("dialogues_001.json.sha256").exists()


@pytest.mark.parametrize("command", ["list", "fetch", "show"])
def test_every_help_has_an_example(command: str) -> None:
    assert f"Example: iemas data {command}" in run(app, [command, "--help"]).output
