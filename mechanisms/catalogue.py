"""Names of what ships, and how a name or `module:object` becomes a mechanism.

Nothing has to be registered: a rule of your own is named by its module and class, `my_rules:HalfPrice`, and is found by
the same functions as what ships.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass, replace
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
from mechanisms.lottery import LotteryMechanism
from mechanisms.mechanism import DirectMechanism, Mechanism, PaymentRule
from mechanisms.pairs import AWAY, EXACT
from mechanisms.promises import Domain, Promises, promises_of
from mechanisms.rules.affine import AffineMaximizer, ReserveVCG
from mechanisms.rules.critical import ByValue, CriticalValue, Vickrey
from mechanisms.rules.paper import PaperRouter
from mechanisms.rules.pricing import ClearingPrice, HighestClearingPrice, SecondPrice
from mechanisms.rules.redistribution import Redistribution
from mechanisms.rules.sharing import Free, ProportionalShare, RandomPriority
from mechanisms.rules.simple import FirstCome, PayAsBid, PostedPrice
from mechanisms.rules.two_sided import ProcurementVCG, TradeReduction, TwoSidedVCG
from mechanisms.rules.vcg import VCG
from mechanisms.settlement import ExecutionContingent, OnDelivery, OnMeasurement, OnPrediction, Settlement

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
    "by-value": ByValue,
    "random-priority": RandomPriority,
}

RULES: dict[str, Callable[[], PaymentRule]] = {
    "vcg": VCG,
    "pay-as-bid": PayAsBid,
    "posted-price": PostedPrice,
    "second-price": SecondPrice,
    "clearing-price": ClearingPrice,
    "highest-clearing-price": HighestClearingPrice,
    "critical-value": CriticalValue,
    "vickrey": Vickrey,
    "redistribution": Redistribution,
    "proportional-share": ProportionalShare,
    "free": Free,
    "two-sided-vcg": TwoSidedVCG,
    "procurement-vcg": ProcurementVCG,
}

#: Mechanisms that do not split into allocator and rule; those with a field `allocator` can be built over another one.
WHOLE: dict[str, Callable[[], DirectMechanism]] = {
    "vcg-reserve": ReserveVCG,
    "affine": AffineMaximizer,
    "trade-reduction": TradeReduction,
    "paper-router": PaperRouter,
}

SETTLEMENTS: dict[str, Callable[[], Settlement]] = {
    "on-prediction": OnPrediction,
    "on-measurement": OnMeasurement,
    "on-delivery": OnDelivery,
    "execution-contingent": ExecutionContingent,
}

#: What ships but cannot be built from its name alone, and how it is built.
_UNFINISHED: dict[str, str] = {
    "expected-externality": "a prior; write it = ExpectedExternality(grid_prior(Grid(2, 1, (0, 36))))",
    "local-vcg": "hubs; write it = LocalVCG(ByOwner((0, 1)))",
}

#: Rules that make sense over one allocator alone; every other rule runs over MinCostFlow by default.
HOME: dict[str, str] = {
    "posted-price": "first-come",
    "critical-value": "by-value",
    "vickrey": "by-value",
    "free": "random-priority",
}

_ALL: Promises = dict.fromkeys(
    ("truthful", "individually-rational", "agents-rational", "no-deficit", "efficient"), Domain.EVERYWHERE
)


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
    found = _find(name, {**RULES, **WHOLE})
    if isinstance(found, DirectMechanism):
        if allocator is not None and name in WHOLE and is_dataclass(found) and hasattr(found, "allocator"):
            return replace(found, allocator=find_allocator(allocator))
        if allocator is not None:
            raise MechanismError(f"{name} is a whole mechanism; it takes no allocator ({allocator})")
        return found
    if isinstance(found, LotteryMechanism):
        raise MechanismError(f"{name} is no mechanism with sure outcomes: it draws lots; give it to audit_lotteries")
    if not isinstance(found, PaymentRule):
        raise MechanismError(
            f"{name} is a {type(found).__name__}: no rule, which has charge(market, allocation, allocator), "
            "and no mechanism, which has run(market)"
        )
    return Mechanism(find_allocator(allocator or HOME.get(name, "min-cost-flow")), found)


def find_settlement(name: str) -> Settlement:
    """The settlement of a shipped name, or of `module:object` (an instance, or a class without required arguments).

    Raises:
        MechanismError: no such name, module or object, or the object settles nothing.
    """
    found = _find(name, SETTLEMENTS)
    if not isinstance(found, Settlement):
        raise MechanismError(f"{name} is a {type(found).__name__} without settle(outcome, execution)")
    return found


def promised(rule: str, allocator: str | None = None) -> Promises:
    """What a shipped rule promises over a shipped allocator: its own promises at home, else those in `AWAY`.

    Home is the allocator in `HOME`; for the rules without one, and for whole mechanisms, every exact allocator.

    Raises:
        MechanismError: no such rule or allocator.
    """
    found = _find(rule, {**RULES, **WHOLE})
    if allocator is not None and not _at_home(rule, allocator):
        return _away(rule, allocator) or {}
    return _ALL if isinstance(found, VCG) else promises_of(found)


def refuses(rule: str, allocator: str) -> bool:
    """Whether a shipped rule refuses every market over a shipped allocator, with an error.

    Raises:
        MechanismError: no such allocator.
    """
    return not _at_home(rule, allocator) and _away(rule, allocator) is None


def _at_home(rule: str, allocator: str) -> bool:
    home = HOME.get(rule)
    return home == allocator if home is not None else _exact(allocator)


def _away(rule: str, allocator: str) -> Promises | None:
    return AWAY.get(rule, {}).get(EXACT if _exact(allocator) else allocator, {})


def _exact(allocator: str) -> bool:
    return bool(getattr(find_allocator(allocator), "exact", False))


def load_object(name: str, **arguments: object) -> object:
    """What `module:attribute` or `path/to/file.py:attribute` stands for; a class is built with the arguments.

    Modules are looked for in the working directory too, so that a file of your own needs no installation. A file is
    imported under its own name, with its folder on the path.

    Raises:
        MechanismError: there is no such module or attribute, or the class cannot be built so.
    """
    found = import_object(name)
    if not isinstance(found, type):
        return found
    try:
        return found(**arguments)
    except TypeError as error:
        raise MechanismError(f"{name} needs arguments ({error}); name a ready-made instance instead") from error


def import_object(name: str) -> object:
    """What `module:attribute` or `path/to/file.py:attribute` stands for, a class as the class; see `load_object`.

    Raises:
        MechanismError: there is no such module or attribute.
    """
    if not isinstance(name, str):
        raise MechanismError(f"{name!r} is no name; give a string, such as 'my_module:MyClass'")
    module_name, _, attribute = name.rpartition(":")
    if not module_name or not attribute:
        raise MechanismError(f"{name!r} names no module or nothing in it; expected my_module:MyClass")
    file = Path(module_name).resolve() if module_name.endswith(".py") else None
    if file is not None:
        if not file.is_file():
            raise MechanismError(f"{name}: there is no file {file}")
        module_name = file.stem
        _require_same(module_name, file)
    for folder in (str(Path.cwd()), *([str(file.parent)] if file is not None else [])):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    try:
        found: object = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise MechanismError(f"{name}: {error}; run where {module_name}.py lies, or install it") from error
    except (ImportError, AttributeError) as error:
        raise MechanismError(f"{name}: {error}") from error
    except (Exception, SystemExit) as error:
        raise MechanismError(f"{name}: importing {module_name} raises {type(error).__name__}: {error}") from error
    return found


def _require_same(module_name: str, file: Path) -> None:
    """Refuse a file whose name another module has: Python would hand out that one."""
    loaded = sys.modules.get(module_name)
    spec = None if loaded is not None else importlib.util.find_spec(module_name)
    origin = getattr(loaded, "__file__", None) if loaded is not None else None if spec is None else spec.origin
    if (loaded is not None or spec is not None) and (origin is None or Path(origin).resolve() != file):
        raise MechanismError(f"{file} has the name of another module, {module_name} ({origin}); rename the file")


def _find(name: str, shipped: Mapping[str, Callable[[], object]]) -> object:
    if not isinstance(name, str):
        raise MechanismError(f"{name!r} is no name; give a string, such as {next(iter(shipped))!r}")
    if name in shipped:
        return shipped[name]()
    if name in _UNFINISHED:
        raise MechanismError(f"{name} needs {_UNFINISHED[name]} in a file of yours, which you name: my_module:it")
    if ":" not in name:
        raise MechanismError(f"no {name!r} here; shipped: {', '.join(shipped)}; yours: my_module:MyClass")
    return load_object(name)
