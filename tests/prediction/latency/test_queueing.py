import doctest
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prediction import AgentState, Pending, PredictionError, QueueModel
from prediction.latency import queueing, service_time, speed_changes

PRICES = [0.001]


class Engine:
    """Computes in one step whatever has come before it begins; decodes nothing."""

    def __init__(self, base, per_token):
        self.base, self.per_token, self.stepped = base, per_token, -math.inf

    def serve(self, model, sent, agent=0, slower=1.0):
        """Serve `(tokens, moment)` in order of moments; return (predicted, actual) seconds to each first token."""
        waiting = [(f"{k}@{moment}", tokens, moment) for k, (tokens, moment) in enumerate(sent)]
        told, finished, answers = [], {}, {}
        for name, tokens, moment in waiting:
            self._advance(model, agent, told, finished, moment, slower)
            states = [AgentState()] * agent + [AgentState(tuple(p for _, p in told), 0, self.stepped)]
            states += [AgentState()] * (len(model.base_seconds()) - len(states))
            prompt = np.full((1, len(states)), tokens)
            answers[name] = model.predict(states, prompt, np.zeros_like(prompt), moment).total[0, agent]
            told.append((name, Pending(tokens, 0, moment)))
            model.sent(agent, name, told[-1][1], 0)
        self._advance(model, agent, told, finished, math.inf, slower)
        return [(answers[name], finished[name] - moment) for name, _, moment in waiting]

    def _advance(self, model, agent, told, finished, until, slower):
        while told:
            begun = max(self.stepped, told[0][1].sent_s)
            step = [one for one in told if one[1].sent_s <= begun]
            end = begun + slower * (self.base + self.per_token * sum(p.uncached for _, p in step))
            if end > until:
                return
            for name, _ in step:
                model.first_token(agent, name, end)
                finished[name] = end
            del told[: len(step)]
            self.stepped = end


def errors(pairs):
    return np.array([abs(predicted - actual) / actual for predicted, actual in pairs])


def traffic(count, rng, gap, began=0.0):
    moments = began + np.cumsum(rng.exponential(gap, count))
    return list(zip(rng.integers(20, 600, count).tolist(), moments.tolist(), strict=True))


@pytest.mark.parametrize("gap", [9.0, 2.5], ids=["idle", "queueing"])
@pytest.mark.parametrize("speed", [0.1, 1.0, 100.0])
def test_it_learns_any_engine_from_a_few_steps(gap, speed):
    model, engine = QueueModel(["m"], PRICES), Engine(0.2 * speed, 0.003 * speed)
    pairs = engine.serve(model, traffic(80, np.random.default_rng(0), gap * speed))
    assert errors(pairs[1:20]).mean() < 0.25
    assert np.median(errors(pairs[40:])) < 0.05


def test_the_first_sample_sets_the_speed():
    model, engine = QueueModel(["m"], PRICES), Engine(20.0, 2.0)
    (first, _), *_ = engine.serve(model, [(100, 0.0)])
    assert first < 2.0
    predicted, actual = engine.serve(model, [(120, 1e6)])[0]
    assert predicted == pytest.approx(actual, rel=0.2)


def test_agents_of_one_model_share_and_other_models_follow_the_price():
    model, engine = QueueModel(["m", "m", "dear"], [0.001, 0.001, 0.003]), Engine(0.2, 0.003)
    engine.serve(model, traffic(60, np.random.default_rng(0), 5.0))
    prompt = np.full((1, 3), 300)
    total = model.predict([AgentState()] * 3, prompt, prompt * 0, 1e6).total[0]
    assert total[0] == total[1] == pytest.approx(1.1, rel=0.05)
    assert total[2] == pytest.approx(3 * total[0])
    assert model.seconds_per_token()[0] == pytest.approx(0.003, rel=0.15)
    assert model.base_seconds()[0] == pytest.approx(0.2, rel=0.5)


