"""Markets to measure on: what a house would see, and what somebody who wants it to stall would send."""

from collections.abc import Callable

import numpy as np

from allocation import Market

Generator = np.random.Generator
Matrix = np.ndarray


def _spread(total: int, m: int) -> Matrix:
    return np.full(m, total // m) + (np.arange(m) < total % m)


def uniform(rng: Generator, n: int, m: int) -> Matrix:
    return rng.integers(0, 10**6, (n, m))


def structured(rng: Generator, n: int, m: int) -> Matrix:
    """Priced by the token, with a bonus where a tenth of the pairs hold a cached prefix; agents differ in quality."""
    prompt, answer = rng.lognormal(6.5, 0.8, (n, 1)), rng.lognormal(5, 0.6, (n, 1))
    price, speed = rng.uniform(0.2, 2, m), rng.uniform(20, 120, m)
    cached = np.where(rng.random((n, m)) < 0.1, rng.uniform(0.3, 0.95, (n, m)), 0)
    quality = rng.uniform(0.4, 0.95, m) + rng.normal(0, 0.05, (n, m))
    seconds = prompt * (1 - cached) / 2000 + answer / speed
    cost = 100 * (prompt * (1 - 0.9 * cached) * price + answer * 3 * price)
    return rng.lognormal(0, 0.5, (n, 1)) * 2e6 * quality - rng.lognormal(0, 0.5, (n, 1)) * 2e4 * seconds - cost


def near_identical(rng: Generator, n: int, m: int) -> Matrix:
    """Agents that differ by a few micro-units: nearly everybody is indifferent."""
    return rng.integers(0, 10**6, (n, 1)) + rng.integers(0, 10, (n, m))


def two_scales(rng: Generator, n: int, m: int) -> Matrix:
    return rng.integers(0, 10**9, (n, 1)) + rng.integers(0, 10**4, (n, m))


def all_equal(rng: Generator, n: int, m: int) -> Matrix:
    return np.full((n, m), 10**6)


def rank_one(rng: Generator, n: int, m: int) -> Matrix:
    """Paths as long as there are agents."""
    return rng.integers(0, 1000, (n, 1)) * rng.integers(0, 1000, (1, m))


def twins(rng: Generator, n: int, m: int) -> Matrix:
    return np.repeat(rng.integers(0, 10**6, (n, m // 2 + 1)), 2, axis=1)[:, :m] + rng.integers(0, 3, (n, m))


def small_integers(rng: Generator, n: int, m: int) -> Matrix:
    return rng.integers(0, 10, (n, m))


def few_types(rng: Generator, n: int, m: int) -> Matrix:
    return rng.integers(0, 10**6, (max(2, n // 200), m))[rng.integers(0, max(2, n // 200), n)]


def sums(rng: Generator, n: int, m: int) -> Matrix:
    """All agree on what agents are worth: at the right prices everybody is indifferent between all of them."""
    return rng.integers(0, 10**6, (n, 1)) + rng.integers(0, 10**6, (1, m))


def maxima(rng: Generator, n: int, m: int) -> Matrix:
    return np.maximum(rng.integers(0, 10**6, (n, 1)), rng.integers(0, 10**6, (1, m)))


def noisy_maxima(rng: Generator, n: int, m: int) -> Matrix:
    """A ladder whose many flat steps chance makes rough: nearly everybody is nearly indifferent, in long chains."""
    return maxima(rng, n, m) + rng.integers(0, 10, (n, m))


def noisy_sums(rng: Generator, n: int, m: int) -> Matrix:
    """The same where all steps are flat."""
    return sums(rng, n, m) + rng.integers(0, 10, (n, m))


ORDINARY: dict[str, Callable[[Generator, int, int], Matrix]] = {"uniform": uniform, "structured": structured}
ADVERSARIAL: dict[str, Callable[[Generator, int, int], Matrix]] = {
    "near-identical": near_identical,
    "two scales": two_scales,
    "all equal": all_equal,
    "rank one": rank_one,
    "twins": twins,
    "small integers": small_integers,
    "few types": few_types,
    "90 % forbidden": uniform,
    "90 % without room": uniform,
}

#: The hardest known where agents are about as many as requests.
ALIKE: dict[str, Callable[[Generator, int, int], Matrix]] = {
    "sums": sums,
    "maxima": maxima,
    "noisy maxima": noisy_maxima,
    "noisy sums": noisy_sums,
}

KINDS = ORDINARY | ADVERSARIAL | ALIKE


def make(kind: str, n: int, m: int, seed: int, fill: float = 0.9) -> Market:
    """A market of this kind with room for `fill` of its requests."""
    rng = np.random.default_rng(seed)
    values = np.rint(KINDS[kind](rng, n, m)).astype(np.int64)
    feasible = rng.random((n, m)) >= 0.9 if kind == "90 % forbidden" else None
    room = _spread(int(fill * n), max(1, m // 10) if kind == "90 % without room" else m)
    market = Market(values, np.zeros_like(values), np.pad(room, (0, m - room.size)), feasible)
    _ = market.weights  # derived once, for whoever solves it
    return market


def mixture(seed: int) -> tuple[str, Market]:
    """What it is made of, and the market: 100 to 6,000 requests, 4 to 600 agents, a million pairs at most."""
    rng = np.random.default_rng(seed)
    n = int(np.exp(rng.uniform(np.log(100), np.log(6000))))
    m = int(np.exp(rng.uniform(np.log(4), np.log(min(600, 1_000_000 // n)))))
    kind = str(rng.choice(list(KINDS)))
    values = np.rint(KINDS[kind](rng, n, m)).astype(np.int64)
    if rng.random() < 0.4:
        values += rng.integers(0, int(10 ** rng.uniform(0, 6)), (n, m))
    if rng.random() < 0.3:
        values -= rng.integers(0, 10**6, (1, m))
    if rng.random() < 0.2:
        values -= int(np.median(values))
    feasible = rng.random((n, m)) < rng.uniform(0.05, 1) if rng.random() < 0.4 else None
    room = rng.multinomial(int(rng.uniform(0.3, 2) * n), rng.dirichlet(np.full(m, 10 ** rng.uniform(-1, 2))))
    market = Market(values, np.zeros_like(values), room, feasible)
    _ = market.weights
    return f"{kind}, seed {seed}, {n}x{m}", market
