"""Books of rounds that were really served, by a router over simulated engines in virtual time."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from mechanisms import Preferences, find_mechanism
from mechanisms.catalogue import find_settlement
from runtime import Auction, Ledger, Policy, RoundRules, Router, running
from runtime.engines.simulated.virtual_time import run
from runtime.rounds.kept import Keep
from tests.runtime.fleet import PRICES, engine, request
from tests.runtime.rounds.stories import breaking

RULES = {"policy": "iemas", "mechanism": "vcg", "allocator": None, "settlement": "on-prediction", "version": "test"}


def play(
    where: str,
    *,
    requests: int = 24,
    seed: int = 0,
    policy: Policy | None = None,
    rules: Mapping[str, Any] = RULES,
    bidders: int = 5,
) -> None:
    """Serve requests of some bidders, with deadlines, stakes and an engine that dies on the way."""
    rng = random.Random(seed)
    mechanism = find_mechanism(str(rules["mechanism"]), rules["allocator"])

    async def one(router: Router, k: int) -> None:
        await asyncio.sleep(rng.uniform(0, 0.3))
        worth = rng.choice((0.0, 0.05, 0.1, 0.3, 1.0))
        deadline = {"deadline": rng.choice((0.05, 0.3, 2.0))} if rng.random() < 0.4 else {}
        preferences = Preferences(worth, rng.uniform(0, 0.3), stake=rng.choice((0.0, 0.0, 0.2)), **deadline)
        words = " ".join(f"w{rng.randrange(9)}" for _ in range(rng.randrange(4, 40)))
        asked = request(f"s{seed}r{k}", words, bidder=f"b{k % bidders}")
        # One of the engines dies on the way: whose requests it had try the other.
        await asyncio.gather(router.submit(asked, preferences), return_exceptions=True)

    fleet = [engine("a", max_num_seqs=2), breaking("b", requests // 8), engine("c", max_num_seqs=2)]

    async def main(ledger: Ledger) -> None:
        async with running(fleet):
            router = Router(
                fleet,
                policy or Auction(mechanism),
                [PRICES] * len(fleet),
                rounds=RoundRules(window_s=0.05),
                ledger=ledger,
                keep=Keep(rules),
                settlement=find_settlement(str(rules["settlement"])),
                grade=lambda request, text: (None, 0.0, 1.0)[len(request.messages[0].content) % 3],
            )
            await router.start()
            await asyncio.gather(*(one(router, k) for k in range(requests)))
            await router.stop()

    with Ledger(where) as ledger:
        # A thread writes where a write may wait, and no thread knows of virtual time.
        run(main(ledger), virtual=not ledger.waits)
