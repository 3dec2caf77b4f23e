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
# # A first auction
#
# Three people ask something of two language models. Who is served by which model, what does it cost them, and could
# anybody have got a better deal by saying something else than what they want? This takes a few lines each.
#
# All money is in **micro-units**, whole numbers: a million of them are a credit. Sums are exact, so that "optimal" and
# "nobody gains" are exact statements, too.

# %%
from allocation import CertificateError, Market, MinCostFlow
from mechanisms import VCG, Mechanism
from proofs import Grid, audit

# %% [markdown]
# ## The market
#
# A row for each request, a column for each model (an *agent*). `values` is what an answer from there is worth to
# whoever asks, `costs` what serving it there costs. Each agent has so many places: its capacity.

# %%
market = Market(
    values=[[50, 30], [40, 10], [30, 30]],
    costs=[[10, 10], [10, 10], [4, 20]],
    capacities=[1, 1],
)
market

# %% [markdown]
# ## Who is served
#
# The allocator looks for the greatest *welfare*: value less cost, summed over all who are served. Request 0 is worth
# most at agent 0, and yet it goes to agent 1: there it loses 20, while request 1 would lose 30.

# %%
auction = Mechanism(MinCostFlow(), VCG())
outcome = auction.run(market)
outcome

# %%
outcome.frame()

# %% [markdown]
# ## How you know that it is the best
#
# You need not trust the solver. With its answer come **prices**, one for a place at each agent. If at these prices
# nobody would rather go elsewhere, and no place that has a price stays empty, then the allocation is optimal (Shapley
# and Shubik 1971). That is checked in one pass, without any search:

# %%
market.certify(outcome.allocation)

# %% [markdown]
# A worse allocation has no such proof. Here requests 0 and 1 swap places, with the same prices:

# %%
worse = type(outcome.allocation)([0, 1, -1], outcome.allocation.prices)
try:
    market.certify(worse)
except CertificateError as error:
    print(error)

# %% [markdown]
# ## What they pay
#
# Under VCG each bidder pays what their being there costs the others: the cost of serving them, and what somebody else
# lost by it. You can see it by taking a bidder away.

# %%
for bidder in market.players:
    others = market.without(bidder)
    without_them = others.welfare(MinCostFlow().allocate(others))
    cost, theirs = (int(market.take(matrix, outcome.allocation)[bidder]) for matrix in (market.costs, market.weights))
    lost = without_them - (outcome.welfare - theirs)
    charge = int(outcome.payments.charges[bidder])
    print(f"bidder {bidder}: others lose {lost}, serving them costs {cost}, they pay {charge}")
    assert charge == lost + cost

# %% [markdown]
# ## Could anybody have lied?
#
# Their charge does not depend on what they say, only on what others say. So nobody should gain by a misreport. Let us
# try: bidder 0 claims to want agent 0 more than they do.

# %%
lied = market.replace(values=[[90, 30], [40, 10], [30, 30]])
tempted = auction.run(lied)
print("honest gain", outcome.bidder_utilities()[0], "gain after the lie", tempted.bidder_utilities(truth=market)[0])

# %% [markdown]
# One lie that does not pay proves little. An **audit** tries them all: every market of a small scope, every bidder,
# every misreport, in exact integers.

# %%
report = audit(auction, Grid(bidders=2, agents=2, values=range(4), costs=1))
report

# %% [markdown]
# `VERIFIED` is about this scope, which was examined whole. `audit(auction, Reals(...))` proves it over all real
# numbers, and [docs/auditing.md](../../docs/auditing.md) says what else there is. The next notebook takes a rule that
# does not pass.
