"""What wrong predictions cost the auctioneer, bidders and agents under each settlement, and what budget covers it."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from allocation import MICROS, MinCostFlow
from experiments.errors import StudyError
from experiments.results.made import made_here
from experiments.studies.findings.exhibits.exhibit import Exhibit, Progress, Value, interval
from experiments.studies.findings.rules.served import World, serve
from experiments.studies.study.keeping.kept import Kept, cells_said, finish
from mechanisms import VCG, Mechanism
from mechanisms.settlement import OnDelivery, OnMeasurement, OnPrediction, Settlement
from prediction import RIGHT
from runtime import Auction, Fleet, Offer, Served
from runtime.accounts.settling import settled
from runtime.policies.forecast import Forecaster, Outlook

WORLD = World(copies=2, bidders=20)
#: A forecast quality is no less: on-delivery divides by it.
FLOOR = 0.05
#: Rounds for which a budget is to last, and sequences of them that are drawn.
HORIZON, _DRAWS = 100, 1_000


@dataclass(frozen=True, slots=True)
class Error:
    """What is wrong with forecasts: factors of cost and of time to compute, what is added to quality; and noise.

    Noise is the standard deviation of the logarithm of a factor, or of what is added to quality, and is drawn for each
    request and agent.
    """

    cost: float = 1.0
    quality: float = 0.0
    latency: float = 1.0
    cost_noise: float = 0.0
    quality_noise: float = 0.0
    latency_noise: float = 0.0


ERRORS: Mapping[str, Error] = {
    "as shipped": Error(),
    "cost x 0.7": Error(cost=0.7),
    "cost x 1.3": Error(cost=1.3),
    "cost noise 0.3": Error(cost_noise=0.3),
    "quality - 0.2": Error(quality=-0.2),
    "quality + 0.2": Error(quality=0.2),
    "quality noise 0.2": Error(quality_noise=0.2),
    "latency x 0.5": Error(latency=0.5),
    "latency x 2": Error(latency=2.0),
    "latency noise 0.5": Error(latency_noise=0.5),
}
SETTLEMENTS: Mapping[str, Settlement] = {
    "on-prediction": OnPrediction(),
    "on-measurement": OnMeasurement(),
    "on-delivery": OnDelivery(),
}


class Mistaken(Forecaster):
    """The shipped forecasts, made wrong; what it learns from is not."""

    def __init__(self, error: Error, seed: int) -> None:
        super().__init__()
        self._error, self._seed = error, seed

    def look(self, offers: Sequence[Offer], fleet: Fleet) -> Outlook:
        """As shipped, and then wrong: alike whenever a request is looked at again, whatever is reported of it."""
        found, wrong = super().look(offers, fleet), self._error
        drawn = np.stack(
            [
                np.random.default_rng([self._seed, zlib.crc32(one.request.id.encode())]).standard_normal(
                    (3, len(fleet.agents))
                )
                for one in offers
            ]
        )
        return replace(
            found,
            # A factor of noise is 1 on average.
            cost=found.cost * wrong.cost * _factor(wrong.cost_noise, drawn[:, 0]),
            quality=np.clip(found.quality + wrong.quality + wrong.quality_noise * drawn[:, 1], FLOOR, 1.0),
            service=found.service * wrong.latency * _factor(wrong.latency_noise, drawn[:, 2]),
        )


def _factor(noise: float, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.exp(noise * drawn - noise**2 / 2)
    return found


@dataclass(frozen=True, slots=True)
class Part:
    """One seed's world under every error."""

    seed: int
    world: World
    horizon: int


#: By error and settlement, in credits a request: surplus, agents' net, bidders' loss, share of losers (%); the budget.
Found = dict[tuple[str, str], tuple[float, float, float, float, float]]


