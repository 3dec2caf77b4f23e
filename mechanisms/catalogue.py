"""Names of what ships, and how a name or `module:object` becomes a mechanism.

Nothing has to be registered: a stranger's rule is named by where it lives, `my_rules:HalfPrice`, and goes through
the same door as what ships.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from allocation import (
    Allocator,
    BruteForce,
    ConvexProgram,
    Greedy,
    LinearProgram,
    MinCostFlow,
    NetworkFlow,
    OrTools,
    Random,
)
from mechanisms.errors import MechanismError
from mechanisms.mechanism import DirectMechanism, Mechanism, PaymentRule
from mechanisms.simple import FirstCome, PayAsBid, PostedPrice
from mechanisms.vcg import VCG

ALLOCATORS: dict[str, Callable[[], Allocator]] = {
    "min-cost-flow": MinCostFlow,
    "linear-program": LinearProgram,
    "convex-program": ConvexProgram,
    "network-flow": NetworkFlow,
    "or-tools": OrTools,
    "brute-force": BruteForce,
    "greedy": Greedy,
    "random": Random,
    "first-come": FirstCome,
}

RULES: dict[str, Callable[[], PaymentRule]] = {"vcg": VCG, "pay-as-bid": PayAsBid, "posted-price": PostedPrice}

#: Rules that make sense over one allocator alone; every other rule runs over MinCostFlow unless told otherwise.
HOME: dict[str, str] = {"posted-price": "first-come"}


def find_allocator(name: str) -> Allocator:
    """The allocator of a shipped name, or of `module:object` (an instance, or a class without required arguments).

    Raises:
        MechanismError: no such name, module or object, or the object is no allocator.
    """
    found = _find(name, ALLOCATORS)
    if not isinstance(found, Allocator):
        raise MechanismError(f"{name} is a {type(found).__name__} without allocate(market)")
    return found


def find_mechanism(name: str, allocator: str | None = None) -> DirectMechanism:
    """The mechanism that a name stands for: a payment rule over an allocator, or an object with `run(market)`.

    Args:
        name: a shipped rule (`vcg`), or `module:object` where the object is a rule, a mechanism, or a class of either.
        allocator: a shipped allocator or `module:object`; default is the rule's home, `min-cost-flow` for most.

    Raises:
        MechanismError: as `find_allocator`, or the object is neither rule nor mechanism.
    """
    found = _find(name, RULES)
    if isinstance(found, DirectMechanism):
        if allocator is not None:
            raise MechanismError(f"{name} is a whole mechanism; it takes no allocator ({allocator})")
        return found
    if not isinstance(found, PaymentRule):
        raise MechanismError(
            f"{name} is a {type(found).__name__}: no rule, which has charge(market, allocation, allocator), "
            "and no mechanism, which has run(market)"
        )
    return Mechanism(find_allocator(allocator or HOME.get(name, "min-cost-flow")), found)


def load_object(name: str, **arguments: object) -> object:
    """What `module:attribute` stands for; a class is built with the arguments.

    Modules are looked for in the working directory too, so that a stranger's file needs no installation.

    Raises:
        MechanismError: there is no such module or attribute, or the class cannot be built so.
    """
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise MechanismError(f"{name}: {error}; run where {module_name}.py lies, or install it") from error
    except (ImportError, AttributeError) as error:
        raise MechanismError(f"{name}: {error}") from error
    if not isinstance(found, type):
        return found
    try:
        return found(**arguments)
    except TypeError as error:
        raise MechanismError(f"{name} needs arguments ({error}); name a ready-made instance instead") from error


def _find(name: str, shipped: Mapping[str, Callable[[], object]]) -> object:
    if name in shipped:
        return shipped[name]()
    if ":" not in name:
        raise MechanismError(f"no {name!r} here; shipped: {', '.join(shipped)}; yours: my_module:MyClass")
    return load_object(name)
