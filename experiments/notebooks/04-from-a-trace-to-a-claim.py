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
# # From a recorded trace to a claim
#
# `iemas serve --record` writes down what came in and what became of it, without the words. This notebook takes such a
# trace of two **real vLLM servers**, plays it under other policies, and ends with one sentence that may be said aloud,
# with its interval and its conditions.

# %%
from importlib.resources import files
from pathlib import Path

import polars

from experiments.studies.replay.runs import recorded_figures, replay
from runtime.traces.reading import read_trace

# %% [markdown]
# ## What was recorded
#
# Six bidders held the shipped dialogues with SmolLM2-135M and Qwen2.5-Coder-0.5B on two cores of a CPU
# ([data/README.md](data/README.md) says how, `data/talk.py` does it again). For a trace of yours, change the path.

# %%
path = Path(str(files("experiments") / "notebooks/data/trace.jsonl"))
trace = read_trace(path)
for agent in trace.head.agents:
    print(f"{agent.name}: {agent.model}, {agent.slots} at once, credits a token fresh, cached, output: {agent.prices}")
bidders = {one.bidder for one in trace.requests}
print(f"{len(trace.requests)} requests of {len(bidders)} bidders, under {trace.head.policy}")

# %%
requests = polars.DataFrame(
    {
        "bidder": [one.bidder for one in trace.requests],
        "worth": [one.stated.worth for one in trace.requests],
        "hurry": [one.stated.delay_cost for one in trace.requests],
        "outcome": [str(one.outcome) for one in trace.requests],
        "agent": [None if one.agent is None else trace.head.agents[one.agent].name for one in trace.requests],
        "charge": [one.charge / 1e6 for one in trace.requests],
        "waited_s": [one.first_token_s and one.first_token_s - one.at_s for one in trace.requests],
    }
)
requests.group_by("bidder").agg(
    polars.col("worth").first(),
    polars.col("hurry").first(),
    polars.len().alias("requests"),
    (polars.col("outcome") == "served").sum().alias("served"),
    (polars.col("agent") == "large").sum().alias("by the large model"),
    polars.col("charge").sum().round(2),
    polars.col("waited_s").median().round(2),
).sort("worth")

# %% [markdown]
# Who wants little was declined: serving them costs more than they said it is worth. Who wants much got the large model.
#
# ## Play it again
#
# The same requests come at the same moments, under other policies. The engines are **simulated** now: they have the
# recorded prices, places and caches, and the speed that was fitted to these two models. First a question of trust: does
# a replay under the recorded policy come close to what was measured?

# %%
played = replay(trace, ["iemas", "cache-aware", "sticky", "round-robin", "random"])
again, measured = played.runs[0], recorded_figures(trace)
for figure in ("served", "declined", "hit_rate", "wait_median", "charges"):
    print(f"{figure:12} measured {measured[figure]:8.2f}   replayed {getattr(again, figure):8.2f}")

# %% [markdown]
# Caches come out close. Waits and charges less so, and no wonder: the machine that recorded had other work to do, and
# the auction learnt to predict as it went, here as there. So a claim should not rest on seconds to the last digit.

# %%
played.frame()

# %% [markdown]
# ## The claim
#
# Welfare is what answers are worth to bidders, less the cost of serving and of their waiting. The interval is a
# bootstrap over conversations: requests of one conversation are not independent of each other.

# %%
for rival in played.runs[1:]:
    gain = played.over(rival)
    sure = "a difference" if gain.low > 0 or gain.high < 0 else "none shown"
    bounds = f"[{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
    print(f"iemas over {rival.policy:12} {100 * gain.share:+6.1f} %  {bounds:16} {sure}")

# %%
rival = next(one for one in played.runs if one.policy == "round-robin")
gain = played.over(rival)
verdict = "more" if gain.low > 0 else "less" if gain.high < 0 else "no provably different"
print(
    f"On these {len(trace.requests)} recorded requests, replayed on simulated engines, the auction yields "
    f"{verdict} welfare than round robin: {100 * gain.share:+.0f} %, 95 % interval "
    f"[{100 * gain.low:+.0f}, {100 * gain.high:+.0f}]."
)

# %% [markdown]
# What it does not say: it is one recording, and knows nothing of other days. Nobody graded these answers, so the
# chance of a right one is assumed (45 % and 75 %). And a bidder's own words are taken for the truth, which is fair only
# under a rule that was audited: see the second notebook.
