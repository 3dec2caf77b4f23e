"""Who competes in the arena, by name; each is made anew for a run from its seed."""

from collections.abc import Callable, Sequence

from experiments.routers.catalogue import INFORMED, Make, policies
from experiments.studies.arena.told import oracle, oracle_of_times
from experiments.studies.arena.warm_up import Lesson, MakeQuality, taught
from experiments.worlds.traffic.agents import SimulatedAgent
from mechanisms import DirectMechanism, find_mechanism
from runtime import Auction
from runtime.policies.forecast import Forecaster
from runtime.policies.skill import PooledSkill

#: Makes what an auction knows.
MakeForecaster = Callable[[], Forecaster]

#: Plain routers that play when nobody is named.
_USUAL = ("cache-aware", "sticky", "cache-aware-best", "sticky-best", "best-single", "random")


def rivals(
    fleet: Sequence[SimulatedAgent],
    warm_up: Sequence[Lesson] = (),
    mechanism: DirectMechanism | None = None,
    forecaster: MakeForecaster | None = None,
) -> dict[str, Make]:
    """Who plays: the auction, its rivals, and last an oracle that is told the true skills.

    Args:
        warm_up: what the auction and its informed rivals have learnt of the agents before.
        mechanism: of the auctions; VCG by default.
        forecaster: what the auction and its informed rivals know instead, whatever was learnt before.
    """
    names = ("iemas", "paper-auction", *INFORMED, *_USUAL)
    run = mechanism or find_mechanism("vcg")
    known = policies(run, forecaster or _warm(warm_up))
    found = {name: known[name] for name in names}
    found["oracle"] = lambda seed: Auction(run, oracle(fleet), name="oracle")
    return found


def everybody(
    fleet: Sequence[SimulatedAgent],
    warm_up: Sequence[Lesson] = (),
    mechanism: DirectMechanism | None = None,
    forecaster: MakeForecaster | None = None,
) -> dict[str, Make]:
    """Whoever may play by name: all policies that ship, the oracles, the ablations; see `rivals`."""
    run = mechanism or find_mechanism("vcg")
    found = {**policies(run, forecaster or _warm(warm_up)), **rivals(fleet, warm_up, run, forecaster)}
    found["oracle of times"] = lambda seed: Auction(run, oracle_of_times(fleet), name="oracle of times")
    return {**found, **ablations(warm_up, run, forecaster)}


def ablations(
    warm_up: Sequence[Lesson] = (),
    mechanism: DirectMechanism | None = None,
    forecaster: MakeForecaster | None = None,
) -> dict[str, Make]:
    """The auction without each of its terms, and without all of them."""
    terms = ("congestion", "continuation", "exploration", "gathering")
    run = mechanism or find_mechanism("vcg")

    def without(*names: str) -> Make:
        return lambda seed: Auction(run, forecaster or _warm(warm_up), without=names)

    found = {f"iemas without {name}": without(name) for name in terms}
    found["iemas without any"] = without(*terms)
    found["iemas, no price prior"] = lambda seed: Auction(run, unpriced(warm_up))
    return found


def unpriced(warm_up: Sequence[Lesson] = ()) -> MakeForecaster:
    """A forecaster that takes no price for a sign of quality."""
    return _warm(warm_up, lambda agents: PooledSkill(agents, signal=0.0))


def _warm(warm_up: Sequence[Lesson], quality: MakeQuality = PooledSkill) -> MakeForecaster:
    return lambda: Forecaster(taught(warm_up, quality))
