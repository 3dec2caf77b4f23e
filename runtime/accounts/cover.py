"""`Cover`: what accounts could be charged for requests that are still being served, before anybody knows the price.

A hold in the books keeps an auctioned price, once there is one. Whoever must cover the value that they report enters a
round with that much set apart, so that nobody displaces another in a round and then cannot pay. A price is at most the
reported value, and is part of what is set apart for its request.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from runtime.errors import UncoveredError
from runtime.events import Abandoned, Decided, Declined, Dispatched, Event, Failed, Served


class Free(Protocol):
    """What `Cover` reads: a `Ledger`."""

    @property
    def waits(self) -> bool:
        """Whether reading may wait for a network."""
        ...

    def free(self, account: str) -> int | None:
        """Micro-units that an account may still spend, less what is held; None: without limit."""
        ...


@dataclass(slots=True)
class _Part:
    """What is set apart for a request, what it was decided to cost, and what of that the books hold, in micro-units."""

    most: int
    price: int = 0
    held: int = 0


class Cover:
    """What is set apart, by account and request; a subscriber of the router's events.

    Args:
        books: say what accounts have.

    Other gateways on the same books do not see what is set apart here, only holds: where two enter in the same moment,
    the hold refuses the second once it has a price, as it does without this.
    """

    def __init__(self, books: Free) -> None:
        self._books = books
        self._parts: dict[str, dict[str, _Part]] = {}

    async def enter(self, request: str, account: str, most: int) -> None:
        """Set apart what a request may come to; it stays so until the request's end is seen, or `leave`.

        Raises:
            UncoveredError: the account has too little beside what is set apart for its requests before this one.
            LedgerBusyError: the books cannot be read just now.
        """
        parts = self._parts.setdefault(account, {})
        before = list(parts.values())
        parts[request] = _Part(most)
        try:
            free = await self._free(account)
            if free is not None:
                left = free - sum(part.most - part.held for part in before)
                if left < most:
                    raise UncoveredError(
                        f"account {account} has {left} micro-units left beside what its other requests may come to, "
                        f"and request {request} is reported to be worth up to {most}"
                    )
        except BaseException:
            self.leave(request, account)
            raise

    def leave(self, request: str, account: str) -> None:
        """Nothing more is set apart for a request; nothing happens where nothing was."""
        parts = self._parts.get(account, {})
        parts.pop(request, None)
        if not parts:
            self._parts.pop(account, None)

    def set_apart(self, account: str) -> int:
        """Micro-units that are set apart for an account's requests, what is held for them included."""
        return sum(part.most for part in self._parts.get(account, {}).values())

    def notice(self, event: Event) -> None:
        """Follow a request from its price to its end."""
        request = event.offer.request
        part = self._parts.get(request.bidder, {}).get(request.id)
        if part is None:
            return
        if isinstance(event, Decided):
            part.price = max(event.charge, 0)
        elif isinstance(event, Dispatched):
            # Not before: a hold may be written later than it is decided.
            part.held = part.price
        elif isinstance(event, Failed) and event.retried:
            part.held = 0
        elif isinstance(event, (Served, Declined, Failed, Abandoned)):
            self.leave(request.id, request.bidder)

    async def _free(self, account: str) -> int | None:
        if self._books.waits:
            return await asyncio.to_thread(self._books.free, account)
        return self._books.free(account)
