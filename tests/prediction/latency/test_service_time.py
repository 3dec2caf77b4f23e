import numpy as np
import pytest

from prediction.latency.service_time import ServiceTime


def test_it_learns_from_tens_of_thousands_of_steps_without_noise() -> None:
    rng = np.random.default_rng(1)
    steps = [np.array([1.0, a, a * (a + b) / 2, 1.0, 0.0]) for a, b in rng.integers(10, 400, (12, 2)).astype(float)]
    service = ServiceTime()
    for k in range(20_000):
        terms = steps[k % 12]
        service.learn(terms, 0.06 + 0.003 * terms[1] + 4e-6 * terms[2])
    assert service.expect(steps[0]) == pytest.approx(0.06 + 0.003 * steps[0][1] + 4e-6 * steps[0][2], rel=0.01)
