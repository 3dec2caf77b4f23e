"""`iemas model`: what it prints, and that its errors are the typed ones."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.commands.preparing.model import app
from runtime.errors import ModelError

RUN = CliRunner()


def test_the_list_is_json_and_says_what_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IEMAS_CACHE", str(tmp_path))
    folder = tmp_path / "models" / "smollm2-135m"
    folder.mkdir(parents=True)
    rows = {row["name"]: row for row in json.loads(RUN.invoke(app, ["list", "--json"]).stdout)}
    assert rows["smollm2-135m"]["folder"] == str(folder)
    assert rows["qwen2.5-coder-0.5b"]["folder"] is None


def test_the_table_names_every_model() -> None:
    output = RUN.invoke(app, ["list"]).stdout
    assert all(name in output for name in ("smollm2-135m", "qwen2.5-coder-0.5b", "gemma3-270m"))


def test_an_unknown_model_is_a_model_error() -> None:
    result = RUN.invoke(app, ["fetch", "gpt"])
    assert isinstance(result.exception, ModelError)


@pytest.mark.parametrize("command", ["list", "fetch"])
def test_help_shows_an_example(command: str) -> None:
    assert f"iemas model {command}" in RUN.invoke(app, [command, "--help"]).stdout
