"""Claims about deviations from their definitions: every case of a grid, one run of the mechanism each."""

from fractions import Fraction
from itertools import combinations, product

import numpy as np

from allocation import Market
from mechanisms import DirectMechanism, Outcome, Prior
from proofs import AgentLie, Grid, Identities, Lie


def utility(outcome: Outcome, truth: Market, lie: Lie | AgentLie) -> int | None:
    """What the liar has; None where an agent is sent more than it can serve."""
    if isinstance(lie, Lie):
        return outcome.bidder_utilities(truth)[lie.bidder]
    served = outcome.allocation.agents == lie.agent
    if served.sum() > truth.capacities[lie.agent]:
        return None
    return int(outcome.payments.receipts[lie.agent] - truth.costs[served, lie.agent].sum())


def worst_agent_gain(mechanism: DirectMechanism, grid: Grid) -> tuple[int, int]:
    worst = pairs = 0
    for profile in range(grid.profiles):
        truth = grid.market(profile)
        honest = mechanism.run(truth)
        for player in range(grid.bidders, len(grid.sizes)):
            for lie in grid.lies(profile, player):
                pairs += 1
                after = utility(mechanism.run(lie.applied(truth)), truth, lie)
                before = utility(honest, truth, lie)
                if after is not None and before is not None:
                    worst = max(worst, after - before)
    return worst, pairs


def worst_coalition(mechanism: DirectMechanism, grid: Grid, size: int, how: str) -> int:
    """Greatest sum of gains of a profitable coalition of up to `size`; truth counts as a member's report."""
    worst = 0
    for profile, count in product(range(grid.profiles), range(1, size + 1)):
        truth = grid.market(profile)
        honest = mechanism.run(truth)
        for members in combinations(range(len(grid.sizes)), count):
            for reports in product(*(range(grid.sizes[member]) for member in members)):
                lies = [grid.lie(member, report) for member, report in zip(members, reports, strict=True)]
                market = truth
                for lie in lies:
                    market = lie.applied(market)
                lying = mechanism.run(market)
                pairs = [(utility(lying, truth, lie), utility(honest, truth, lie)) for lie in lies]
                if any(after is None for after, _ in pairs):
                    continue
                gains = [after - before for after, before in pairs if after is not None and before is not None]
                profits = {
                    "transfers": sum(gains) > 0,
                    "no loser": min(gains) >= 0 and sum(gains) > 0,
                    "all gain": min(gains) > 0,
                }[how]
                worst = max(worst, sum(gains) if profits else 0)
    return worst


def worst_names(mechanism: DirectMechanism, grid: Grid) -> int:
    """Greatest gain of a bidder with one request from two names; values must not be negative."""
    worst = 0
    for profile, bidder in product(range(grid.profiles), range(grid.bidders)):
        truth = grid.market(profile)
        honest = mechanism.run(truth).bidder_utilities(truth)[bidder]
        types = [tuple(map(tuple, rows)) for rows in grid.types(bidder).tolist()]
        for names in product(types, repeat=2):
            outcome = mechanism.run(Identities(bidder, names).applied(truth))
            mine = [bidder, len(truth.players)]
            won = [agent for agent in outcome.allocation.agents[mine].tolist() if agent >= 0]
            best = max((int(truth.values[bidder, agent]) for agent in won), default=0)
            worst = max(worst, best - int(outcome.payments.charges[mine].sum()) - honest)
    return worst


def worst_obvious(mechanism: DirectMechanism, grid: Grid) -> int:
    """Greatest excess of a lie at its best over honesty at its worst."""
    worst = 0
    outcomes = [(grid.rows(profile), mechanism.run(grid.market(profile))) for profile in range(grid.profiles)]
    for bidder in range(grid.bidders):
        for true, rows in enumerate(grid.types(bidder)):
            values = np.zeros(grid.template.shape, np.int64)
            values[grid.template.requests_of(bidder)] = rows
            truth = grid.template.replace(values=values)
            utilities = [(said[bidder], outcome.bidder_utilities(truth)[bidder]) for said, outcome in outcomes]
            floor = min(amount for said, amount in utilities if said == true)
            top = max((amount for said, amount in utilities if said != true), default=floor)
            worst = max(worst, top - floor)
    return worst


def worst_interim_gain(mechanism: DirectMechanism, grid: Grid, prior: Prior) -> Fraction:
    """Greatest expected gain of a bidder's lie, times the probability of his type."""
    worst = Fraction(0)
    states = list(prior.markets(grid.template))
    for bidder in range(grid.bidders):
        mine = grid.template.requests_of(bidder)
        for true, said in product(grid.types(bidder), repeat=2):
            gain = Fraction(0)
            for market, weight in states:
                if (market.values[mine] == true).all():
                    lying = mechanism.run(Lie.of(bidder, said).applied(market)).bidder_utilities(market)[bidder]
                    gain += Fraction(weight, prior.total) * (
                        lying - mechanism.run(market).bidder_utilities(market)[bidder]
                    )
            worst = max(worst, gain)
    return worst
