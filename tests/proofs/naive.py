"""Claims about deviations from their definitions: every case of a grid, one run of the mechanism each."""

from fractions import Fraction
from itertools import combinations, product

import numpy as np

from allocation import Market
from mechanisms import DirectMechanism, Outcome, Prior
from proofs import Grid, Misreport
from proofs.misreports.coalition import AgentMisreport
from proofs.misreports.identity import FalseNames


def utility(outcome: Outcome, truth: Market, misreport: Misreport | AgentMisreport) -> int | None:
    """What the deviator has; None where an agent is sent more than it can serve."""
    if isinstance(misreport, Misreport):
        return outcome.bidder_utilities(truth)[misreport.bidder]
    served = outcome.allocation.agents == misreport.agent
    if served.sum() > truth.capacities[misreport.agent]:
        return None
    return int(outcome.payments.receipts[misreport.agent] - truth.costs[served, misreport.agent].sum())


def worst_agent_gain(mechanism: DirectMechanism, grid: Grid) -> tuple[int, int]:
    worst = pairs = 0
    for profile in range(grid.profiles):
        truth = grid.market(profile)
        honest = mechanism.run(truth)
        for player in range(grid.bidders, len(grid.sizes)):
            for misreport in grid.misreports(profile, player):
                pairs += 1
                after = utility(mechanism.run(misreport.applied(truth)), truth, misreport)
                before = utility(honest, truth, misreport)
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
                misreports = [grid.misreport(member, report) for member, report in zip(members, reports, strict=True)]
                market = truth
                for misreport in misreports:
                    market = misreport.applied(market)
                deviating = mechanism.run(market)
                pairs = [
                    (utility(deviating, truth, misreport), utility(honest, truth, misreport))
                    for misreport in misreports
                ]
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
            outcome = mechanism.run(FalseNames(bidder, names).applied(truth))
            mine = [bidder, len(truth.players)]
            won = [agent for agent in outcome.allocation.agents[mine].tolist() if agent >= 0]
            best = max((int(truth.values[bidder, agent]) for agent in won), default=0)
            worst = max(worst, best - int(outcome.payments.charges[mine].sum()) - honest)
    return worst


def worst_obvious(mechanism: DirectMechanism, grid: Grid) -> int:
    """Greatest excess of a misreport at its best over honesty at its worst."""
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
    """Greatest expected gain of a bidder's misreport, times the probability of their type."""
    worst = Fraction(0)
    states = list(prior.markets(grid.template))
    for bidder in range(grid.bidders):
        mine = grid.template.requests_of(bidder)
        for true, said in product(grid.types(bidder), repeat=2):
            gain = Fraction(0)
            for market, weight in states:
                if (market.values[mine] == true).all():
                    deviating = mechanism.run(Misreport.of(bidder, said).applied(market)).bidder_utilities(market)[
                        bidder
                    ]
                    gain += Fraction(weight, prior.total) * (
                        deviating - mechanism.run(market).bidder_utilities(market)[bidder]
                    )
            worst = max(worst, gain)
    return worst
