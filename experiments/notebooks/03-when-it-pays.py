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
# # When does the auction pay?
#
# An auction is worth its trouble only where a plain router would do worse. A **study** holds the same conversations
# under one policy after another, at several seeds, and says the difference with its interval.
#
# What is real here and what is not: *answers* were measured, every turn was answered by both models on vLLM and graded
# against the gold answer. *Speeds* are simulated, fitted to runs on a CPU. *Bidders* are drawn: what a right answer is
# worth to them, and what a second of waiting costs them.

# %%
from experiments.studies.study import Dialogues, Study
from mechanisms import Preferences


def talks(rate):
    """Eight dialogues of four turns, begun at so many a second."""
    return Dialogues("shipped", answers="shipped", rate=rate, dialogues=8, turns=4)


# %% [markdown]
# Its rivals: `cache-aware-best` sends everything to the better model, and there to the cache that holds most of it.
# `c-mu` serves first whoever is in the greatest hurry, and knows what the auction knows. `cache-aware` knows caches
# alone.

# %%
rivals = ["iemas", "c-mu", "cache-aware-best", "cache-aware"]

# %% [markdown]
# ## Rate
#
# The more conversations at a time, the more there is to quarrel about.

# %%
rates = Study([talks(rate) for rate in (0.15, 0.5, 2.0)], policies=rivals, seeds=3, name="rates").run()
rates

# %% [markdown]
# What the auction gains over each rival, in per cent of the rival's welfare. A whisker that crosses zero is a
# difference that this many conversations cannot show.

# %%
rates.plot("gain").update_xaxes(title="dialogues that begin a second")

# %%
rates.plot("welfare").update_xaxes(title="dialogues that begin a second")

# %% [markdown]
# ## Bidders who differ
#
# If everybody wants the same, no report can tell whom to serve first. Here worth and hurry differ by a factor of 1, of
# 10 or of 100 between the least and the most. The function is of this notebook; it travels to the processes that play.

# %%
import numpy as np


def differ_by(factor):
    """Bidders whose worth, and whose hurry, lie a factor apart at most."""

    def draw(rng: np.random.Generator) -> Preferences:
        worth, hurry = factor ** rng.uniform(-0.5, 0.5, size=2)
        return Preferences(worth=60.0 * worth, delay_cost=2.0 * hurry)

    draw.__name__ = f"differ_by_{factor:g}"
    return draw


apart = Study(
    talks(0.5),
    bidders={factor: differ_by(factor) for factor in (1.0, 10.0, 100.0)},
    policies=rivals,
    seeds=3,
    name="apart",
).run()
apart.plot("gain").update_xaxes(title="factor between bidders")

# %%
apart

# %% [markdown]
# ## What may be said
#
# A sentence for each rival and cell, with a verdict only where the interval allows one.


# %%
def verdicts(result):
    """One line for each rival in each cell."""
    for cell in result.cells:
        for rival in result.policies[1:]:
            gain = result.gain(rival, cell=cell)
            verdict = "gains" if gain.low > 0 else "loses" if gain.high < 0 else "no difference shown"
            print(f"{cell:15} over {rival:17} {gain}   {verdict}")


verdicts(rates)
verdicts(apart)

# %% [markdown]
# Read it soberly. Over a router that knows caches alone the gain is large: it never learns which model answers right.
# Over rivals that know it the gain is small, or none is shown, and where bidders are alike a rival that simply takes
# the better model does better: there is nothing to bid about. What the auction has for it is that nobody gains by a
# misreport.
#
# These are small studies, made to run in a minute: 24 conversations a cell. `iemas study measured` is the same question
# with ten seeds, ten policies and all dialogues. `result.frame()` and `result.to_pandas()` have every figure,
# `result.report("report.html")` is a page of it that says how it was made.

# %%
apart.to_pandas().groupby(["bidders", "policy"])[["welfare", "quality", "hit_rate", "wait_median"]].mean().round(2)
