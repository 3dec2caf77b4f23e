"""How long one engine step takes, fitted to a real engine; every figure simulated with it says where it came from."""

import json
from dataclasses import asdict, dataclass
from importlib.resources import files

from runtime.errors import EngineError


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds of one engine step that computes prompt tokens and continues running sequences.

    A step takes `base_s`, plus `prompt_token_s` for each prompt token computed, `sequence_s` for each sequence in it
    and `context_token_s` for each token that a continuing sequence attends to; a request adds `overhead_s` once, before
    its first step (HTTP, tokenising). `fitted_to` names the measurement; `first_token_error` and `latency_error` are
    the median relative errors on runs that were not fitted.
    """

    base_s: float
    prompt_token_s: float
    sequence_s: float
    context_token_s: float
    overhead_s: float
    fitted_to: str
    first_token_error: float
    latency_error: float

    def seconds(self, prompt_tokens: int, sequences: int, context_tokens: int) -> float:
        """Duration of one step."""
        return (
            self.base_s
            + self.prompt_token_s * prompt_tokens
            + self.sequence_s * sequences
            + self.context_token_s * context_tokens
        )

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
    return sorted(entry.name.removesuffix(".json") for entry in files("runtime").joinpath("calibration").iterdir())


def calibration(name: str) -> StepTime:
    """A calibration that ships.

    Raises:
        EngineError: no such calibration.
    """
    if name not in calibrations():
        raise EngineError(f"no calibration {name!r}; there are: {', '.join(calibrations())}")
    return StepTime(**json.loads(files("runtime").joinpath("calibration", f"{name}.json").read_text()))
