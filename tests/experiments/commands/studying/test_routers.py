"""`iemas routers`: two tables, JSON beside them, errors that name what is wrong before anything is fetched."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import experiments.answers
from experiments.answers import AnswerTable
from experiments.cli import app
from experiments.errors import StudyError

RUN = CliRunner()


def test_without_a_table_it_invents_one() -> None:
    done = RUN.invoke(app, ["routers", "--router", "knn", "--router", "logistic", "--fits", "2"])
    assert done.exit_code == 0, done.output
    first, _, second = done.stdout.partition("20 invented users with a taste each")
    assert "invented topics: 400 to learn from, 200 to test on, 4 models, 2 fits" in first
    assert all(name in first for name in ("random", "best-single", "oracle", "knn", "logistic"))
    assert "logistic" in second and "knn" not in second
    [line] = [line for line in first.splitlines() if line.strip().startswith("knn")]
    assert "*" in line and "±" in line


def test_json_has_the_same_rows() -> None:
    done = RUN.invoke(app, ["routers", "--router", "knn", "--fits", "1", "--json"])
    found = json.loads(done.stdout)
    rows = {row["router"]: row for row in found["questions"]["rows"]}
    assert set(rows) == {"random", "best-single", "oracle", "knn"}
    assert rows["knn"]["better"] and rows["knn"]["error"] is None and rows["best-single"]["gain"] == 0
    assert [row["router"] for row in found["users"]["rows"]] == ["random", "best-single", "oracle"]


def test_a_table_is_split_and_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("IEMAS_CACHE", str(tmp_path))
    questions = tuple((f"add {k} and {k + 1}", f"a poem on the sea, verse {k}")[k % 2] for k in range(60))
    table = AnswerTable("own.json", questions, ("sums", "verse"), np.eye(2)[np.arange(60) % 2])
    monkeypatch.setattr(experiments.answers, "load_answers", {"own.json": table}.__getitem__)
    small = ["--train", "40", "--test", "20", "--fits", "1", "--embedder", "hashed", "--router", "knn"]
    done = RUN.invoke(app, ["routers", "--table", "own.json", *small])
    assert done.exit_code == 0, done.output
    assert "own.json: 40 to learn from, 20 to test on, 1 fit" in done.stdout
    refused = RUN.invoke(app, ["routers", "--table", "own.json", "--embedder", "hashed"])
    assert isinstance(refused.exception, StudyError) and "2500 to learn from" in str(refused.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--router", "psychic"], "no router 'psychic'; there are: knn, "),
        (["--router", "nowhere:Router"], "nowhere"),
        (["--table", "x.json", "--embedder", "glove"], "no embedder 'glove'; there are: minilm, hashed"),
    ],
)
def test_what_does_not_exist_is_named(arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments.answers, "load_answers", lambda name: None)
    done = RUN.invoke(app, ["routers", *arguments])
    assert done.exit_code != 0 and message in str(done.exception)


def test_help_shows_an_example() -> None:
    assert "Example: iemas routers" in " ".join(RUN.invoke(app, ["routers", "--help"]).stdout.split())
