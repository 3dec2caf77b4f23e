"""Fitting a simulated engine's step time to a real engine, and saying how well it fits.

Runs are measured in bursts: the requests of a burst are sent at once, one at a time or several, with new prompts and
with prompts whose beginning the engine has seen. The step time that is fitted is the one under which the simulator
itself, given the same bursts, comes closest to the seconds that were measured. It is judged by bursts it was not
fitted to: three times two thirds are fitted and the other third is foretold, so that each burst is foretold once.

The calibrations that ship were fitted to the runs in tests/experiments/measured: `iemas calibrate --fit-only FILE`.
"""

import asyncio
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count, groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.errors import CalibrationError
from runtime import Engine, EngineShape, Message, Request, SimulatedEngine, StepTime, running
from runtime.engines.simulated.virtual_time import run

Conversation = tuple[Message, ...]

#: Requests sent at once, and in how many bursts; besides, each length of prompt is sent alone, new and repeated.
_CROWDS = ((2, 4), (4, 3), (8, 2))
#: Words of a prompt.
_LENGTHS = (10, 60, 160, 360, 760, 1400)
_WORDS = ("river", "stone", "market", "token", "engine", "price", "signal", "garden", "winter", "copper", "window")

#: Where the search begins: base, prompt token, sequence, context token, overhead, attention pair; seconds.
_START = (0.02, 0.002, 0.01, 1e-5, 0.02, 1e-6)
#: The search is begun twice, the second time where the first ended; evaluations of each.
_PATIENCE = (250, 250)
_FOLDS = 3
#: Requests sent at once reach a server about this far apart. The fit hardly depends on it, if only it is not 0.
_ARRIVAL_GAP_S = 0.001


@dataclass(frozen=True, slots=True)
class Run:
    """One measured request: the model, its burst, token counts, seconds to the first and to the last token."""

    model: str
    burst: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    first_token_s: float
    latency_s: float

    @classmethod
    def load(cls, path: Path) -> list["Run"]:
        """Runs of a JSON-lines file with these names as keys; those of a burst in the order they were sent.

        Raises:
            CalibrationError: the file cannot be read, a line lacks a key or holds what no engine measures.
        """
        try:
            runs = []
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                runs.append(cls(**{name: row[name] for name in cls.__slots__}))
                runs[-1].check()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CalibrationError(
                f"{path} is no measurement of runs: {error!r}; see `iemas calibrate --help`"
            ) from error
        return runs

    def to_json(self) -> str:
        """One line of such a file."""
        return json.dumps(asdict(self)) + "\n"

    def check(self) -> None:
        """Raise `ValueError` unless an engine can have measured this."""
        if not (0 <= self.cached_tokens < self.prompt_tokens and self.output_tokens >= 1):
            raise ValueError(f"token counts of {self}")
        if not 0 < self.first_token_s <= self.latency_s < math.inf:
            raise ValueError(f"seconds of {self}")


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted step time, and how far off it foretold the runs.

    `errors` is (runs, 2): first token and latency, simulated over measured, less 1, each foretold by a fit that had
    not seen it. `sent_at_once` is (runs,): the size of the run's burst.
    """

    step_time: StepTime
    sent_at_once: NDArray[np.int64]
    errors: NDArray[np.float64]


def plan(seed: int = 7) -> list[list[Conversation]]:
    """What to measure: bursts of conversations; all but a conversation's first message repeats nothing."""
    rng = random.Random(seed)

    def say(words: int) -> Message:
        return Message("user", " ".join(rng.choice(_WORDS) for _ in range(words)))

    def repeated(words: int) -> Conversation:
        return say(words), Message("assistant", "I see."), say(rng.randint(5, 60))

    bursts: list[list[Conversation]] = []
    for words in _LENGTHS:
        bursts += [[(say(words),)], [repeated(words)]]
    for size, times in _CROWDS:
        for _ in range(times):
            lengths = [rng.choice(_LENGTHS[:-1]) for _ in range(size)]
            burst = [repeated(words) if k % 2 else (say(words),) for k, words in enumerate(lengths)]
            rng.shuffle(burst)
            bursts.append(burst)
    return bursts


async def measure(engine: Engine, burst: Sequence[Conversation], number: int, max_tokens: int) -> list[Run]:
    """Send a burst and time it; what a conversation repeats, its first message, is sent before, alone.

    Raises:
        EngineError: the engine died.
    """
    model = (await engine.start()).model

    def request(k: int, messages: Conversation, tokens: int) -> Request:
        return Request(f"{number}-{k}", "calibration", messages, tokens)

    for k, messages in enumerate(burst):
        if len(messages) > 1:
            await engine.generate(request(k, messages[:1], 1))
    done = await asyncio.gather(*(engine.generate(request(k, one, max_tokens)) for k, one in enumerate(burst)))
    return [
        Run(
            model,
            number,
            one.prompt_tokens,
            one.cached_tokens,
            one.output_tokens,
            round(one.first_token_s, 4),
            round(one.latency_s, 4),
        )
        for one in done
    ]


