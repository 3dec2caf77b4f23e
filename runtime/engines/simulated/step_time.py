"""How long one engine step takes, fitted to a real engine; every figure simulated with it names the measurement."""

import json
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from math import isfinite
from pathlib import Path
from typing import Self

from runtime.errors import EngineError


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds of one engine step that computes prompt tokens and continues running sequences.

    A step takes `base_s`, plus `prompt_token_s` for each prompt token computed, `attention_pair_s` for each pair of
    such a token and one that it attends to (itself or earlier: quadratic in long prompts), `sequence_s` for each
    sequence in the step and `context_token_s` for each token that a continuing sequence attends to.

    A request reaches the scheduler `overhead_s` after it was sent (HTTP, tokenising), and requests that were sent at
    once arrive `arrival_gap_s` apart: the first of them then finds an idle engine and gets a step to itself.

    `fitted_to` names the measurement; `first_token_error` and `latency_error` are the median relative errors on runs
    that were not fitted.
    """

    base_s: float
    prompt_token_s: float
    sequence_s: float
    context_token_s: float
    overhead_s: float
    fitted_to: str
    first_token_error: float
    latency_error: float
    attention_pair_s: float = 0.0
    arrival_gap_s: float = 0.0

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A step time that `to_json` wrote, such as one of `iemas calibrate --save`.

        Raises:
            EngineError: the file cannot be read, or is no such thing.
        """
        try:
            row = json.loads(Path(path).read_text(encoding="utf-8"))
            numbers = {name: float(value) for name, value in row.items() if name != "fitted_to"}
            return cls(fitted_to=str(row["fitted_to"]), **numbers)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineError(f"{path} is no calibration: {error!r}; `iemas calibrate --save` writes one") from error

    def seconds(self, prompt_tokens: int, sequences: int, context_tokens: int, attention_pairs: int = 0) -> float:
        """Duration of one step."""
        return (
            self.base_s
            + self.prompt_token_s * prompt_tokens
            + self.attention_pair_s * attention_pairs
            + self.sequence_s * sequences
            + self.context_token_s * context_tokens
        )

    def scaled(self, times: float) -> Self:
        """The same engine with every step `times` as long; how requests reach it stays.

        Raises:
            EngineError: no engine is like that.
        """
        if not (isfinite(times) and times > 0):
            raise EngineError(f"steps {times} times as long; expected a number above 0")
        parts = ("base_s", "prompt_token_s", "attention_pair_s", "sequence_s", "context_token_s")
        longer = {name: times * getattr(self, name) for name in parts}
        return replace(self, **longer, fitted_to=f"{times:g} times the step of {self.fitted_to}")

    def to_json(self) -> str:
        """The calibration file's text."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def __str__(self) -> str:
        return (
            f"fitted to {self.fitted_to}; on held-out runs its median error is "
            f"{self.first_token_error:.0%} of time to first token, {self.latency_error:.0%} of latency"
        )


def calibrations() -> list[str]:
    """Names of the calibrations that ship."""
    return sorted(entry.name.removesuffix(".json") for entry in _shipped().iterdir())


def calibration(name_or_path: str | Path) -> StepTime:
    """A calibration that ships, by its name, or your own, by its file (one that ends in .json).

    Raises:
        EngineError: no such calibration.
    """
    name = str(name_or_path)
    if name in calibrations():
        return StepTime.load(Path(str(_shipped().joinpath(f"{name}.json"))))
    if name.endswith(".json"):
        return StepTime.load(name)
    raise EngineError(f"no calibration {name!r}; there are: {', '.join(calibrations())}, or a .json file of your own")


def _shipped() -> Traversable:
    return files("runtime.engines.simulated").joinpath("calibration")
