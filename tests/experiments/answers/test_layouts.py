"""Every layout of answers, read from the smallest file that has its shape, and every way to break it."""

import json
import pickle
import re
from pathlib import Path

import jsonschema
import numpy as np
import polars
import pytest

from experiments.answers import AnswerTable, load_answers, write_answers
from experiments.answers.layouts.reading import CREDITS_PER_DOLLAR
from experiments.answers.loading import SHIPPED
from experiments.errors import DatasetError
from experiments.files import tokens_of

DOCS = Path(__file__).parents[3] / "docs"
LLMROUTER = [
    {"question": "One?", "scores": {"b": 1.0, "a": 0.0}, "cluster_id": 0},
    {"question": "Two?", "scores": {"a": 1.0, "b": 0.25}, "cluster_id": 2},
]
PRICES = {"b": {"input_price": 0.9, "output_price": 1.8}, "c": {}, "a": {"input_price": 0.1, "output_price": 0.2}}
MIXTRAL, GPT4 = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
ROUTELLM = f"prompt,{MIXTRAL},{GPT4},{MIXTRAL}_response,{GPT4}_response\n" + (
    'One?,True,False,"four\nwords and, more","é"\nTwo?,False,True,ab,\n'
)
NATIVE = [
    {"format": "iemas-answers/1", "models": ["a", "b"], "prices": {"b": [2, 3], "a": [0, 1]}, "licence": "CC0-1.0"},
    {
        "id": "x",
        "question": "One?",
        "topic": "t",
        "answers": {
            "b": {"score": 1, "input_tokens": 7, "output_tokens": 2},
            "a": {"score": 0.5, "input_tokens": 6, "output_tokens": 1, "text": "uno"},
        },
    },
    {
        "id": "y",
        "question": "Two?",
        "topic": "u",
        "answers": {
            "a": {"score": 0, "input_tokens": 8, "output_tokens": 3},
            "b": {"score": 0.75, "input_tokens": 9, "output_tokens": 4},
        },
    },
]


def llmrouter(folder: Path, records: object, prices: object = PRICES) -> Path:
    path = folder / "train.json"
    path.write_text(json.dumps(records, indent=1))
    if prices is not None:
        (folder / "default_llm.json").write_text(json.dumps(prices))
    return path


def lines(folder: Path, records: list[dict[str, object]]) -> Path:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def routerbench(rows: list[dict[str, object]] | None = None) -> polars.DataFrame:
    made = rows or [
        {"sample_id": f"s{k}", "prompt": "p" * 40 * (k + 1), "eval_name": "mmlu", "m/x": score, "m/y": 1 - score}
        for k, score in enumerate((1.0, 0.0, 0.5))
    ]
    for k, row in enumerate(made):
        for model, length, (reading, writing) in (
            ("m/x", 9 * k**2 + 3, (1e-6, 2e-6)),
            ("m/y", 70 - 8 * k, (0.0, 3e-5)),
        ):
            said = "s" * length
            row.setdefault(f"{model}|model_response", said)
            cost = reading * tokens_of(str(row["prompt"])) + writing * tokens_of(said)
            row.setdefault(f"{model}|total_cost", cost)
        row.setdefault("oracle_model_to_route_to", "m/x")
    return polars.DataFrame(made)


def test_llmrouter_is_read_by_name_and_priced_by_the_file_beside_it(tmp_path: Path) -> None:
    table = load_answers(llmrouter(tmp_path, LLMROUTER))
    assert (table.layout, table.models, table.questions) == ("LLMRouter", ("a", "b"), ("One?", "Two?"))
    assert table.scores.tolist() == [[0.0, 1.0], [1.0, 0.25]]
    assert table.prices is not None and table.prices.ravel() == pytest.approx([0.0001, 0.0002, 0.0009, 0.0018])
    assert (table.topics, table.outputs) == (("cluster 0", "cluster 2"), None)
    assert table.title == f"{tmp_path.name}/train.json (2 questions, 2 models)"
    (tmp_path / "default_llm.json").unlink()
    unpriced = load_answers(tmp_path / "train.json")
    assert unpriced.prices is None and "no prices" in unpriced.measured


