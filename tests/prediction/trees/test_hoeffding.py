import copy
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prediction import ErrorMeter, Features, Frozen, HoeffdingQoS, Measured, PredictionError, QoSModel, TokenPrices
from tests.prediction.trees import slow_trees
from tests.prediction.trees.stream import completions, price_lists

PRICES = TokenPrices(fresh=0.01, cached=0.001, output=0.03)


def one_request(agents=1, prompt=100, cached=0, max_tokens=64):
    return Features(
        prompt_tokens=np.full((1, agents), prompt),
        cached_tokens=np.full((1, agents), cached),
        max_tokens=np.array([max_tokens]),
        turn=np.array([0]),
        inflight=np.zeros(agents, int),
        slots=np.full(agents, 8),
    )


def prequential(count, seed, **stream_options):
    """Errors of the model and of each agent's running mean, over the first 200 completions and over the rest."""
    model = HoeffdingQoS(price_lists(seed))
    sums, counts = np.zeros((6, 3)), np.zeros(6)
    meters = {(who, late): ErrorMeter() for who in ("model", "mean") for late in (False, True)}
    for k, event in enumerate(completions(count, seed, **stream_options)):
        j, measured = event.agent, event.measured
        qos = model.predict(event.features)
        late = k >= 200
        meters["model", late].update(qos.latency[0, j], qos.cost[0, j], qos.quality[0, j], measured)
        meters["mean", late].update(*(sums[j] / max(counts[j], 1)), measured)
        model.learn(j, event.features.row(0, j), measured)
        sums[j] += measured.latency_s, measured.cost, measured.quality
        counts[j] += 1
    return {key: meter.summary() for key, meter in meters.items()}


@pytest.fixture(scope="module", params=[(0, False), (1, True)], ids=["whole answer", "first token"])
def scores(request):
    seed, first_token = request.param
    return prequential(1000, seed, first_token=first_token)


def test_it_beats_each_agents_running_mean(scores):
    for late, latency, cost in ((False, 0.8, 0.5), (True, 0.5, 0.35)):
        model, mean = scores["model", late], scores["mean", late]
        assert model["latency_nmae"] < latency * mean["latency_nmae"]
        assert model["cost_nmae"] < cost * mean["cost_nmae"]


def test_learning_reduces_error(scores):
    early, late = scores["model", False], scores["model", True]
    assert late["latency_nmae"] < early["latency_nmae"]
    assert late["cost_nmae"] < early["cost_nmae"]
    assert late["latency_nmae"] < 0.3 and late["cost_nmae"] < 0.2


def test_quality_is_no_worse_than_the_running_rate_by_much(scores):
    assert scores["model", True]["quality_brier"] < scores["mean", True]["quality_brier"] + 0.02


def test_before_anything_is_learnt_the_stated_priors_hold():
    qos = HoeffdingQoS([PRICES] * 2, latency_prior=2.5).predict(one_request(2, prompt=100, cached=60, max_tokens=64))
    assert qos.latency.tolist() == [[2.5, 2.5]]
    assert qos.cost[0] == pytest.approx([PRICES.cost(100, 60, 64)] * 2)
    assert qos.quality.tolist() == [[0.5, 0.5]]


def test_a_new_agent_borrows_latency_and_output_length_from_the_others():
    model = HoeffdingQoS([PRICES, PRICES], warmup=4)
    for prompt in range(100, 1100, 50):
        row = one_request(2, prompt=prompt).row(0, 0)
        model.learn(0, row, Measured(0.1 + prompt / 1000, PRICES.cost(prompt, 0, 20), output_tokens=20))
    qos = model.predict(one_request(2, prompt=500))
    assert qos.latency[0, 1] == pytest.approx(0.6, rel=0.1)
    assert qos.cost[0, 1] == pytest.approx(PRICES.cost(500, 0, 20))
    assert model.predict(one_request(2, prompt=500, max_tokens=5)).cost[0, 1] == pytest.approx(PRICES.cost(500, 0, 5))


def test_an_unlucky_agent_is_tried_again_only_with_optimism():
    """Agent 0 is good four times in five but fails both warm-up requests; agent 1 is good three times in five."""
    good = ([True, True, True, True, False], [True, False, True, False, True])

    def late_share(optimism):
        model = HoeffdingQoS([PRICES] * 2, optimism=optimism)
        features = one_request(2)
        row = features.row(0, 0)
        for quality in (0.0, 0.0):
            model.learn(0, row, Measured(1.0, 1.0, quality))
        chosen = []
        for _ in range(600):
            j = int(np.argmax(model.predict(features).quality[0]))
            model.learn(j, row, Measured(1.0, 1.0, float(good[j][chosen.count(j) % 5])))
            chosen.append(j)
        return chosen[300:].count(0) / 300

    assert late_share(0.0) == 0.0
    assert late_share(0.25) > 0.9