def run(
    *,
    seeds: Sequence[int],
    workers: int | str | None,
    progress: Progress,
    kept: Kept | None = None,
    world: World = WORLD,
    horizon: int = HORIZON,
) -> Exhibit:
    """Answer it.

    Args:
        horizon: rounds for which a budget is to last.

    Raises:
        StudyError: there is no seed or no round.
    """
    if not seeds or horizon < 1:
        raise StudyError(f"{len(seeds)} seeds, {horizon} rounds; expected one of each at least")
    parts = [Part(seed, world, horizon) for seed in seeds]
    found = finish(kept, answer, parts, cells_said(world.cell()), workers, progress)

    def row(error: str, settlement: str) -> tuple[Value, ...]:
        each = np.array([one[error, settlement] for one in found]).T
        return f"{error}, {settlement}", *(interval(values) for values in each)

    return Exhibit(
        name="budget",
        question="Who bears wrong predictions under each settlement, and what budget does the auctioneer need?",
        columns=(
            "error and settlement",
            "auctioneer's surplus, credits a request",
            "agents' receipts less cost, credits a request",
            "bidders' ex-post losses, credits a request",
            "requests that end below zero for their bidder, %",
            f"budget for {horizon} rounds at 95 %, credits",
        ),
        rows=tuple(row(error, settlement) for error in ERRORS for settlement in SETTLEMENTS),
        notes=(
            f"Worlds: {world}. Engines are simulated at speeds fitted to real vLLM, answers of its models to these "
            "very turns were graded beforehand; preferences are drawn, and reported as they are.",
            f"iemas serves with forecasts that are made wrong after it has learnt; {len(seeds)} seeds, intervals over "
            "them. The three settlements are applied to the same served requests: what was auctioned, what was "
            "measured, whether the answer was right.",
            "Surplus includes the auction's fees. Latency is the time to compute a prompt; noise of a factor has this "
            "deviation of its logarithm and mean 1, drawn for each request and agent. Quality is cut to "
            f"[{FLOOR}, 1]: on-delivery divides by it, and where a forecast says 0 a right answer would cost its "
            "bidder a million times the charge.",
            "A bidder's end: worth if the answer was right, less measured delay, less the final charge; wrong answers "
            "cost their bidder under every settlement but on-delivery. Losses are of served requests that end below 0.",
            f"Budget: the deepest that the sum of surpluses falls below zero within {horizon} rounds, exceeded in one "
            f"of 20 sequences of rounds drawn from a seed's own ({_DRAWS:,} of them): what is due in later rounds "
            "because of earlier ones is not in it, and rounds are taken as independent.",
        ),
        made=replace(made_here(), seeds=tuple(seeds), sources=dict(world.cell().workload.sources)),
    )


def answer(part: Part) -> Found:
    """Serve one seed's world under every error, and settle it in every way."""
    cell, found = part.world.cell(), {}
    for name, error in ERRORS.items():

        def forecaster(error: Error = error) -> Forecaster:
            return Mistaken(error, part.seed)

        policy = Auction(Mechanism(MinCostFlow(), VCG()), forecaster)
        types = cell.workload.draw(cell.bidders, part.seed).types
        ends = [one for one in serve(cell, policy, part.seed, keep=True).ends if isinstance(one, Served)]
        for title, settlement in SETTLEMENTS.items():
            surplus, agents, bidders = np.zeros((3, len(ends)))
            for k, one in enumerate(ends):
                charge, receipt = final(settlement, one)
                true = types[one.request.bidder]
                right = one.quality is not None and one.quality >= RIGHT
                surplus[k], agents[k] = (charge - receipt) / MICROS, (receipt - one.cost) / MICROS
                bidders[k] = true.worth * right - true.delay_cost * one.first_token_s - charge / MICROS
            rounds = _by_round(surplus, [one.round for one in ends])
            found[name, title] = (
                float(surplus.mean()),
                float(agents.mean()),
                float(-np.minimum(bidders, 0.0).mean()),
                float(100 * (bidders < 0).mean()),
                budget(rounds, part.horizon, part.seed),
            )
    return found


def final(settlement: Settlement, served: Served) -> tuple[int, int]:
    """(charge, receipt) in micro-units of a request that was settled on its prediction when it was served.

    Raises:
        StudyError: nothing was predicted of it.
    """
    if served.predicted is None:
        raise StudyError(f"request {served.request.id} was served without a prediction, so there is nothing to settle")
    return settled(
        settlement,
        charge=served.charge,
        predicted=round(served.predicted.cost * MICROS),
        measured=served.cost,
        chance=served.predicted.quality,
        quality=served.quality,
    )


def budget(rounds: Sequence[float] | NDArray[np.float64], horizon: int, seed: int = 0) -> float:
    """What the sum over so many rounds falls below zero at its deepest, at the 95 % quantile of drawn sequences.

    >>> budget([-1.0], 10), budget([2.0, 1.0], 10)
    (10.0, 0.0)
    """
    given = np.asarray(rounds, np.float64)
    drawn = given[np.random.default_rng([seed, 3]).integers(given.size, size=(_DRAWS, horizon))]
    deepest = np.minimum(drawn.cumsum(axis=1).min(axis=1), 0.0)
    return float(np.quantile(-deepest, 0.95)) + 0.0


def _by_round(values: NDArray[np.float64], rounds: Sequence[int]) -> NDArray[np.float64]:
    order = np.argsort(rounds, kind="stable")
    ends = [0, *(np.flatnonzero(np.diff(np.asarray(rounds)[order])) + 1).tolist(), len(order)]
    return np.array([values[order[a:b]].sum() for a, b in pairwise(ends)])
