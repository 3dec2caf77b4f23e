"""Which hub takes a request: decided by what is public before anybody's report is read.

A rule that read reports would be part of the mechanism, and no hub's auction could make up for what bids moved there.
"""

import hashlib
from collections.abc import Sequence
from typing import Protocol


class Assignment(Protocol):
    """Chooses a hub for a request."""

    def __call__(self, bidder: str, opening: bytes, hubs: Sequence[int]) -> int:
        """One of `hubs`, which are those that could serve it, at least one.

        Args:
            bidder: whose it is.
            opening: how its conversation begins; all its turns share it.
            hubs: numbers, ascending.
        """
        ...


def by_conversation(bidder: str, opening: bytes, hubs: Sequence[int]) -> int:
    """The turns of a conversation meet the caches they left; conversations spread evenly.

    Rendezvous hashing (Thaler and Ravishankar 1998): a hub that comes or goes moves its own share alone.
    """
    return _rendezvous(opening, hubs)


def by_bidder(bidder: str, opening: bytes, hubs: Sequence[int]) -> int:
    """All requests of a bidder meet in one hub, whose auction sees them compete with each other."""
    return _rendezvous(bidder.encode(), hubs)


#: By the name that `fleet.toml` takes.
ASSIGNMENTS: dict[str, Assignment] = {"conversation": by_conversation, "bidder": by_bidder}


def _rendezvous(key: bytes, hubs: Sequence[int]) -> int:
    if len(hubs) == 1:
        return hubs[0]
    return max(hubs, key=lambda hub: hashlib.blake2b(key, digest_size=8, salt=hub.to_bytes(8, "little")).digest())