def test_unjudged_quality_teaches_nothing_about_quality():
    model = HoeffdingQoS([PRICES])
    features = one_request()
    for _ in range(20):
        model.learn(0, features.row(0, 0), Measured(1.0, 1.0))
    assert model.predict(features).quality.tolist() == [[0.5]]


def test_the_threshold_decides_what_is_good():
    features = one_request()
    for threshold, good in ((0.3, True), (0.6, False)):
        model = HoeffdingQoS([PRICES], quality_threshold=threshold, optimism=0.0)
        for _ in range(20):
            model.learn(0, features.row(0, 0), Measured(1.0, 1.0, 0.5))
        assert (model.predict(features).quality[0, 0] > 0.5) == good


def test_cost_never_leaves_the_price_list():
    model = HoeffdingQoS([PRICES], warmup=1)
    features = one_request(prompt=100, cached=50, max_tokens=10)
    for _ in range(10):
        model.learn(0, features.row(0, 0), Measured(1.0, 1e9))
    assert model.predict(features).cost[0, 0] <= PRICES.cost(100, 0, 10)
    free = HoeffdingQoS([TokenPrices(0, 0, 0)], warmup=1)
    free.learn(0, features.row(0, 0), Measured(1.0, 7.0))
    assert free.predict(features).cost.tolist() == [[0.0]]


huge = st.one_of(st.integers(0, 300), st.integers(0, 10**15))
amounts = st.one_of(st.floats(0, 10), st.floats(0, 1e300))
prices = st.builds(TokenPrices, *[st.one_of(st.just(0.0), st.floats(1e-12, 1e12))] * 3)


@st.composite
def features_and_measurements(draw):
    prompt = draw(huge)
    features = Features(
        prompt_tokens=np.array([[prompt]]),
        cached_tokens=np.array([[draw(st.integers(0, prompt))]]),
        max_tokens=np.array([draw(huge)]),
        turn=np.array([draw(huge)]),
        inflight=np.array([draw(huge)]),
        slots=np.array([1 + draw(huge)]),
        backlog_tokens=np.array([draw(huge)]),
    )
    quality = draw(st.none() | st.floats(0, 1))
    return features, Measured(draw(amounts), draw(amounts), quality, draw(st.none() | huge))


@settings(max_examples=40, deadline=None)
@given(prices, st.lists(features_and_measurements(), min_size=1, max_size=12), st.integers(1, 8))
def test_predictions_are_always_finite_and_in_range(price_list, events, repeats):
    model = HoeffdingQoS([price_list], warmup=2, latency_limit=100.0)
    for features, measured in events * repeats:
        qos = model.predict(features)
        assert qos.latency.max() <= 100.0
        model.learn(0, features.row(0, 0), measured)
    for features, _ in events:
        model.predict(features)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_a_tree_gone_astray_falls_back_on_the_priors(broken):
    model = HoeffdingQoS([PRICES], warmup=1, latency_prior=2.0)
    features = one_request(prompt=100, max_tokens=8)
    model.learn(0, features.row(0, 0), Measured(1.0, 1.0))
    model._flat.weights[:] = broken
    model._flat.frequencies[:] = broken
    qos = model.predict(features)
    assert (qos.latency[0, 0], qos.quality[0, 0]) == (2.0, 0.5)
    assert qos.cost[0, 0] == pytest.approx(PRICES.cost(100, 0, 8))


def same(fast, slow):
    return all(np.array_equal(getattr(fast, name), getattr(slow, name)) for name in ("latency", "cost", "quality"))


