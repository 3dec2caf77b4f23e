# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Swap the rule, and let an audit look at it
#
# A payment rule says who pays what. It is a class with one method, and you can write one in a cell. This notebook
# writes two plausible ones, sees both refuted, reads why, and repairs them.

# %%
from allocation import MinCostFlow
from mechanisms import Mechanism, Payments, serving_costs
from proofs import SUITE, Grid, audit

# %% [markdown]
# ## Pay what you say
#
# The obvious rule: whoever is served pays what they said it is worth.


# %%
class PayYourBid:
    """Every served request pays its reported value."""

    def charge(self, market, allocation, allocator):
        """Charges of requests, receipts of agents."""
        return Payments(market.take(market.values, allocation), serving_costs(market, allocation))


scope = Grid(bidders=2, agents=1, values=range(5), costs=1)
report = audit(Mechanism(MinCostFlow(), PayYourBid()), scope)
report

# %% [markdown]
# ## Read the counterexample
#
# `REFUTED` comes with a market in which it happens, made as small as it can be. Read it from the left: what they truly
# want; what becomes of it when they say so; what becomes of it when they do not. Served as before, they pay less.

# %%
found = report["truthful"].counterexample
found

# %% [markdown]
# Nothing is hidden in it. The same two runs, by hand:

# %%
rule = Mechanism(MinCostFlow(), PayYourBid())
truth = found.truth
honest = rule.run(truth)
deviating = rule.run(found.misreport.applied(truth))
bidder = found.misreport.bidder
gain = deviating.bidder_utilities(truth)[bidder] - honest.bidder_utilities(truth)[bidder]
print(f"bidder {bidder} gains {gain}; the audit says {found.amount}")
assert gain == found.amount

# %% [markdown]
# ## Half of it, then?
#
# Perhaps bidders would be honest if they paid only half? The charge still moves with what they say. And now there is a
# second fault, which shows only where serving costs something.


# %%
class HalfPrice:
    """Every served request pays half its reported value, rounded up."""

    def charge(self, market, allocation, allocator):
        """Charges of requests, receipts of agents."""
        values = market.take(market.values, allocation)
        return Payments(values - values // 2, serving_costs(market, allocation))


halved = audit(Mechanism(MinCostFlow(), HalfPrice()), SUITE)
halved

# %% [markdown]
# A scope can be kind to a fault: with costs of 0 nobody notices that costs are not paid for. That is why `SUITE`, which
# was asked here, is eleven small scopes, each of which shows a kind of fault that others hide.

# %%
kind = audit(Mechanism(MinCostFlow(), HalfPrice()), Grid(bidders=2, agents=1, values=range(5)), ["no-deficit"])
kind

# %% [markdown]
# ## The repair
#
# What a bidder says must not move what they pay, as long as they are served. So let them pay what the *others* lose:
# the welfare that others could have without them, less the welfare that others have now, and the cost of serving them.


# %%
class WhatOthersLose:
    """Each bidder pays what their presence costs the others (Vickrey 1961; Clarke 1971; Groves 1973)."""

    def charge(self, market, allocation, allocator):
        """Charges of requests, receipts of agents."""
        welfare = market.take(market.weights, allocation)
        charges = market.take(market.costs, allocation).copy()
        for bidder in market.players:
            theirs = market.requests_of(bidder)
            if not allocation.served[theirs].any():
                continue
            alone = market.without(bidder)
            lost = alone.welfare(allocator.allocate(alone)) - (welfare.sum() - welfare[theirs].sum())
            # A bidder is one player, however many their requests: it stands with the first that is served.
            charges[theirs[allocation.served[theirs]][0]] += lost
        return Payments(charges, serving_costs(market, allocation))


repaired = audit(Mechanism(MinCostFlow(), WhatOthersLose()), SUITE)
repaired

# %%
assert repaired.passed
repaired.frame()

# %% [markdown]
# All four hold, over all eleven scopes. It is VCG, of course: `mechanisms.VCG` charges the same, from the prices of
# one solution instead of one solution for each bidder. To serve with a rule of yours, put it in a file and name it:
# `iemas serve` and `iemas demo --mechanism my_rules:WhatOthersLose` audit it first, and refuse one that is refuted.
# [docs/writing-a-rule.md](../../docs/writing-a-rule.md) has the contract in full.