def test_before_anything_is_measured_the_stated_prior_holds():
    model = QueueModel(["a", "b"], [0.001, 0.003])
    assert model.base_seconds() == pytest.approx(service_time.PRIOR_SECONDS[0] * np.array([0.5, 1.5]))
    free = QueueModel(["a", "b"], [0.0, 0.003])
    assert np.isfinite(free.base_seconds()).all()


@pytest.mark.parametrize("slower", [2.0, 0.5])
def test_a_change_of_speed_is_forgotten_within_twenty_steps(slower):
    rng = np.random.default_rng(1)
    model, engine = QueueModel(["m"], PRICES), Engine(0.2, 0.003)
    engine.serve(model, traffic(300, rng, 3.0))
    pairs = engine.serve(model, traffic(60, rng, 6.0, began=engine.stepped), slower=slower)
    assert errors(pairs[:3]).mean() > 0.3
    assert errors(pairs[20:]).mean() < 0.06


def slowed(model, agent=1, began=0.0, samples=20, times=4.0, guessed=False):
    """So many steps of one agent, a second apart, each taking `times` as long as 500 tokens should."""
    for k in range(samples):
        at = began + 10.0 * k
        model.sent(agent, "r", Pending(500, 0, at), 0)
        model.first_token(agent, "r", at + 1.7 * times, guessed=guessed)
    return began + 10.0 * samples


def ratio(model, now_s):
    """How many times as long as agent 0 agent 1 is foretold to take."""
    prompt = np.full((1, 2), 500)
    total = model.predict([AgentState()] * 2, prompt, prompt * 0, now_s).total[0]
    return total[1] / total[0]


def test_an_agent_believed_slow_that_gets_nothing_is_tried_again_and_less_often_the_more_it_is_as_slow():
    model = QueueModel(["m"] * 2, PRICES * 2)
    slowed(model, agent=0, times=1.0)
    now = slowed(model, began=slowed(model, times=1.0))
    assert ratio(model, now) == pytest.approx(4.0, rel=0.1)
    tried_after = []
    for _ in range(4):
        began = now
        while ratio(model, now) > 1.2:
            now += 1.0
        tried_after.append(now - began)
        now = slowed(model, began=now, samples=12)
        assert ratio(model, now) > 2.5
    assert 120.0 < tried_after[0] < 480.0
    assert all(later > 1.5 * sooner for sooner, later in pairwise(tried_after))


def test_while_an_agent_is_tested_what_is_known_of_it_does_not_fade():
    model = QueueModel(["m"] * 2, PRICES * 2)
    slowed(model, agent=0, times=1.0)
    now = slowed(model, began=slowed(model, times=1.0), samples=200)
    assert ratio(model, now) == pytest.approx(4.0, rel=0.1)
    assert model._changes[1].found == 1


@pytest.mark.parametrize(("times", "found"), [(3.0, False), (30.0, True)])
def test_moments_that_nobody_saw_tell_of_a_change_by_an_order_of_magnitude_alone(times, found):
    model = QueueModel(["m"] * 2, PRICES * 2)
    slowed(model, agent=0, times=1.0, guessed=True)
    slowed(model, began=slowed(model, times=1.0, guessed=True), samples=8, times=times, guessed=True)
    assert (model._changes[1].found > 0) is found


def test_one_slow_engine_of_a_model_slows_no_other():
    rng = np.random.default_rng(4)
    model = QueueModel(["m"] * 3, PRICES * 3)
    off = []
    for k in range(900):
        agent, tokens = k % 3, int(rng.integers(20, 600))
        took = (0.2 + 0.003 * tokens) * (3.0 if agent == 1 and k > 300 else 1.0) * float(rng.lognormal(0.0, 0.05))
        prompt = np.full((1, 3), tokens)
        expected = model.predict([AgentState()] * 3, prompt, prompt * 0, 10.0 * k).total[0, agent]
        off.append((agent, abs(expected - took) / took))
        model.sent(agent, "r", Pending(tokens, 0, 10.0 * k), 0)
        model.first_token(agent, "r", 10.0 * k + took)
    for agent in range(3):
        assert np.mean([error for one, error in off[400:] if one == agent]) < 0.08
    assert [changes.found > 0 for changes in model._changes] == [False, True, False]
    assert model.seconds_per_token()[1] == pytest.approx(3 * model.seconds_per_token()[0], rel=0.1)