@pytest.mark.parametrize("seed", [*(pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 1)), 2])
def test_compiled_answers_are_rivers_to_the_last_bit(seed):
    """Three agents of unlike laws learn until every tree has been split several times over."""
    rng = np.random.default_rng(seed)
    model = HoeffdingQoS(price_lists(seed)[:3], warmup=5)
    for k in range(1500):
        n = 3
        prompt = rng.integers(1, 4000, (n, 3))
        features = Features(
            prompt_tokens=prompt,
            cached_tokens=(prompt * rng.random((n, 3))).astype(int),
            max_tokens=rng.integers(1, 2000, n),
            turn=rng.integers(0, 30, n),
            inflight=rng.integers(0, 16, 3),
            slots=np.full(3, 16),
            backlog_tokens=rng.integers(0, 9000, 3),
        )
        if k % 20 == 0 or k < 20:
            assert same(model.predict(features), slow_trees.predict(model, features))
        j = k % 3
        row = features.row(0, j)
        law = row["uncached_tokens"] * 1e-3 * (1 + j) * (1 + 3 * (row["turn"] > 12)) + (row["max_tokens"] > 900)
        output = int(rng.integers(1, row["max_tokens"] + 1) if row["max_tokens"] > 800 else 1)
        cost = model._agents[j].prices.cost(row["prompt_tokens"], row["cached_tokens"], output)
        right = float(row["turn"] > 15 or row["max_tokens"] > 1500)
        model.learn(j, row, Measured(law + 0.05 * rng.random(), cost, right if k % 4 else None, output))
    for agent in model._agents:
        assert min(agent.latency.n_leaves, agent.quality.n_leaves) > 2
    copied = Frozen(model)
    assert same(copied.predict(features), slow_trees.predict(model, features))


@settings(max_examples=40, deadline=None)
@given(prices, st.lists(features_and_measurements(), min_size=1, max_size=12), st.integers(1, 20))
def test_compiled_answers_are_rivers_for_odd_numbers_too(price_list, events, repeats):
    model = HoeffdingQoS([price_list], warmup=2)
    for features, measured in events * repeats:
        assert same(model.predict(features), slow_trees.predict(model, features))
        model.learn(0, features.row(0, 0), measured)


def test_a_copy_goes_on_learning_by_itself():
    model = HoeffdingQoS(price_lists(0))
    events = list(completions(400, 0))
    for event in events[:200]:
        model.learn(event.agent, event.features.row(0, event.agent), event.measured)
    twin = copy.deepcopy(model)
    for event in events[200:]:
        twin.learn(event.agent, event.features.row(0, event.agent), event.measured)
    for event in events[:20]:
        assert same(twin.predict(event.features), slow_trees.predict(twin, event.features))
        assert same(model.predict(event.features), slow_trees.predict(model, event.features))


def test_the_same_history_gives_the_same_predictions_and_asking_changes_nothing():
    first, second = HoeffdingQoS(price_lists(3)), HoeffdingQoS(price_lists(3))
    for event in completions(150, 3):
        for _ in range(2):
            first.predict(event.features)
        for model in (first, second):
            model.learn(event.agent, event.features.row(0, event.agent), event.measured)
    for event in completions(20, 4):
        a, b = first.predict(event.features), second.predict(event.features)
        for name in ("latency", "cost", "quality"):
            assert np.array_equal(getattr(a, name), getattr(b, name))


def test_an_empty_round_has_an_empty_answer():
    nothing = np.zeros((0, 1), int)
    round_of_none = Features(nothing, nothing, nothing[:, 0], nothing[:, 0], np.array([0]), np.array([8]))
    assert HoeffdingQoS([PRICES]).predict(round_of_none).shape == (0, 1)


def test_it_is_a_qos_model():
    assert isinstance(HoeffdingQoS([PRICES]), QoSModel)


def test_bad_input_is_refused():
    model = HoeffdingQoS([PRICES])
    row, measured = one_request().row(0, 0), Measured(1.0, 1.0)
    with pytest.raises(PredictionError, match="2 agents"):
        model.predict(one_request(2))
    with pytest.raises(PredictionError, match="agent"):
        model.learn(1, row, measured)
    with pytest.raises(PredictionError, match="lacks 'turn'"):
        model.learn(0, {name: value for name, value in row.items() if name != "turn"}, measured)
    with pytest.raises(PredictionError, match="'load'"):
        model.learn(0, row | {"load": float("nan")}, measured)


@pytest.mark.parametrize(
    "options",
    [
        {"prices": []}, {"warmup": 0}, {"quality_threshold": 1.5}, {"optimism": -1.0}, {"optimism": float("inf")},
        {"latency_prior": -1.0}, {"latency_prior": 2.0, "latency_limit": 1.0}, {"latency_limit": float("inf")},
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(options):
    with pytest.raises(PredictionError):
        HoeffdingQoS(**{"prices": [PRICES]} | options)


def test_importing_the_room_leaves_river_and_the_other_rooms_alone():
    code = (
        "import sys, prediction\n"
        "heavy = {'river', 'numba', 'scipy', 'pandas', 'allocation', 'mechanisms', 'runtime'}\n"
        "sys.exit(bool(heavy & {name.split('.')[0] for name in sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
