"""What several rounds add up to where everybody is honest: rationality, the budget and welfare over all rounds.

Round by round a mechanism may look right and be wrong in sum: whom this round leaves out would have filled a cache that
later rounds live on. So sums over all rounds are compared: of each bidder's utilities with 0, of the auctioneer's
surpluses with 0, and of welfare with the best plan there is, found here by trying every allocation of every round.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from time import perf_counter

from allocation import UNSERVED
from allocation.money import Money
from mechanisms import Outcome
from mechanisms.dynamic import DynamicMechanism, History
from proofs.evidence.finding import Status
from proofs.rounds.conversations import Conversations
from proofs.rounds.truthful import RoundsFinding, Shortfall, outcomes_of, require_rounds
from proofs.scopes.grid import Grid

#: The claims, in the order in which they are reported.
OVER_ROUNDS = ("individually-rational-over-rounds", "no-deficit-over-rounds", "efficient-over-rounds")


def audit_plays(
    mechanism: DynamicMechanism, world: Conversations, values: Sequence[int] = range(4)
) -> tuple[RoundsFinding, ...]:
    """Play every profile honestly, once per claim of `OVER_ROUNDS`.

    The shortfall shown is the simplest in this world or in one with fewer bidders or agents.

    Raises:
        AuditError: the mechanism is infeasible, or the scope malformed or too large.

    Example:
        >>> from mechanisms import VCG, Mechanism, PerRound
        >>> from allocation import MinCostFlow
        >>> each = PerRound(Mechanism(MinCostFlow(), VCG()))
        >>> [bool(found) for found in audit_plays(each, Conversations(bidders=1), range(4))]
        [True, True, False]
    """
    require_rounds(mechanism, world)
    started, grid = perf_counter(), Grid(world.bidders, world.agents, values)
    found = list(_shortfalls(mechanism, world, values))
    asked = mechanism, world, tuple(grid.values)
    findings = []
    for name in OVER_ROUNDS:
        here = [shortfall for which, shortfall in found if which == name]
        if not here:
            seconds = perf_counter() - started
            findings.append(RoundsFinding(name, *asked, Status.VERIFIED, grid.profiles, seconds))
            continue
        smaller = [
            one for each in _smaller(world) for which, one in _shortfalls(mechanism, each, values) if which == name
        ]
        simplest = min((*smaller, *here), key=lambda shortfall: shortfall.simplicity)
        worst = max(shortfall.amount for shortfall in here)
        seconds = perf_counter() - started
        findings.append(RoundsFinding(name, *asked, Status.REFUTED, grid.profiles, seconds, worst, simplest))
    return tuple(findings)


def _smaller(world: Conversations) -> Iterator[Conversations]:
    for bidders, agents in product(range(1, world.bidders + 1), range(1, world.agents + 1)):
        if (bidders, agents) != (world.bidders, world.agents):
            yield world.smaller(bidders=bidders, agents=agents)


def _shortfalls(
    mechanism: DynamicMechanism, world: Conversations, values: Sequence[int]
) -> Iterator[tuple[str, Shortfall]]:
    grid = Grid(world.bidders, world.agents, values)
    for profile in range(grid.profiles):
        matrix = grid.market(profile).values
        true = tuple(tuple(row) for row in matrix.tolist())
        outcomes = outcomes_of(mechanism, world, true)
        utilities = [sum(outcome.bidder_utilities()[bidder] for outcome in outcomes) for bidder in range(world.bidders)]
        poorest = min(range(world.bidders), key=lambda bidder: utilities[bidder])
        surplus = sum(outcome.surplus for outcome in outcomes)
        welfare, best = sum(outcome.welfare for outcome in outcomes), _best(world, matrix, ())
        amounts = (-utilities[poorest], -surplus, best - welfare)
        texts = (
            f"bidder {poorest} tells the truth and loses {-utilities[poorest]} over all rounds",
            f"the auctioneer loses {-surplus} over all rounds",
            f"welfare over all rounds is {welfare}, the optimum {best}",
        )
        for name, amount, text in zip(OVER_ROUNDS, amounts, texts, strict=True):
            if amount > 0:
                yield name, Shortfall(world, true, amount, f"{text}: {_served(outcomes)}")


def _best(world: Conversations, values: Money, history: History) -> int:
    """The most welfare of all rounds after this history."""
    if len(history) == world.rounds:
        return 0
    market = world.market(values, history)
    weights: list[list[int]] = market.weights.tolist()
    room = market.capacities.tolist()
    return max(
        sum(weights[i][j] for i, j in enumerate(agents) if j != UNSERVED) + _best(world, values, (*history, agents))
        for agents in product(range(UNSERVED, market.shape[1]), repeat=market.shape[0])
        if all(agents.count(j) <= slots for j, slots in enumerate(room))
    )


def _served(outcomes: Sequence[Outcome]) -> str:
    return "; ".join(
        f"agents {outcome.allocation.agents.tolist()} charges {outcome.payments.charges.tolist()}"
        for outcome in outcomes
    )