def test_a_credit_is_a_tenth_of_a_cent() -> None:
    assert pytest.approx(0.45) == 500 * 0.9 * CREDITS_PER_DOLLAR / 1e6


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([LLMROUTER[0], {"question": "Two?", "scores": {"a": 1.0}}], "line 10: it lacks b"),
        ([LLMROUTER[0], {"question": "Two?", "scores": {"a": 1, "b": 0, "c": 0}}], "line 10: it has also c"),
        ([LLMROUTER[0], {**LLMROUTER[1], "scores": {"a": float("nan"), "b": 0}}], "line 10: a has the score 'nan'"),
        ([LLMROUTER[0], {**LLMROUTER[1], "scores": {"a": 1.5, "b": 0}}], "line 10: a has the score '1.5'"),
        ([LLMROUTER[0], {**LLMROUTER[1], "scores": {"a": None, "b": 0}}], "line 10: a has the score 'None'"),
        ([*LLMROUTER, LLMROUTER[0]], "line 18: the question 'One.' stands in line 2 already"),
        ([LLMROUTER[0], {"scores": {"a": 1, "b": 0}}], "line 10: expected an object with 'question'"),
        ([LLMROUTER[0], {"question": "Two?", "scores": {"a": 1, "b": 0}}], "line 10: it has no cluster_id"),
    ],
)
def test_a_broken_record_of_llmrouter_says_its_line(records: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"train\.json, {said}"):
        load_answers(llmrouter(tmp_path, records))


def test_a_model_twice_a_list_cut_short_and_a_model_without_price_are_refused(tmp_path: Path) -> None:
    path = llmrouter(tmp_path, LLMROUTER, {"a": PRICES["a"]})
    with pytest.raises(DatasetError, match=r"default_llm\.json, line 1: expected an object with 'b'"):
        load_answers(path)
    path.write_text('[{"question": "One?", "scores": {"a": 1}},\n{"question": "Two?", "scores": {"a": 1, "a": 0}}]')
    with pytest.raises(DatasetError, match=r"line 2: .*'a' stands twice"):
        load_answers(path)
    path.write_text('[{"question": "One?", "scores": {"a": 1}},\n')
    with pytest.raises(DatasetError, match="cut short"):
        load_answers(path)


def test_routellm_with_responses_has_lengths_and_list_prices(tmp_path: Path) -> None:
    path = tmp_path / "gsm8k.csv"
    path.write_text(ROUTELLM)
    table = load_answers(path)
    assert (table.layout, table.models, table.topics) == ("RouteLLM", (MIXTRAL, GPT4), ())
    assert table.scores.tolist() == [[1, 0], [0, 1]]
    assert table.outputs is not None and table.outputs.tolist() == [[5, 1], [1, 0]]
    assert table.prices is not None and table.prices.ravel() == pytest.approx([0.0006, 0.0006, 0.01, 0.03])


