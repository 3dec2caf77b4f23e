"""Axes hold what is drawn on them, with round numbers that read apart."""

import pytest

from experiments.reports.pictures.axes import axis, digits, written


@pytest.mark.parametrize(
    "numbers",
    [
        [1.0, 2.0],
        [0.0, 0.0],
        [5.0],
        [-3.0, 400.0],
        [1e-7, 3e-7],
        [1e9, 3e9],
        [-2e-3, -1e-3],
        [0.1, 0.3],
        [99.9, 100.0],
        [],
    ],
)
@pytest.mark.parametrize("most", [2, 4, 7])
@pytest.mark.parametrize("line", [None, 0.0, 1.0])
def test_an_axis_holds_its_numbers(numbers: list[float], most: int, line: float | None) -> None:
    found = axis(numbers, most, line)
    assert all(found.low <= one <= found.high for one in [*numbers, *([] if line is None else [line])])
    assert len(found.ticks) <= most and all(found.low <= tick <= found.high for tick in found.ticks)
    assert all(0.0 <= found.at(one) <= 1.0 for one in numbers)
    said = [written(tick, digits(found.ticks)) for tick in found.ticks]
    assert len(set(said)) == len(said)


def test_an_axis_that_comes_near_nothing_begins_there() -> None:
    assert axis([2.0, 9.0], 5).low == 0.0 and axis([8.0, 9.0], 5).low > 7.0


@pytest.mark.parametrize("numbers", [[0.02, 900.0], [10.0, 10.0], [3.0, 4.0]])
def test_a_logarithmic_axis_has_powers_of_ten(numbers: list[float]) -> None:
    found = axis(numbers, 4, log=True)
    assert found.low <= min(numbers) <= max(numbers) <= found.high and 1 <= len(found.ticks) <= 4
    assert found.at(found.low) == 0.0 and found.at(found.high) == pytest.approx(1.0)
    assert found.at((found.low * found.high) ** 0.5) == pytest.approx(0.5)
