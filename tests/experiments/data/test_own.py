"""Files of one's own: a folder of them, the project's layout by its schema and its page."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.data import SHIPPED, find_own, load
from experiments.errors import DatasetError
from experiments.studies.demo import Plan, find_corpora, find_files
from tests.experiments.data.samples import NATIVE, SGD

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA = json.loads((DOCS / "dialogues.schema.json").read_text())


def example() -> dict[str, object]:
    [text] = re.findall(r"```json\n(.*?)```", (DOCS / "data.md").read_text(), re.DOTALL)
    found: dict[str, object] = json.loads(text)
    return found


def test_the_schema_is_that_of_the_loader(tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for good in (json.loads(SHIPPED.read_text()), NATIVE, example()):
        jsonschema.validate(good, SCHEMA)
    path = tmp_path / "ferry.json"
    for missing in ("documents", "dialogues"):
        path.write_text(json.dumps({key: value for key, value in example().items() if key != missing}))
        with pytest.raises(DatasetError):
            load(path)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(path.read_text()), SCHEMA)
    path.write_text(json.dumps(example()))
    assert load(path).turns == 2


def test_a_folder_of_ones_own_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(NATIVE))
    (tmp_path / "b.jsonl").write_text(json.dumps(SGD[0]) + "\n")
    (tmp_path / "copy.json").write_text(json.dumps(NATIVE))
    (tmp_path / "settings.json").write_text("{}")
    found, remarks = find_own(tmp_path)
    assert [path.name for path in found] == ["a.json", "b.jsonl"]
    assert [("again" in each, "settings.json" in each) for each in remarks] == [(True, False), (False, True)]
    assert [corpus.turns for corpus in find_corpora(Plan(data=(str(tmp_path),)))] == [1, 2]


def test_a_folder_without_dialogues_says_what_was_tried(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no \.json or \.jsonl"):
        find_own(tmp_path)
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"settings\.json is JSON in no known layout"):
        find_own(tmp_path)


def test_what_is_named_twice_counts_once_and_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, remarks = find_files(Plan(data=("shipped", "shipped")))
    assert len(paths) == 1 and "a second time" in remarks[0]
    monkeypatch.setenv("IEMAS_DATASETS", str(tmp_path / "nowhere"))
    assert "is no folder" in find_files(Plan())[1][0]
    (tmp_path / "shipped").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_files(Plan(data=("shipped",)))[0] == [SHIPPED.resolve()]


def test_the_command_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.json").write_text(json.dumps(NATIVE))
    (tmp_path / "mine" / "settings.json").write_text("{}")
    done = CliRunner().invoke(app, ["demo", "--data", "mine", "--seeds", "1", "--policy", "random"])
    assert done.exit_code == 0 and "settings.json" in done.stderr, done.output