def fit(
    runs: Sequence[Run],
    *,
    fitted_to: str = "",
    max_num_seqs: int = 16,
    max_num_batched_tokens: int = 2048,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Fit:
    """The step time under which the simulator comes closest to measured runs, and its errors on runs held out.

    Minimises the mean absolute log ratio of first-token time and latency (Nelder and Mead 1965, on log parameters).

    Args:
        runs: at least six bursts, each in the order its requests were sent.
        fitted_to: what was measured, for every table that is simulated with the result; by default the model.
        max_num_seqs: of the measured server, as is `max_num_batched_tokens`.
        progress: called with the fraction done.

    Raises:
        CalibrationError: fewer than six bursts, or several models.
    """
    ordered = sorted(runs, key=lambda one: one.burst)
    bursts = [list(group) for _, group in groupby(ordered, key=lambda one: one.burst)]
    if len(bursts) < 2 * _FOLDS:
        raise CalibrationError(
            f"{len(bursts)} bursts; two in three are fitted and the rest judge, so measure at least {2 * _FOLDS}"
        )
    models = sorted({one.model for one in runs})
    if len(models) > 1:
        raise CalibrationError(f"these are runs of {len(models)} models, {', '.join(models)}; fit one at a time")
    label = fitted_to or f"{models[0]}, {len(runs)} runs in bursts of 1 to {max(map(len, bursts))}"
    tokens = sum(one.prompt_tokens + one.output_tokens for one in runs)
    # Every block size that divides the cached tokens gives the same hits; the largest is the quickest.
    block = math.gcd(*(one.cached_tokens for one in runs)) or 16
    shape = EngineShape(block, tokens // block + 2 * len(runs) + 2, max_num_seqs, max_num_batched_tokens, tokens)
    evaluations = count(1)

    def counted() -> None:
        progress(min(1.0, next(evaluations) / ((_FOLDS + 1) * sum(_PATIENCE))))

    errors = np.empty((len(runs), 2))
    fold_of = np.array([k % _FOLDS for k, burst in enumerate(bursts) for _ in burst])
    for fold in range(_FOLDS):
        others = [burst for k, burst in enumerate(bursts) if k % _FOLDS != fold]
        found = _search(others, shape, label, counted)
        errors[fold_of == fold] = _ratios(bursts[fold::_FOLDS], found, shape) - 1
    first_token, latency = (round(float(error), 3) for error in np.median(np.abs(errors), axis=0))
    found = _search(bursts, shape, label, counted)
    progress(1.0)
    sizes = np.array([len(burst) for burst in bursts for _ in burst])
    return Fit(replace(found, first_token_error=first_token, latency_error=latency), sizes, errors)


def _search(
    bursts: Sequence[Sequence[Run]], shape: EngineShape, fitted_to: str, counted: Callable[[], None]
) -> StepTime:
    from scipy.optimize import minimize

    def guess(logs: NDArray[np.float64]) -> StepTime:
        base, prompt, sequence, context, overhead, pair = (float(f"{value:.4g}") for value in np.exp(logs))
        return StepTime(base, prompt, sequence, context, overhead, fitted_to, 0.0, 0.0, pair, _ARRIVAL_GAP_S)

    def distance(logs: NDArray[np.float64]) -> float:
        counted()
        return float(np.abs(np.log(_ratios(bursts, guess(logs), shape))).mean())

    best = np.log(_START)
    for evaluations in _PATIENCE:
        options = {"maxfev": evaluations, "xatol": 0.01, "fatol": 1e-4, "adaptive": True}
        best = minimize(distance, best, method="Nelder-Mead", options=options).x
    return guess(best)


def _ratios(bursts: Sequence[Sequence[Run]], step_time: StepTime, shape: EngineShape) -> NDArray[np.float64]:
    """(runs, 2) simulated over measured: first token, latency."""
    simulated = run(_replay(bursts, step_time, shape), virtual=True)
    measured = np.array([(one.first_token_s, one.latency_s) for burst in bursts for one in burst])
    ratios: NDArray[np.float64] = np.asarray(simulated) / measured
    return ratios


async def _replay(
    bursts: Sequence[Sequence[Run]], step_time: StepTime, shape: EngineShape
) -> list[tuple[float, float]]:
    engine = SimulatedEngine("replay", lambda request: "", step_time, shape)
    fresh = count()
    took = []
    async with running([engine]):
        for burst in bursts:
            prompts = [[next(fresh) for _ in range(one.prompt_tokens)] for one in burst]
            for one, prompt in zip(burst, prompts, strict=True):
                if one.cached_tokens:
                    await engine.generate_tokens(prompt[: one.cached_tokens], [0])
            done = await asyncio.gather(
                *(
                    engine.generate_tokens(prompt, [next(fresh) for _ in range(one.output_tokens)])
                    for one, prompt in zip(burst, prompts, strict=True)
                )
            )
            took += [(completion.first_token_s, completion.latency_s) for completion in done]
    return took
