"""Agents of models that nobody could run here: step times of a roofline, assumed and labelled so in every table.

A step computes at the accelerator's rate or reads the weights at its bandwidth, whichever takes longer (Williams,
Waterman and Patterson 2009; for transformers Pope et al. 2022): a prompt token costs two operations a parameter, a step
of running sequences reads every parameter once, and each running sequence its keys and values. `StepTime` is a sum and
not a maximum, so that a step is overestimated by at most a factor of two where both are equal.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.worlds.traffic.agents import SimulatedAgent
from prediction import TokenPrices
from runtime import EngineShape
from runtime.engines.simulated.step_time import StepTime

#: `7b`, and `8x7b` of a mixture, all of whose experts are counted.
_SIZE = re.compile(r"(?<![\d.])(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z])", re.IGNORECASE)
#: Credits of a token, input and output, of a model of a billion parameters, where a table states no prices.
_PER_BILLION = (0.0004, 0.0008)


@dataclass(frozen=True, slots=True)
class Accelerator:
    """What a model runs on: operations a second that are reached, bytes a second that are read, bytes of memory.

    The default is the share of an accelerator's data sheet that serving usually reaches: half of 990 TFLOP/s in
    bfloat16, three quarters of 3.35 TB/s, 80 GB.
    """

    name: str = "an 80 GB accelerator at half its peak"
    flops: float = 495e12
    bandwidth: float = 2.5e12
    memory: float = 80e9


def roofline(billions: float, on: Accelerator | None = None, devices: int = 1) -> StepTime:
    """The step time of a dense model in bfloat16 over devices that share its work evenly.

    Raises:
        StudyError: no parameters, or no device.
    """
    on = on or Accelerator()
    if not billions > 0 or devices < 1:
        raise StudyError(f"{billions} billion parameters on {devices} devices; expected more than nothing of both")
    parameters = billions * 1e9
    return StepTime(
        base_s=0.002 + 2 * parameters / (on.bandwidth * devices),
        prompt_token_s=2 * parameters / (on.flops * devices),
        sequence_s=5e-5,
        context_token_s=kv_bytes(billions) / (on.bandwidth * devices),
        overhead_s=0.005,
        fitted_to=f"an assumed roofline, not a measurement: {billions:g} billion parameters on {devices} x {on.name}",
        first_token_error=float("nan"),
        latency_error=float("nan"),
    )


def model_agent(
    model: str,
    prices: TokenPrices | None = None,
    *,
    billions: float | None = None,
    name: str = "",
    on: Accelerator | None = None,
    most: int = 32_768,
) -> SimulatedAgent:
    """A simulated agent that answers as a model of a table, on as few devices as hold it and as much cache again.

    Args:
        billions: its parameters; default: as its name says, such as 7b.
        prices: credits a token; default: in proportion to its size.
        most: tokens of a prompt with its answer.

    Raises:
        StudyError: the name says no size.
    """
    on = on or Accelerator()
    size = size_of(model) if billions is None else billions
    if not size > 0:
        raise StudyError(f"{model} with {size} billion parameters; expected more than nothing")
    weights = 2e9 * size
    devices = max(1, -(-int(2 * weights) // int(on.memory)))
    room = (devices * on.memory * 0.9 - weights) / kv_bytes(size)
    shape = EngineShape(
        block_size=16,
        cache_blocks=max(int(room) // 16, -(-most // 16) + 1),
        max_num_seqs=64,
        max_num_batched_tokens=8192,
        max_model_len=most,
    )
    listed = prices or TokenPrices(_PER_BILLION[0] * size, _PER_BILLION[0] * size / 10, _PER_BILLION[1] * size)
    timing = roofline(size, on, devices)
    return SimulatedAgent(name or model, "roofline", shape, listed, model=model, timing=timing)


def table_fleet(table: AnswerTable, models: Sequence[str] = (), copies: int = 1) -> tuple[SimulatedAgent, ...]:
    """Agents for the models of a table, at its prices (a cached token at a tenth of an input token's).

    Args:
        models: which; default all.
        copies: agents of each.

    Raises:
        StudyError: the table has no such model, or its name says no size.
    """
    found = []
    for model in models or table.models:
        if model not in table.models:
            raise StudyError(f"{table.title} has no model {model!r}; its models are: {', '.join(table.models)}")
        prices = None
        if table.prices is not None:
            fresh, output = map(float, table.prices[table.models.index(model)])
            prices = TokenPrices(fresh, fresh / 10, output)
        names = [model] if copies == 1 else [f"{model}#{k + 1}" for k in range(copies)]
        found += [model_agent(model, prices, name=name) for name in names]
    return tuple(found)


def size_of(model: str) -> float:
    """Billions of parameters, as a model's name says.

    >>> size_of("qwen2.5-7b-instruct"), size_of("mixtral-8x7b")
    (7.0, 56.0)

    Raises:
        StudyError: it says none.
    """
    said = _SIZE.findall(model)
    if not said:
        raise StudyError(
            f"the name {model!r} says no number of parameters, such as 7b; give it as `billions` of its agent"
        )
    experts, each = said[-1]
    return float(experts or 1) * float(each)


def kv_bytes(billions: float) -> float:
    """Bytes of keys and values that a token takes in bfloat16, with grouped queries: 128 KiB at 8 billion parameters,
    320 KiB at 70, and in between on the line through both."""
    return 1024 * (128 + (billions - 8) * (320 - 128) / 62) if billions > 8 else 1024 * 16 * billions
