"""`SimulatedAgent`: one engine of a simulated fleet, what it charges, and how good its answers are."""

import hashlib
from dataclasses import dataclass

from experiments.errors import StudyError
from prediction import TokenPrices
from runtime import EngineShape, calibration
from runtime.engines.simulated.step_time import StepTime


@dataclass(frozen=True, slots=True)
class SimulatedAgent:
    """One engine of a simulated fleet.

    `calibration` names how fast it is, or is a file; `timing` is the step time itself, and counts before it. `skill` is
    the assumed chance of a right answer, where no table of measured scores says better; there, `model` is whose scores
    it has (its own name by default). `prices` are credits per token.

    Raises:
        StudyError: the skill is no chance.
    """

    name: str
    calibration: str
    shape: EngineShape
    prices: TokenPrices
    skill: float = 0.5
    model: str = ""
    timing: StepTime | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.skill <= 1.0:
            raise StudyError(f"agent {self.name!r} has skill {self.skill}; expected a chance in [0, 1]")

    @property
    def step_time(self) -> StepTime:
        """How long its steps take."""
        return calibration(self.calibration) if self.timing is None else self.timing

    @property
    def answers_as(self) -> str:
        """The model whose scores it has."""
        return self.model or self.name


def drawn_right(chance: float, agent: str, seed: int, request: str) -> bool:
    """Whether an agent is right about the request of this id: drawn once and for all."""
    draw = hashlib.blake2b(f"{seed}/{agent}/{request}".encode(), digest_size=8).digest()
    return int.from_bytes(draw) < chance * 2**64