def test_a_steady_noisy_engine_is_not_taken_to_change():
    rng = np.random.default_rng(2)
    model = QueueModel(["m"], PRICES)
    for k in range(3000):
        tokens = int(rng.integers(20, 600))
        model.sent(0, "r", Pending(tokens, 0, 10.0 * k), 0)
        model.first_token(0, "r", 10.0 * k + (0.2 + 0.003 * tokens) * float(rng.lognormal(0.0, 0.15)))
    assert model._changes[0].found == 0


def test_one_absurd_measurement_moves_little():
    rng = np.random.default_rng(3)
    model, engine = QueueModel(["m"], PRICES), Engine(0.2, 0.003)
    engine.serve(model, traffic(100, rng, 5.0))
    model.sent(0, "stuck", Pending(100, 0, 1e6), 0)
    model.first_token(0, "stuck", 1e6 + 600.0)
    pairs = engine.serve(model, traffic(10, rng, 5.0, began=2e6))
    assert errors(pairs).mean() < 0.25


def known(depth=None):
    """A model of 1 second a step and 1 second for a thousand tokens, to within a thousandth."""
    model = QueueModel(["m"], PRICES, depth=depth)
    model._weights = [[1.0, 1e-3, 0.0, 0.0, 0.5]]
    return model


def place(model, pending, stepped=-math.inf, decoding=0, now=100.0):
    latency = model.predict([AgentState(tuple(pending), decoding, stepped)], np.array([[1000]]), np.array([[0]]), now)
    return float(latency.start[0]), float(latency.service[0, 0])


def test_an_idle_engine_starts_at_once():
    assert place(known(), []) == (0.0, 2.0)
    assert place(known(), [], decoding=2) == (0.0, 2.5)  # what is left of a decode step


def test_the_step_that_runs_is_waited_for_and_the_next_is_shared():
    runs, shares = Pending(2000, 0, 99.0), Pending(500, 0, 99.5)
    assert place(known(), [runs]) == pytest.approx((2.0, 2.0))
    assert place(known(), [runs, shares]) == pytest.approx((2.0, 2.5))
    # Both came before the last step ended, so they are computed together.
    assert place(known(), [runs, shares], stepped=99.7) == pytest.approx((3.2, 2.0))


def test_a_line_of_one_is_served_one_by_one():
    line = [Pending(1000, 0, 99.0), Pending(1000, 0), Pending(1000, 500)]
    start, service = place(known(depth=1), line)
    # Each but the first finds the one before decoding: half a second until the decode step ends.
    assert start == pytest.approx(1.0 + 2.5 + 2.0)
    assert service == pytest.approx(2.5)


def test_a_line_is_sent_as_many_at_a_time_as_first_tokens_came():
    engine = [Pending(1000, 0, 98.9), Pending(1000, 0, 98.9)]
    line = [Pending(1000, 0)] * 3
    # 99 to 102 both; then two of the line together, until 105.5; then the third and ours.
    start, service = place(known(depth=2), engine + line, stepped=99.0)
    assert (start, service) == pytest.approx((2.0 + 3.5, 3.5))


def test_an_overdue_step_is_still_waited_for():
    start, _ = place(known(), [Pending(1000, 0, 0.0)])
    assert 0.0 < start < 1.0


def test_what_is_dropped_teaches_nothing():
    model = QueueModel(["m"], PRICES)
    before = model.base_seconds()
    model.sent(0, "r", Pending(10, 0, 0.0), 0)
    model.dropped(0, "r")
    assert model.base_seconds() == before
    assert not model._in_flight[0]


