"""Every policy that ships, by the name that tables print and `--policy` takes; each is made anew for a run."""

from collections.abc import Callable, Sequence

from experiments.errors import StudyError
from experiments.routers.informed import CMu, DecliningCacheAware, Tiers, greedy, posted
from experiments.routers.plain import CacheAware, baselines, best_single, sticky_best
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
)  # fmt: skip
#: Rivals with the auction's forecasts.
INFORMED = ("c-mu", "tiers", "greedy", "posted", "cache-aware-declining")
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
    names = [policy.name for policy in baselines()]

    def plain(name: str) -> Make:
        return lambda seed: baselines(seed)[names.index(name)]

    made: dict[str, Make] = {
        "iemas": lambda seed: Auction(mechanism, forecaster),
        "paper-auction": lambda seed: PaperAuction(mechanism),
        "c-mu": lambda seed: CMu(forecaster),
        "tiers": lambda seed: Tiers(forecaster),
        "greedy": lambda seed: greedy(forecaster),
        "posted": lambda seed: posted(forecaster),
        "cache-aware-declining": lambda seed: DecliningCacheAware(forecaster),
        "cache-aware": lambda seed: CacheAware(),
        "cache-aware-best": lambda seed: CacheAware(best=True, name="cache-aware-best"),
        "sticky-best": lambda seed: sticky_best(),
        "best-single": lambda seed: best_single(),
    }
    return made | {name: plain(name) for name in names if name not in made}


def find_policy(name: str, known: dict[str, Make]) -> Make:
    """The policy of this name, or yours: `mine:Policy`, a class or function that takes nothing, or a policy itself.

    Raises:
        StudyError: there is none, or it is no policy.
    """
    if ":" not in name:
        if name not in known:
            raise StudyError(f"no policy {name!r}; there are: {', '.join(known)}, or yours, such as mine:Policy")
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
