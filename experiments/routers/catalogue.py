"""Every policy that ships, by the name that tables print and `--policy` takes; each is made anew for a run."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from experiments.errors import StudyError
from experiments.routers.informed import CMu, DecliningCacheAware, LlmD, Tiers, flow, greedy, posted
from experiments.routers.plain.caching import CacheAware
from experiments.routers.plain.classes import BestMeasured, best_class_least_load, best_single, cheapest
from experiments.routers.plain.dynamo import Dynamo
from experiments.routers.plain.hashing import consistent_hashing, sticky, sticky_best
from experiments.routers.plain.peers import production_stack, ray_prefix, sglang, vllm_cache_aware
from experiments.routers.plain.spread import RoundRobin, least_loaded, power_of_two, random
from mechanisms import DirectMechanism, MechanismError, load_object
from runtime import Auction, PaperAuction, Policy
from runtime.policies.forecast import Forecaster

#: Makes a policy from a seed.
Make = Callable[[int], Policy]

#: Those that run a mechanism.
AUCTIONS = ("iemas", "paper-auction")
#: Routers that see neither reports nor forecasts.
PLAIN = (
    "cache-aware", "sticky", "cache-aware-best", "sticky-best", "best-single", "random", "round-robin", "least-loaded",
    "power-of-two", "consistent-hashing", "cheapest", "best-class-least-load", "best-measured-least-load",
)  # fmt: skip
#: Routers of other projects, under their names and with their defaults; `llm-d` forecasts.
PEERS = ("vllm-cache-aware", "sglang", "ray-prefix", "production-stack", "dynamo", "llm-d")
#: Rivals with the auction's forecasts.
INFORMED = ("c-mu", "tiers", "greedy", "posted", "cache-aware-declining")
#: The auction's own matching, for nothing.
UNPAID = ("flow",)
#: Whom a demonstration shows.
SHOWN = (
    "iemas", "paper-auction", "c-mu", "greedy", "cache-aware-declining", "cache-aware", "sticky", "cache-aware-best",
    "random",
)  # fmt: skip


def policies(mechanism: DirectMechanism, forecaster: Callable[[], Forecaster] = Forecaster) -> dict[str, Make]:
    """Every policy that ships, by name.

    Args:
        mechanism: of the auctions.
        forecaster: what the auction and its informed rivals know.
    """
    return {
        "iemas": lambda seed: Auction(mechanism, forecaster),
        "paper-auction": lambda seed: PaperAuction(mechanism),
        "c-mu": lambda seed: CMu(forecaster),
        "tiers": lambda seed: Tiers(forecaster),
        "greedy": lambda seed: greedy(forecaster),
        "posted": lambda seed: posted(forecaster),
        "flow": lambda seed: flow(forecaster),
        "cache-aware-declining": lambda seed: DecliningCacheAware(forecaster),
        "cache-aware": lambda seed: CacheAware(),
        "cache-aware-best": lambda seed: CacheAware(best=True, name="cache-aware-best"),
        "sticky": lambda seed: sticky(),
        "sticky-best": lambda seed: sticky_best(),
        "consistent-hashing": lambda seed: consistent_hashing(),
        "cheapest": lambda seed: cheapest(),
        "best-single": lambda seed: best_single(),
        "best-class-least-load": lambda seed: best_class_least_load(),
        "best-measured-least-load": lambda seed: BestMeasured(),
        "random": random,
        "round-robin": lambda seed: RoundRobin(),
        "least-loaded": lambda seed: least_loaded(),
        "power-of-two": power_of_two,
        "vllm-cache-aware": lambda seed: vllm_cache_aware(),
        "sglang": lambda seed: sglang(),
        "ray-prefix": ray_prefix,
        "production-stack": production_stack,
        "dynamo": lambda seed: Dynamo(seed=seed),
        "llm-d": lambda seed: LlmD(forecaster, seed=seed),
    }


def find_policy(name: str, known: dict[str, Make]) -> Make:
    """The policy of this name, or yours: `mine:Policy`, a class or function that takes nothing, or a policy itself.

    Raises:
        StudyError: there is none, or it is no policy.
    """
    if ":" not in name:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f"did you mean {near[0]}? There are" if near else "there are"
            raise StudyError(f"no policy {name!r}; {meant}: {', '.join(known)}, or yours, such as mine:Policy")
        return known[name]
    return lambda seed: _loaded(name)


def _loaded(name: str) -> Policy:
    found = make_own(name, ("attach", "ready", "decide", "notice"), "policy (see runtime.Policy)")
    if not isinstance(getattr(found, "name", None), str):
        raise StudyError(f"{name} is no policy: give it a `name`, which tables print")
    policy: Policy = found  # type: ignore[assignment]
    return policy


def make_own(name: str, parts: Sequence[str], what: str) -> object:
    """What `mine:Thing` makes: an instance of a class, what a function that takes nothing returns, or an object.

    Raises:
        StudyError: there is none, or it lacks one of the methods `parts` that make it a `what`.
    """
    found = load_own(name)
    if callable(found) and not all(hasattr(found, part) for part in parts or ("attach",)):
        try:
            found = found()
        except TypeError as error:
            raise StudyError(f"{name} makes nothing: {error}; give a function that takes nothing") from error
    lacking = [part for part in parts if not callable(getattr(found, part, None))]
    if lacking:
        raise StudyError(f"{name} is no {what}: it has no {', '.join(lacking)}")
    return found


def load_own(name: str) -> object:
    """What `module:attribute` or `./file.py:attribute` stands for; a class is built.

    Raises:
        StudyError: there is none.
    """
    try:
        return load_object(name)
    except MechanismError as error:
        raise StudyError(str(error)) from error
