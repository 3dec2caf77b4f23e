import asyncio
import time

import pytest

from runtime.engines.simulated.virtual_time import run


def test_sleeping_costs_no_real_time_and_keeps_order() -> None:
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, asyncio.get_running_loop().time()))

    async def main() -> float:
        await asyncio.gather(sleeper("late", 3600.0), sleeper("early", 60.0), sleeper("middle", 61.5))
        return asyncio.get_running_loop().time()

    before = time.perf_counter()
    assert run(main(), virtual=True) == pytest.approx(3600.0)
    assert time.perf_counter() - before < 60
    assert [name for name, _ in seen] == ["early", "middle", "late"]
    assert [at for _, at in seen] == pytest.approx([60.0, 61.5, 3600.0])


def test_a_timeout_fires_in_virtual_time() -> None:
    async def main() -> None:
        async with asyncio.timeout(5):
            await asyncio.sleep(6)

    with pytest.raises(TimeoutError):
        run(main(), virtual=True)


def test_a_deadlock_is_an_error_and_not_a_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="nothing can ever happen again"):
        run(main(), virtual=True)


def test_real_time_is_asyncios_own() -> None:
    async def main() -> str:
        await asyncio.sleep(0)
        return type(asyncio.get_running_loop()).__name__

    assert "Virtual" not in run(main(), virtual=False)


def test_a_loop_that_runs_already_is_no_obstacle() -> None:
    async def cell() -> tuple[float, float]:
        async def nap() -> float:
            await asyncio.sleep(3600)
            return asyncio.get_running_loop().time()

        before = asyncio.get_running_loop()
        slept = run(nap(), virtual=True), run(asyncio.sleep(0, 7.0), virtual=False)
        assert asyncio.get_running_loop() is before
        return slept

    assert asyncio.run(cell()) == (3600.0, 7.0)


def test_what_is_due_at_one_moment_is_done_in_the_order_it_was_set_whatever_else_waits() -> None:
    async def main(others: int) -> list[int]:
        loop, seen = asyncio.get_running_loop(), list[int]()
        for k in range(8):
            for j in range(others):
                loop.call_at(0.1 * ((7 * j + k) % 5), lambda: None)
            loop.call_at(1.0, seen.append, k)
        await asyncio.sleep(2)
        return seen

    assert all(run(main(others), virtual=True) == list(range(8)) for others in range(4))


def test_time_is_the_very_moment_of_a_timer() -> None:
    async def main() -> list[float]:
        loop, seen = asyncio.get_running_loop(), list[float]()
        for k in range(50):
            loop.call_at(0.1 * k, lambda: seen.append(loop.time()))
        await asyncio.sleep(10)
        return seen

    assert run(main(), virtual=True) == [0.1 * k for k in range(50)]
