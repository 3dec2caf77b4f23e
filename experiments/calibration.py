"""Fitting a simulated engine's step time to a real engine, and saying how well it fits.

Runs are measured in bursts: the requests of a burst start together, bursts follow each other. Two bursts in three are
fitted, by running the simulator itself on them; the third is kept to judge the fit by.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.errors import CalibrationError
from runtime import EngineShape, SimulatedEngine, StepTime, running
from runtime.virtual_time import run

#: Where the search begins: base, prompt token, sequence, context token, overhead; seconds.
_START = (0.02, 0.002, 0.01, 1e-5, 0.02)


@dataclass(frozen=True, slots=True)
class Run:
    """One measured request: its burst, token counts, seconds to the first and to the last token."""

    batch: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    first_token_s: float
    latency_s: float

    @classmethod
    def load(cls, path: Path) -> list["Run"]:
        """Runs of a JSON-lines file with these names as keys.

        Raises:
            CalibrationError: the file cannot be read, or a line lacks a key.
        """
        try:
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            return [cls(**{name: row[name] for name in cls.__slots__}) for row in rows]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CalibrationError(
                f"{path} is no measurement of runs: {error!r}; see `iemas calibrate --help`"
            ) from error


def fit(runs: Sequence[Run], *, fitted_to: str, shape: EngineShape) -> StepTime:
    """The step time under which the simulator comes closest to measured runs.

    Minimises the mean absolute log ratio of first-token time and latency (Nelder and Mead 1965, on log parameters).

    Args:
        runs: at least three bursts.
        fitted_to: what was measured, for every table that is simulated with the result.
        shape: the measured engine's block size and limits.

    Raises:
        CalibrationError: fewer than three bursts.
    """
    from scipy.optimize import minimize

    bursts = [list(group) for _, group in groupby(sorted(runs, key=lambda one: one.batch), key=lambda one: one.batch)]
    if len(bursts) < 3:
        raise CalibrationError(
            f"{len(bursts)} bursts; two in three are fitted and the rest judge, so measure at least 3"
        )
    held_out = bursts[2::3]
    fitted = [burst for k, burst in enumerate(bursts) if k % 3 != 2]

    def guess(logs: NDArray[np.float64]) -> StepTime:
        base, prompt, sequence, context, overhead = (float(f"{value:.4g}") for value in np.exp(logs))
        return StepTime(base, prompt, sequence, context, overhead, fitted_to, 0.0, 0.0)

    best = minimize(
        lambda logs: float(np.abs(np.log(_ratios(fitted, guess(logs), shape))).mean()),
        np.log(_START),
        method="Nelder-Mead",
        options={"maxfev": 400, "xatol": 0.01, "fatol": 1e-4},
    )
    found = guess(best.x)
    errors = np.median(np.abs(_ratios(held_out, found, shape) - 1), axis=0)
    return replace(found, first_token_error=round(float(errors[0]), 3), latency_error=round(float(errors[1]), 3))


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