def test_a_folder_of_subjects_is_one_table_whatever_the_order_of_columns(tmp_path: Path) -> None:
    (tmp_path / "mmlu_a_b.csv").write_text("prompt,x,y\nOne?,True,False\nOne?,False,False\n")
    (tmp_path / "mmlu_c.csv").write_text("prompt,y,x\nTwo?,True,False\n")
    table = load_answers(tmp_path)
    assert table.scores.tolist() == [[1, 0], [0, 0], [0, 1]]
    assert (table.topics, table.prices, table.outputs) == (("a b", "a b", "c"), None, None)
    before = table.sha256
    (tmp_path / "mmlu_c.csv").write_text("prompt,y,z\nTwo?,True,False\n")
    with pytest.raises(DatasetError, match=r"mmlu_c\.csv, line 1: its models are y, z; those of the folder: x, y"):
        load_answers(tmp_path)
    (tmp_path / "mmlu_c.csv").unlink()
    assert load_answers(tmp_path).sha256 != before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("prompt,x,y\nOne?,True,False\nTwo?,True\n", "line 3: 2 fields where the header has 3"),
        ('prompt,x,y\n"One\n?",True,False\nTwo?,True,maybe\n', "line 4: y has the score 'maybe'"),
        ("prompt,x,y\nOne?,True,nan\n", "line 2: y has the score 'nan'"),
        ("prompt,x,x\nOne?,True,True\n", "line 1: a column stands twice"),
        ("prompt,x,z_response\nOne?,True,a\n", "line 1: z_response is of no model"),
        ("prompt,x\n,True\n", "line 2: it has no prompt"),
        ("prompt,x\n", " has a header and no question"),
        ("question,x\nOne?,True\n", "line 1: no table of answers in a known layout"),
        ('prompt,x\n"One?,True\n', "line 2: "),
    ],
)
def test_a_broken_csv_says_its_line(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mmlu.csv"
    path.write_text(content)
    with pytest.raises(DatasetError, match=said) as caught:
        load_answers(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_routerbench_gives_back_the_prices_that_made_its_costs(end: str, tmp_path: Path) -> None:
    path = tmp_path / f"bench.{end}"
    frame = routerbench()
    frame.write_csv(path) if end == "csv" else frame.write_parquet(path)
    table = load_answers(path)
    assert (table.layout, table.models, table.topics) == ("RouterBench", ("m/x", "m/y"), ("mmlu",) * 3)
    assert table.scores.tolist() == [[1, 0], [0, 1], [0.5, 0.5]]
    assert table.outputs is not None and table.outputs.tolist() == [[1, 18], [3, 16], [10, 14]]
    assert table.prices is not None and table.prices.ravel() == pytest.approx([1e-3, 2e-3, 0, 3e-2], abs=1e-9)
    assert "off by 0.0%" in table.measured


def test_routerbench_without_responses_has_neither_lengths_nor_prices(tmp_path: Path) -> None:
    frame = routerbench().drop("m/x|model_response", "m/y|model_response")
    frame.write_csv(tmp_path / "bench.csv")
    table = load_answers(tmp_path / "bench.csv")
    assert (table.outputs, table.prices) == (None, None)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "opened",)

    path = tmp_path / "routerbench_0shot.pkl"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DatasetError, match=r"is a pickle.*read_pickle\('routerbench_0shot\.pkl'\)\.to_parquet"):
        load_answers(path)
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sample_id": "s0"}, "3: the sample 's0' stands in .* already"),
        ({"m/x": None}, "3: m/x has the score"),
        ({"m/y|total_cost": -1.0}, "3: m/y.total_cost is '-1.0'"),
        ({"prompt": ""}, "3: it has no prompt"),
    ],
)
def test_a_broken_row_of_routerbench_says_where(change: dict[str, object], said: str, tmp_path: Path) -> None:
    rows = routerbench().to_dicts()
    rows[1] |= change
    polars.DataFrame(rows).write_csv(tmp_path / "bench.csv")
    with pytest.raises(DatasetError, match=rf"bench\.csv, line {said}"):
        load_answers(tmp_path / "bench.csv")
    polars.DataFrame(rows).write_parquet(tmp_path / "bench.parquet")
    with pytest.raises(DatasetError, match=rf"bench\.parquet, row {said.replace('3', '2', 1)}"):
        load_answers(tmp_path / "bench.parquet")


def test_our_own_layout_is_read_by_name(tmp_path: Path) -> None:
    table = load_answers(lines(tmp_path, NATIVE))
    assert (table.layout, table.licence) == ("iemas-answers/1", "CC0-1.0")
    assert table.scores.tolist() == [[0.5, 1], [0, 0.75]]
    assert table.prices is not None and table.prices.tolist() == [[0, 1], [2, 3]]
    assert table.outputs is not None and table.outputs.tolist() == [[1, 2], [3, 4]]
    assert table.inputs is not None and table.inputs.tolist() == [[6, 7], [8, 9]]


