"""When does affinity suffice, when a posted price, and when does the auction pay? A grid from alike to very unlike.

Four simulated agents, two of them quick, cheap and poor, two slow, dear and good, as far apart as `spread` says: at 0
all four are alike, at 0.5 about as far apart as two models of 135 and 500 million parameters, at 1 twice as far on
every logarithmic scale. Bidders' worth and delay cost keep their medians and spread likewise. What is the same in every
cell is the fleet's mean price and speed, by the geometric mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from experiments.errors import StudyError
from experiments.studies.arena.pairs import Difference
from experiments.studies.findings.exhibits.exhibit import Exhibit, Interval, Progress, Value
from experiments.studies.study import Dialogues, Study, StudyResult
from experiments.studies.study.keeping.kept import Kept
from experiments.worlds.presets import DELAY_COSTS, WORTHS, Preset, find_preset
from experiments.worlds.traffic.agents import SimulatedAgent
from mechanisms import Preferences
from prediction import TokenPrices
from runtime import EngineShape, calibration

AUCTION = "iemas"
RIVALS = ("cache-aware", "cache-aware-best", "posted", "c-mu")
SPREADS = (0.0, 0.5, 1.0)
BIDDERS = (0.0, 1.0)

_SKILL, _SKILL_APART = 0.6, 0.3
#: Credits of a prompt token at spread 0; cached tokens cost a tenth, output twice as much.
_PRICE = 0.01 * sqrt(2)
#: Times as long and as dear at spread 1, from the mean to either side.
_SLOWER, _DEARER = 4.0, 2.0
_SHAPE = EngineShape(block_size=32, cache_blocks=512)


@dataclass(frozen=True, slots=True)
class Capacity:
    """How scarce it is: dialogues that begin a second, requests that an agent may serve at once, and how long rounds
    gather (the preset's few milliseconds by default)."""

    name: str
    rate: float
    slots: int | None
    window_s: float | None = None

    def said(self) -> str:
        """In words."""
        gathered = "" if self.window_s is None else f", rounds that gather for {self.window_s:g} s"
        return (
            f"{self.name}: {self.rate:g} dialogues a second, {self.slots or 'all its engine takes'} at once{gathered}"
        )

    def of(self, preset: Preset) -> Preset:
        """The bidders, in such rounds."""
        return preset if self.window_s is None else replace(preset, window_s=self.window_s, max_batch=64)


CAPACITIES = (
    Capacity("slack", 0.2, None),
    Capacity("busy", 2.0, None),
    Capacity("scarce", 2.0, 1),
    Capacity("gathered", 5.0, 2, 1.0),
)


def fleet(spread: float) -> tuple[SimulatedAgent, ...]:
    """Two agents on either side of the mean.

    Raises:
        StudyError: the spread is not within [0, 1].
    """
    _within(spread, "fleet")
    found = []
    for side, kind in ((-1, "quick"), (1, "good")):
        apart = side * spread
        price = _PRICE * _DEARER**apart
        listed = TokenPrices(price, price / 10, 2 * price)
        # Twice the small model's step is about the geometric mean of both that were measured.
        timing = calibration("smollm2-135m-cpu").scaled(2 * _SLOWER**apart)
        skill = _SKILL + _SKILL_APART * apart
        found += [SimulatedAgent(f"{kind}-{twin}", "scaled", _SHAPE, listed, skill, timing=timing) for twin in "ab"]
    return tuple(found)


def bidders(spread: float) -> Preset:
    """Bidders whose worth and delay cost are log-uniform around fixed medians, independently.

    Raises:
        StudyError: the spread is not within [0, 1].
    """
    _within(spread, "bidders")

    def draw(rng: np.random.Generator) -> Preferences:
        places = 0.5 + spread * (rng.random(2) - 0.5)
        worth, delay = (low * (high / low) ** at for at, (low, high) in zip(places, (WORTHS, DELAY_COSTS), strict=True))
        return Preferences(float(worth), float(delay))

    return replace(find_preset("differing"), draw=draw, description=f"spread {spread:g}")


def run(
    *,
    seeds: Sequence[int],
    workers: int | str | None,
    progress: Progress,
    kept: Kept | None = None,
    spreads: Sequence[float] = SPREADS,
    bidder_spreads: Sequence[float] = BIDDERS,
    capacities: Sequence[Capacity] = CAPACITIES,
    dialogues: int = 20,
) -> Exhibit:
    """Play every cell.

    Raises:
        StudyError: a spread is not within [0, 1], or there is no cell.
    """
    fleets: dict[str, Sequence[SimulatedAgent]] = {f"{one:g}": fleet(one) for one in spreads}
    presets = [bidders(one) for one in bidder_spreads]
    if not (fleets and presets and capacities):
        raise StudyError("a grid without a cell; give a spread of fleets and of bidders, and a capacity")
    rows: list[tuple[Value, ...]] = []
    each = len(fleets) * len(presets) * (1 + len(RIVALS)) * len(seeds)
    made, talks = None, 0
    for k, capacity in enumerate(capacities):
        study = Study(
            Dialogues("shipped", rate=capacity.rate, dialogues=dialogues),
            (AUCTION, *RIVALS),
            seeds,
            fleets,
            [capacity.of(one) for one in presets],
            capacity.slots,
            name="heterogeneity",
        )
        result = study.run(workers=workers, progress=_after(k * each, each * len(capacities), progress), kept=kept)
        made = made or result.made
        places = [(b, f) for b in bidder_spreads for f in spreads]
        drawn = [cell.workload.draw(cell.bidders, seeds[0]) for cell in study.cells]
        turns, talks = [load.turns for load in drawn], len(drawn[0].names)
        for (b, f), cell, count in zip(places, result.cells, turns, strict=True):
            gains = [_each(result, other, cell, count) for other in RIVALS]
            welfare = result.mean(AUCTION, "welfare", cell) / count
            contested = _percent(result.mean(AUCTION, "contested", cell))
            setting = f"{capacity.name}, bidders {b:g}"
            rows.append((setting, f, winners(result, cell), welfare, *gains, contested))
    assert made is not None
    said = "; ".join(one.said() for one in capacities)
    return Exhibit(
        "heterogeneity",
        "When does affinity suffice, when does a posted price, and when does the auction pay?",
        (
            "setting",
            "agents apart",
            "who wins",
            "auction, credits a turn",
            *(f"over {name}, credits a turn" for name in RIVALS),
            "contested, % of matches",
        ),
        tuple(rows),
        (
            f"Simulated: {talks} shipped dialogues in virtual time on four agents; capacity {said}.",
            f"Agents apart 0 to 1: skill {_SKILL:g} -+ {_SKILL_APART:g}, price / and * {_DEARER:g}, step time / and * "
            f"{_SLOWER:g}; bidders apart 0 to 1: worth {sqrt(WORTHS[0] * WORTHS[1]):.3g} to log-uniform in "
            f"[{WORTHS[0]:g}, {WORTHS[1]:g}] credits, delay {sqrt(DELAY_COSTS[0] * DELAY_COSTS[1]):.3g} to "
            f"[{DELAY_COSTS[0]:g}, {DELAY_COSTS[1]:g}] credits a second.",
            "Measured is the shape of step times alone, which is scaled; skills and prices are assumed.",
            f"Differences are paired over {len(seeds)} seeds, 95 % by the bootstrap over seeds and conversations; who "
            "wins is whoever has the greatest welfare, and all that 95 % does not tell from it. Nothing is corrected "
            "for the number of cells.",
            "Bidders report the truth to all; what misreports would do to a policy without payments is not shown. "
            "A posted price and c-mu have the auction's own forecasts, c-mu believes what bidders say.",
        ),
        made,
        "agents apart",
        f"over {RIVALS[0]}, credits a turn",
        "setting",
    )


def winners(result: StudyResult, cell: str) -> str:
    """Whoever has the greatest welfare in a cell, and who is not told from it at 95 %, the greatest first."""
    ordered = sorted(result.policies, key=lambda name: -result.mean(name, "welfare", cell))
    best = ordered[0]
    rest = [name for name in ordered[1:] if not result.gain(name, of=best, cell=cell).low > 0]
    return ", ".join((best, *rest))


def _each(result: StudyResult, other: str, cell: str, turns: int) -> Interval:
    """A difference in credits a turn: shares of a welfare near nothing would say nothing."""
    gain: Difference = result.gain(other, cell=cell)
    unit = abs(result.mean(other, "welfare", cell)) / turns
    return Interval(gain.share * unit, gain.low * unit, gain.high * unit)


def _after(before: int, total: int, progress: Progress) -> Callable[[int, int], None]:
    return lambda done, _: progress(before + done, total)


def _percent(share: float) -> float:
    return round(100 * share, 1)


def _within(spread: float, what: str) -> None:
    if not 0.0 <= spread <= 1.0:
        raise StudyError(f"spread {spread} of {what}; expected a number in [0, 1]")
