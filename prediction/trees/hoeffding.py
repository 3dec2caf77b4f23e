"""Online trees for latency, cost and quality, one trio per agent, learning from every completion.

Hoeffding trees (Domingos and Hulten, 2000, "Mining high-speed data streams"; for regression Ikonomovska, Gama and
Dzeroski, 2011, "Learning model trees from evolving data streams") as implemented in river. Each leaf of a regression
tree holds a Bayesian linear regression (Bishop, 2006, section 3.3): serving time is close to linear in tokens, so a
leaf is right long before the Hoeffding bound lets the tree split, and splits are left for what is not linear. Split
candidates are kept in quantised buckets (Mastelini and de Carvalho, 2021): cheaper to learn than a search tree, and
no worse on the streams we measured.

Every feature is a number and is used as one. (A one-hot encoder in front would turn each distinct number into a
feature of its own.)

River learns; what it has learnt is kept in arrays (`_flat_trees`), and one compiled loop answers for all pairs
(`tree_kernels`), equal to river's answers to the last bit.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from prediction.errors import PredictionError
from prediction.qos import Features, Measured, QoS, TokenPrices
from prediction.trees._flat_trees import FlatTrees

# Chosen by prequential NMAE on the synthetic stream of tests/prediction.
_GRACE_PERIOD = 50
_SPLIT_CONFIDENCE = 1e-3
_WEIGHT_PRECISION = 0.01
_BUCKET = 0.1
# With the clipped features this bounds a tree's memory: at most 2**6 leaves, each with finitely many buckets.
_MAX_DEPTH = 6
_FEATURE_LIMIT = 1_000.0

_NEEDED = (
    "prompt_tokens", "cached_tokens", "uncached_tokens", "max_tokens", "turn", "inflight", "slots", "load",
    "backlog_tokens",
)  # fmt: skip


# What the trees see of a row, in the order in which linear models sum it up.
_INPUTS = ("one", "prompt", "cached", "uncached", "max", "turn", "inflight", "load", "decode", "backlog")


class _Regressor(Protocol):
    def learn_one(self, x: dict[str, float], y: float) -> None: ...
    def predict_one(self, x: dict[str, float]) -> float: ...


class HoeffdingQoS:
    """One latency tree, one cost tree and one quality classifier for each agent.

    Args:
        prices: each agent's price list; M is its length.
        warmup: completions before an agent's own trees are trusted.
        quality_threshold: measured quality from which an answer counts as good; `QoS.quality` is the probability of a
            good answer.
        optimism: bonus for agents tried seldom, added to quality: `optimism * sqrt(ln(1 + T) / (1 + n))` for an agent
            judged n times out of T (UCB1's radius: Auer, Cesa-Bianchi and Fischer, 2002). It keeps growing for an agent
            that is not chosen, so one with bad luck early is tried again; 0 turns it off, and then it may never be.
        latency_prior: seconds assumed while too little has been measured anywhere.
        latency_limit: longest latency learnt or predicted, in seconds: one absurd measurement cannot drown the rest.

    Raises:
        PredictionError: there are no prices or a parameter is out of range.

    *Cold start.* Before an agent has `warmup` completions, its latency comes from one regression pooled over all
    agents (before that has `warmup` completions, from `latency_prior`), and its cost from its price list at the mean
    output length seen over all agents, at most the request's `max_tokens` (at `max_tokens` where no output length was
    ever reported). Quality needs no switch: it is the classifier's answer shrunk towards 1/2 as if `warmup` further
    completions had been judged, half of them good.

    *What the cost tree learns* is the charge beyond the price of the prompt as believed cached, that is the output and
    any cached tokens that turned out missing. Prices are the contract: no cost is learnt or predicted beyond what the
    list allows, `max_tokens` of output with nothing cached.

    *Latency features* are the row's and `max_tokens * load`, since decode steps grow with the batch.

    There is no forgetting: an agent whose hardware changes should be given a new model.

    Deterministic. Implements `QoSModel`, non-interference law included: nothing but `Features` and `Measured` goes in.
    """

    def __init__(
        self,
        prices: Sequence[TokenPrices],
        *,
        warmup: int = 5,
        quality_threshold: float = 0.5,
        optimism: float = 0.25,
        latency_prior: float = 1.0,
        latency_limit: float = 600.0,
    ) -> None:
        if not prices:
            raise PredictionError("`prices` must hold one price list for each agent, at least one.")
        if warmup < 1:
            raise PredictionError(f"`warmup` must be at least 1, not {warmup}.")
        if not 0.0 <= quality_threshold <= 1.0:
            raise PredictionError(f"`quality_threshold` must lie in [0, 1], not {quality_threshold}.")
        if not (math.isfinite(optimism) and optimism >= 0.0):
            raise PredictionError(f"`optimism` must be finite and at least 0, not {optimism}.")
        if not (math.isfinite(latency_limit) and 0.0 <= latency_prior <= latency_limit):
            raise PredictionError(
                f"latencies must satisfy 0 <= prior <= limit < inf, not {latency_prior=}, {latency_limit=}."
            )
        self._warmup = warmup
        self._threshold = quality_threshold
        self._optimism = optimism
        self._latency_prior = latency_prior
        self._latency_limit = latency_limit
        self._agents = [_Agent(price_list) for price_list in prices]
        self._flat = FlatTrees(len(prices), _INPUTS)
        self._prices = np.array([(one.fresh, one.cached, one.output) for one in prices], np.float64)
        self._price_scales = np.array([agent.price_scale for agent in self._agents], np.float64)
        self._pooled = _linear_regression()
        self._completions = 0
        self._judged = 0
        self._outputs = 0
        self._output_sum = 0.0

    def predict(self, features: Features) -> QoS:
        """Predict every request on every agent: always finite, latency in [0, limit], cost at least 0.

        Raises:
            PredictionError: `features` has another number of agents than `prices`.
        """
        n, m = features.shape
        if m != len(self._agents):
            raise PredictionError(f"`features` has {m} agents, the model {len(self._agents)}.")
        from prediction.trees.tree_kernels import predict_pairs

        assert features.backlog_tokens is not None
        load = [a / b for a, b in zip(features.inflight.tolist(), features.slots.tolist(), strict=True)]
        completions = np.array([agent.completions for agent in self._agents])
        warm = completions >= self._warmup
        pooled = self._completions >= self._warmup
        judged = np.array([float(agent.judged) for agent in self._agents])
        bonus = [self._optimism * math.sqrt(math.log1p(self._judged) / (1 + agent.judged)) for agent in self._agents]
        flat = self._flat
        latency, cost, quality = np.empty((3, m, n))
        predict_pairs(
            features.prompt_tokens.T.copy(), features.cached_tokens.T.copy(),
            features.max_tokens, features.turn,
            features.inflight.astype(np.float64), np.array(load), features.backlog_tokens.astype(np.float64),
            flat.features, flat.thresholds, flat.children, flat.weights, flat.frequencies,
            np.where(warm, 2, 1 if pooled else 0), np.array(flat.linear(self._pooled)),
            self._latency_prior, self._latency_limit,
            self._prices, self._price_scales, self._output_sum / self._outputs if self._outputs else math.inf, warm,
            judged, float(self._warmup), np.array(bonus),
            latency, cost, quality,
        )  # fmt: skip
        return QoS(latency.T, cost.T, quality.T)

    def learn(self, agent: int, row: Mapping[str, float], measured: Measured) -> None:
        """Learn from one completion on `agent`, given the `Features.row` it was dispatched under.

        Raises:
            PredictionError: there is no such agent or the row lacks a feature or holds one not finite.
        """
        if not 0 <= agent < len(self._agents):
            raise PredictionError(f"`agent` must lie in [0, {len(self._agents) - 1}], not {agent}.")
        _check_row(row)
        x = _inputs(row)
        learner = self._agents[agent]
        latency = min(measured.latency_s, self._latency_limit)
        self._pooled.learn_one(x, latency)
        learner.latency.learn_one(x, latency)
        self._flat.refresh(0, agent, learner.latency, x)
        prompt, most = _price_range(learner.prices, row)
        learner.cost.learn_one(x, (min(measured.cost, most) - prompt) / learner.price_scale)
        self._flat.refresh(1, agent, learner.cost, x)
        learner.completions += 1
        self._completions += 1
        if measured.output_tokens is not None:
            self._outputs += 1
            self._output_sum += min(measured.output_tokens, row["max_tokens"])
        if measured.quality is not None:
            learner.quality.learn_one(x, measured.quality >= self._threshold)
            self._flat.refresh(2, agent, learner.quality, x)
            learner.judged += 1
            self._judged += 1


class _Agent:
    """What is learnt about one agent."""

    def __init__(self, prices: TokenPrices) -> None:
        self.prices = prices
        # The trees see costs of order 1 whatever the currency: 100 of the dearest tokens to the unit.
        self.price_scale = 100.0 * max(prices.fresh, prices.cached, prices.output) or 1.0
        self.latency = _regression_tree()
        self.cost = _regression_tree()
        self.quality = _classification_tree()
        self.completions = 0
        self.judged = 0


def _inputs(row: Mapping[str, float]) -> dict[str, float]:
    """Features as the trees see them, of order 1: tokens in thousands, counts in tens."""
    limit = _FEATURE_LIMIT
    return {
        "one": 1.0,
        "prompt": min(row["prompt_tokens"] / 1000.0, limit),
        "cached": min(row["cached_tokens"] / 1000.0, limit),
        "uncached": min(row["uncached_tokens"] / 1000.0, limit),
        "max": min(row["max_tokens"] / 1000.0, limit),
        "turn": min(row["turn"] / 10.0, limit),
        "inflight": min(row["inflight"] / 10.0, limit),
        "load": min(row["load"], limit),
        "decode": min(row["max_tokens"] / 1000.0 * row["load"], limit),
        "backlog": min(row["backlog_tokens"] / 1000.0, limit),
    }


def _check_row(row: Mapping[str, float]) -> None:
    for name in _NEEDED:
        if name not in row:
            raise PredictionError(f"the row lacks {name!r}: pass `Features.row(i, j)`.")
        if not (math.isfinite(row[name]) and row[name] >= 0.0):
            raise PredictionError(f"feature {name!r} must be finite and at least 0, not {row[name]}.")


def _price_range(prices: TokenPrices, row: Mapping[str, float]) -> tuple[float, float]:
    """The prompt's price as believed cached, and the most the request can be charged."""
    prompt, cached, output = row["prompt_tokens"], row["cached_tokens"], row["max_tokens"]
    believed = prices.cost(prompt, cached, 0)
    # A cached token may be dearer than a fresh one on an odd list, so neither extreme is the dearest by itself.
    return believed, max(prices.cost(prompt, 0, output), prices.cost(prompt, prompt, output))


def _linear_regression() -> _Regressor:
    from river.linear_model import BayesianLinearRegression

    model: _Regressor = BayesianLinearRegression(alpha=_WEIGHT_PRECISION, beta=1.0)
    return model


def _regression_tree() -> _Regressor:
    from river.tree import HoeffdingTreeRegressor
    from river.tree.splitter import QOSplitter

    tree: _Regressor = HoeffdingTreeRegressor(
        grace_period=_GRACE_PERIOD,
        max_depth=_MAX_DEPTH,
        delta=_SPLIT_CONFIDENCE,
        leaf_prediction="model",
        leaf_model=_linear_regression(),
        splitter=QOSplitter(_BUCKET),
    )
    return tree


def _classification_tree() -> Any:
    from river.tree import HoeffdingTreeClassifier

    # Leaves answer with class frequencies: naive Bayes leaves are overconfident, and Brier scores show it.
    return HoeffdingTreeClassifier(
        grace_period=_GRACE_PERIOD, max_depth=_MAX_DEPTH, delta=_SPLIT_CONFIDENCE, leaf_prediction="mc"
    )