pendings = st.builds(
    lambda prompt, share, sent: Pending(prompt, int(prompt * share), sent),
    st.integers(0, 10**6), st.floats(0, 1), st.none() | st.floats(0, 100),
)  # fmt: skip
states = st.builds(
    lambda pending, decoding, stepped: AgentState(tuple(pending), decoding, stepped),
    st.lists(pendings, max_size=6), st.integers(0, 9), st.just(-math.inf) | st.floats(0, 100),
)  # fmt: skip


@given(
    st.lists(states, min_size=2, max_size=2),
    st.none() | st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 10**5), st.floats(0, 1e3)), max_size=8),
)
def test_latency_is_finite_positive_and_more_work_is_never_faster(agents, depth, history):
    model = QueueModel(["m", "n"], [1.0, 2.0], depth=depth)
    for k, (decoding, tokens, took) in enumerate(history):
        model.sent(0, "r", Pending(tokens, 0, float(k)), decoding)
        model.first_token(0, "r", k + took)
    prompt = np.array([[10, 10], [1000, 1000], [1000, 1000]])
    latency = model.predict(agents, prompt, np.array([[0, 0], [0, 0], [500, 500]]), 100.0)
    assert np.isfinite(latency.total).all() and (latency.start >= 0).all() and (latency.service > 0).all()
    assert (latency.total[1] >= latency.total[2]).all()
    assert np.array_equal(latency.total, latency.start + latency.service)
    again = model.predict(agents, prompt, np.array([[0, 0], [0, 0], [500, 500]]), 100.0)
    assert np.array_equal(latency.total, again.total)


@given(st.permutations(range(6)))
def test_memory_is_what_is_in_flight(order):
    model = QueueModel(["m"], PRICES)
    for k in range(6):
        model.sent(0, str(k), Pending(10, 0, float(k)), 0)
    for k in order:
        model.first_token(0, str(k), 10.0 + k) if k % 2 else model.dropped(0, str(k))
    assert model._in_flight == [{}] and model._open == [None]


def test_bad_input_is_refused():
    one = np.array([[1]])
    model = QueueModel(["m"], PRICES)
    model.sent(0, "r", Pending(1, 0, 0.0), 0)
    for call in (
        lambda: QueueModel([], []),
        lambda: QueueModel(["m"], [1.0, 2.0]),
        lambda: QueueModel(["m"], [-1.0]),
        lambda: QueueModel(["m"], PRICES, depth=0),
        lambda: Pending(1, 2),
        lambda: Pending(1, 0, math.nan),
        lambda: AgentState(decoding=-1),
        lambda: AgentState(stepped_s=math.nan),
        lambda: model.predict([AgentState()] * 2, one, one, 0.0),
        lambda: model.predict([AgentState()], one[0], one[0], 0.0),
        lambda: model.predict([AgentState()], one, one + 1, 0.0),
        lambda: model.sent(1, "s", Pending(1, 0, 0.0), 0),
        lambda: model.sent(0, "r", Pending(1, 0, 0.0), 0),
        lambda: model.sent(0, "s", Pending(1, 0), 0),
        lambda: model.first_token(0, "s", 1.0),
        lambda: model.first_token(-1, "r", 1.0),
        lambda: model.dropped(0, "s"),
    ):
        with pytest.raises(PredictionError):
            call()


@pytest.mark.parametrize("module", [queueing, service_time, speed_changes])
def test_the_documented_examples_run(module):
    result = doctest.testmod(module)
    assert result.attempted and not result.failed


def test_a_model_that_joins_before_anything_was_measured_is_supposed_from_its_price() -> None:
    model, both = QueueModel(["small"], [1.0]), QueueModel(["small", "large"], [1.0, 1.0])
    model.join("large", 1.0)
    state = [AgentState()] * 2
    ones = np.ones((1, 2), np.int64)
    foretold, known = (one.predict(state, 100 * ones, 0 * ones, 0.0) for one in (model, both))
    assert np.isfinite(foretold.service).all() and foretold.service.tolist() == known.service.tolist()
