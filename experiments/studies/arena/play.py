"""One run of the arena: a policy in a cell at a seed."""

from collections.abc import Callable
from dataclasses import dataclass

from experiments.data import Corpus, Dialogue, arrivals
from experiments.worlds.fleets import FLEET, simulated_fleet
from experiments.worlds.presets import Preset
from experiments.worlds.running.run import Held, hold_traffic
from experiments.worlds.running.scores import DELAYS, Score, Scoring
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.traffic.dialogues import DialogueTraffic, dialogue_traffic
from runtime import Policy, running
from runtime.accounts.sums import SumsLedger
from runtime.engines.simulated.virtual_time import run

__all__ = ["DELAYS", "Cell", "Score", "play"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A world: dialogues, how many begin a second, who bids, which agents, how many requests an agent may serve.

    `warm_up` are dialogues that are none of them, which agents have answered before (`warm_up.lessons`).
    """

    name: str
    corpora: tuple[Corpus, ...]
    rate: float
    preset: Preset
    fleet: tuple[SimulatedAgent, ...] = FLEET
    slots: int | None = None
    think_time_s: float = 5.0
    max_tokens: int = 48
    warm_up: tuple[Dialogue, ...] = ()

    def workload(self, seed: int) -> DialogueTraffic:
        """Who talks about what, and when."""
        dialogues = sum(len(corpus.dialogues) for corpus in self.corpora)
        return dialogue_traffic(
            self.corpora,
            arrivals(dialogues, rate_per_s=self.rate, think_time_s=self.think_time_s, seed=seed),
            bidders=self.preset.bidders,
            preferences=self.preset.draw,
            max_tokens=self.max_tokens,
            seed=seed,
        )


def play(make: Callable[[int], Policy], cell: Cell, seed: int) -> Score:
    """Run one policy in virtual time."""
    load = cell.workload(seed)
    scoring = Scoring(load, cell.fleet)

    async def hold() -> Held:
        engines, lists = simulated_fleet(load, cell.fleet)
        prices = lists if cell.preset.prices is None else [cell.preset.prices] * len(engines)
        async with running(engines):
            with SumsLedger() as ledger:
                return await hold_traffic(
                    make(seed),
                    load,
                    engines,
                    prices,
                    rounds=cell.preset.rounds(cell.slots),
                    ledger=ledger,
                    ended=scoring,
                )

    held = run(hold(), virtual=True)
    return scoring.score(held.statistics, held.seconds)
