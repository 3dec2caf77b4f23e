"""`check_mechanism` and `check_rule`: what every mechanism and every payment rule owes, whoever wrote it.

    check_rule(MyRule())                                          # over MinCostFlow; raises LawError with the market
    check_rule(MyRule(), MyAllocator())

    @pytest.mark.parametrize("law", MECHANISM_LAWS, ids=str)      # or one test per law
    def test_mine(law):
        law(Mechanism(MinCostFlow(), MyRule()))

These are laws of form: shapes, memory, what may be read. What a rule promises about incentives and budgets is for an
audit: `iemas audit my_rules:MyRule`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from allocation import Allocator, LawError, Market, MinCostFlow, check_allocator
from allocation.laws import EXAMPLES, REFUSALS, Law, with_other_forbidden
from mechanisms.errors import MechanismError
from mechanisms.mechanism import DirectMechanism, Mechanism, PaymentRule, has_batch_path
from mechanisms.outcome import Outcome
from mechanisms.promises import Domain, promises_of

#: The markets of `allocation.laws`, and those that rules for special cases are made for.
MARKETS: Mapping[str, Market] = MappingProxyType(
    {
        **EXAMPLES,
        "one good": Market([[5, 5], [4, 4], [2, 2]], [[1, 2]] * 3, [1, 1]),
        "one agent for each request": Market(
            [[5, 0], [0, 4]], [[1, 9], [9, 1]], [1, 1], [[True, False], [False, True]]
        ),
        "spare capacity at every agent": Market([[5, 3], [4, 1]], [[1, 1], [0, 1]], [2, 2]),
    }
)

_MOST = 2**55


def check_mechanism(mechanism: DirectMechanism) -> int:
    """Hold a mechanism to every law; returns how many cases (laws times markets) were tried.

    Raises:
        LawError: it breaks one; the message has the law, the market and what is wrong.
    """
    if isinstance(mechanism, type) or not callable(getattr(mechanism, "run", None)):
        raise LawError(f"{mechanism!r} is no mechanism: an object with run(market) is one")
    return sum(law(mechanism) for law in MECHANISM_LAWS)


def check_rule(rule: PaymentRule, allocator: Allocator | None = None) -> int:
    """Hold a payment rule to every law, over an allocator that is held to its own; returns how many cases were tried.

    Args:
        allocator: default `MinCostFlow()`.

    Raises:
        LawError: one of them breaks a law.

    Example:
        >>> from mechanisms import VCG
        >>> check_rule(VCG()) > 100
        True
    """
    over = MinCostFlow() if allocator is None else allocator
    return check_allocator(over) + check_mechanism(Mechanism(over, rule))


def _malformed(mechanism: DirectMechanism, market: Market) -> str | None:
    outcome = mechanism.run(market)
    if not isinstance(outcome, Outcome):
        return f"it returns {type(outcome).__name__}, not an Outcome"
    market.check(outcome.allocation)
    charges, receipts = outcome.payments.charges, outcome.payments.receipts
    if (charges.size, receipts.size) != market.shape:
        return f"{charges.size} charges and {receipts.size} receipts; expected one per request and one per agent"
    greatest = max(np.abs(charges).max(initial=0), np.abs(receipts).max(initial=0))
    if greatest > _MOST:
        return f"a payment of {greatest} micro-units; sums of such payments could overflow"
    return None


def _leaking(mechanism: DirectMechanism, market: Market) -> str | None:
    other = with_other_forbidden(market)
    found, elsewhere = _written(mechanism.run(market)), _written(mechanism.run(other))
    if found != elsewhere:
        return f"the outcome is {found}, and {elsewhere} if forbidden pairs have other values and costs"
    return None


def _changeable(mechanism: DirectMechanism, market: Market) -> str | None:
    first = mechanism.run(market)
    written = _written(first)
    other = market.values.copy()
    other[other > 0] -= 1
    try:
        mechanism.run(market.replace(values=other))
    except (MechanismError, *REFUSALS):
        pass
    if _written(first) != written:
        return "a later call changes what an earlier one returned; return arrays of its own each time"
    same = Market(market.values, market.costs, market.capacities, market.feasible, market.bidders)
    # An even and an odd number of calls later: a memory may have any period, two is the likeliest.
    for again in (mechanism.run(same), mechanism.run(market)):
        if _written(again) != written:
            return f"the same market gets {written}, then {_written(again)}; draw from a seed, and keep no memory"
    return None


def _unlike_alone(mechanism: DirectMechanism, market: Market) -> str | None:
    lower = np.maximum(market.values - 1, np.minimum(market.values, 0))
    batch = mechanism.run_many(np.stack([market.values, lower]), market)  # type: ignore[attr-defined]
    for b, values in enumerate((market.values, lower)):
        alone = _written(mechanism.run(market.replace(values=values)))
        found = batch.agents[b].tolist(), batch.charges[b].tolist(), batch.receipts[b].tolist()
        if found != alone:
            return f"run_many answers {found}, run {alone}"
    return None


def _wordless(mechanism: DirectMechanism, market: Market) -> str | None:
    promises = promises_of(mechanism) or promises_of(getattr(mechanism, "rule", None))
    for name, domain in promises.items():
        if not isinstance(name, str) or not isinstance(domain, Domain):
            return f"it promises {name!r} on {domain!r}; expected the name of a property and a Domain"
    return None


def _written(outcome: Outcome) -> tuple[list[int], list[int], list[int]]:
    payments = outcome.payments
    return outcome.allocation.agents.tolist(), payments.charges.tolist(), payments.receipts.tolist()


def _law(
    name: str,
    broken: Callable[[DirectMechanism, Market], str | None],
    applies: Callable[[DirectMechanism], bool] = lambda mechanism: True,
) -> Law[DirectMechanism]:
    return Law(name, broken, applies, MARKETS, (MechanismError, *REFUSALS))


MECHANISM_LAWS: tuple[Law[DirectMechanism], ...] = (
    _law("an outcome fits the market", _malformed),
    _law("what is forbidden is not read", _leaking),
    _law("the same market gets the same outcome", _changeable),
    _law("many at once is one by one", _unlike_alone, has_batch_path),
    _law("promises name properties and domains", _wordless),
)
