"""Books of rounds that were really served, by a router over simulated engines in virtual time."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from mechanisms import Preferences, find_mechanism
from mechanisms.catalogue import find_settlement
from runtime import Auction, Ledger, Policy, Router
from runtime.rounds.kept import Keep
from tests.runtime.fleet import engine, request
from tests.runtime.rounds.stories import breaking, route

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

    async def story(router: Router) -> None:
        await asyncio.gather(*(one(router, k) for k in range(requests)))

    fleet = [engine("a", max_num_seqs=2), breaking("b", requests // 4), engine("c", max_num_seqs=2)]
    with Ledger(where) as ledger:
        options = {
            "ledger": ledger,
            "keep": Keep(rules),
            "settlement": find_settlement(str(rules["settlement"])),
        }
        route(story, policy or Auction(mechanism), fleet, options, window_s=0.05)