@pytest.mark.parametrize("keeps", [("topics", "outputs", "inputs", "prices"), ()])
def test_what_is_written_is_read_again(keeps: tuple[str, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    given = {
        "topics": ("t", "u", "t"),
        "outputs": rng.integers(0, 9, (3, 2)),
        "inputs": rng.integers(0, 9, (3, 2)),
        "prices": rng.random((2, 2)),
    }
    table = AnswerTable(
        "t", ("a\u2028?", "b\n?", "ç"), ("m", "n"), rng.random((3, 2)), **{key: given[key] for key in keeps}
    )
    again = load_answers(write_answers(table, tmp_path / "out.jsonl"))
    assert (again.questions, again.models, again.topics) == (table.questions, table.models, table.topics)
    for name in ("scores", "prices", "outputs", "inputs"):
        one, other = getattr(table, name), getattr(again, name)
        assert (one is None) == (other is None) and (one is None or np.array_equal(one, other))
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_writing_where_there_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot write"):
        write_answers(AnswerTable("t", ("q",), ("m",), np.ones((1, 1))), tmp_path / "nowhere" / "out.jsonl")


def _changed(line: int, **change: object) -> list[dict[str, object]]:
    return [{**each, **change} if k == line else each for k, each in enumerate(NATIVE)]


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (_changed(0, models=["a", "a"]), "line 1: models has a name twice"),
        (_changed(0, models=[]), "line 1: models is no list"),
        (_changed(0, prices={"a": [1, 2]}), "line 1: it lacks b"),
        (_changed(0, prices={"a": [1, 2], "b": [1, -2]}), "line 1: a price of b is '-2'"),
        (_changed(0, prices={"a": [1, 2], "b": 3}), "line 1: the prices of b are 3"),
        (_changed(2, id="x"), "line 3: the question with the id 'x' stands in line 2 already"),
        (_changed(2, answers={"a": {"score": 1}}), "line 3: it lacks b"),
        (_changed(2, answers={"a": {"score": 1}, "b": {"score": 1}}), "line 3: .*tokens are in some of the lines"),
        (_changed(2, answers={"a": {"score": 1}, "b": {}}), "line 3: expected an object with 'score'"),
        (_changed(2, topic=None), "line 3: it has no topic"),
        (_changed(1, topic=None), "line 3: it has a topic"),
        (_changed(2, question=" "), "line 3: question is ' '"),
        (NATIVE[:1], " has a header and no question"),
    ],
)
def test_a_broken_line_of_ours_says_which(records: list[dict[str, object]], said: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=said) as caught:
        load_answers(lines(tmp_path, records))
    assert "mine.jsonl" in str(caught.value)


def test_the_schema_is_that_of_the_loader(tmp_path: Path) -> None:
    schema = json.loads((DOCS / "answers.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    [page] = re.findall(r"```jsonl\n(.*?)```", (DOCS / "data.md").read_text(), re.DOTALL)
    for content in (page, SHIPPED.read_text(), "".join(json.dumps(each) + "\n" for each in NATIVE)):
        path = tmp_path / "mine.jsonl"
        path.write_text(content)
        assert len(load_answers(path).questions) == content.count("\n") - 1
        for line in content.splitlines():
            jsonschema.validate(json.loads(line), schema)
    for wrong in ({"question": "?", "answers": {"a": {"score": 2}}}, {"answers": {"a": {"score": 1}}}, {"models": []}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_what_is_no_table_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match="neither a file nor a name; give a path, or one of shipped, llmrouter-train"
    ):
        load_answers("nonsense")
    for content, said in (
        ("", "is empty"),
        ("<html>", "web page"),
        ('{"a": 1}', "known layout"),
        ("[]", "known layout"),
    ):
        (tmp_path / "x.json").write_text(content)
        with pytest.raises(DatasetError, match=said):
            load_answers(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(b"prompt,x\n\xff,True\n")
    with pytest.raises(DatasetError, match=r"x\.json, line 2: byte 9 is not UTF-8"):
        load_answers(tmp_path / "x.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="known layout"):
        load_answers(tmp_path / "empty")


def test_a_fetched_name_is_looked_for_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IEMAS_CACHE", str(tmp_path))
    monkeypatch.delenv("IEMAS_DATASETS", raising=False)
    with pytest.raises(DatasetError, match="iemas data fetch llmrouter-test"):
        load_answers("llmrouter-test")
    (tmp_path / "data" / "llmrouter").mkdir(parents=True)
    llmrouter(tmp_path / "data" / "llmrouter", LLMROUTER).rename(tmp_path / "data" / "llmrouter" / "dcrouter_test.json")
    assert load_answers("llmrouter-test").models == ("a", "b")
