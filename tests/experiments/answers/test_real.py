"""The real tables, where this machine has them: their own figures come out, under their own names and terms."""

from pathlib import Path

import pytest

from experiments.answers import load_answers

# File, title, licence, mean score of the best model, mean of each question's best score.
TABLES = [
    ("llmrouter/dcrouter_train.json", "llmrouter/dcrouter_train.json (5608 questions, 9 models)", "MIT", 0.621, 0.802),
    ("llmrouter/dcrouter_test.json", "llmrouter/dcrouter_test.json (500 questions, 9 models)", "MIT", 0.563, 0.743),
    ("routellm/gsm8k_responses.csv", "routellm/gsm8k_responses.csv (1319 questions, 2 models)", "Apache", 0.857, 0.929),
    ("routellm/mmlu", "routellm/mmlu (12508 questions, 2 models)", "Apache", 0.819, 0.870),
]


@pytest.mark.parametrize(("file", "title", "licence", "best", "oracle"), TABLES)
def test_a_real_table(file: str, title: str, licence: str, best: float, oracle: float, datasets: Path) -> None:
    table = load_answers(datasets / "routing" / file)
    assert table.title == title and table.licence.startswith(licence)
    assert table.scores.mean(axis=0)[table.best_single] == pytest.approx(best, abs=0.0005)
    assert table.oracle == pytest.approx(oracle, abs=0.0005)
    assert table.prices is not None and table.prices.min() > 0


def test_the_lengths_of_real_answers(datasets: Path) -> None:
    outputs = load_answers(datasets / "routing" / "routellm" / "gsm8k_responses.csv").outputs
    assert outputs is not None and outputs.min() > 0 and 50 < outputs.mean() < 150
