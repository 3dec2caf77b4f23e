"""Agents of models that nobody could run here: speeds, memory and prices by hand."""

import math

import numpy as np
import pytest

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.worlds.rooflines import Accelerator, model_agent, roofline, size_of, table_fleet

SLOW = Accelerator("slow", flops=100e12, bandwidth=1e12, memory=80e9)


def test_a_step_reads_the_weights_and_computes_two_operations_a_parameter() -> None:
    made = roofline(8, SLOW)
    # 16 GB of weights at 1 TB/s and two milliseconds of launching; 16 GFLOP a token at 100 TFLOP/s.
    assert made.base_s == pytest.approx(0.018) and made.prompt_token_s == pytest.approx(160e-6)
    # 128 KiB of keys and values a token.
    assert made.context_token_s == pytest.approx(131_072 / 1e12)
    two = roofline(8, SLOW, devices=2)
    assert two.base_s == pytest.approx(0.010) and two.prompt_token_s == pytest.approx(80e-6)
    # At 70 billion parameters 320 KiB.
    assert roofline(70, SLOW).context_token_s == pytest.approx(327_680 / 1e12)
    assert "assumed roofline, not a measurement: 8 billion" in made.fitted_to and math.isnan(made.latency_error)


def test_an_agent_has_as_many_devices_as_hold_its_weights_twice_and_the_rest_is_cache() -> None:
    one = model_agent("llama-8b", on=SLOW)
    # 32 GB fit on one device, of which 72 GB are used: 56 GB of cache are 427,246 tokens.
    assert one.shape.cache_blocks == 427_246 // 16 and one.step_time.fitted_to == roofline(8, SLOW, 1).fitted_to
    # 280 GB need four: 288 GB used, 148 GB of cache.
    large = model_agent("llama-70b", on=SLOW)
    assert (
        large.step_time.base_s == roofline(70, SLOW, 4).base_s
        and large.shape.cache_blocks == int(148e9 / 327_680) // 16
    )
    assert (one.prices.fresh, one.prices.cached, one.prices.output) == pytest.approx((0.0032, 0.00032, 0.0064))
    assert model_agent("mine", billions=8, on=SLOW, name="a").step_time.base_s == one.step_time.base_s


def test_a_window_that_the_memory_does_not_hold_has_blocks_all_the_same() -> None:
    small = model_agent("m-8b", on=Accelerator(memory=33e9), most=1_000_000)
    assert small.shape.cache_blocks == 62_501 and small.shape.max_model_len == 1_000_000


def test_a_name_says_a_size_or_is_refused() -> None:
    assert [size_of(name) for name in ("qwen2.5-7b-instruct", "gemma-2-9b-it", "mixtral-8x22b", "L3-0.5B")] == [
        7.0, 9.0, 176.0, 0.5,
    ]  # fmt: skip
    for name in ("gpt-4", "qwen2.5", "7bit", "smollm2-135m"):
        with pytest.raises(StudyError, match=f"the name '{name}' says no number of parameters"):
            size_of(name)
    for billions in (0, -1.0):
        with pytest.raises(StudyError, match="expected more than nothing"):
            model_agent("llama-8b", billions=billions)
    with pytest.raises(StudyError, match="expected more than nothing of both"):
        roofline(8, devices=0)


def test_a_tables_fleet_has_its_models_at_its_prices() -> None:
    table = AnswerTable("t.json", ("p",), ("a-8b", "b-70b"), np.array([[0.5, 1.0]]), prices=[[1.0, 2.0], [3.0, 4.0]])
    assert [agent.name for agent in table_fleet(table)] == ["a-8b", "b-70b"]
    twins = table_fleet(table, ["b-70b"], copies=2)
    assert [agent.name for agent in twins] == ["b-70b#1", "b-70b#2"] and {agent.answers_as for agent in twins} == {
        "b-70b"
    }
    assert (twins[0].prices.fresh, twins[0].prices.cached, twins[0].prices.output) == (3.0, 3.0 / 10, 4.0)
    with pytest.raises(StudyError, match=r"t\.json has no model 'c'; its models are: a-8b, b-70b"):
        table_fleet(table, ["c"])
