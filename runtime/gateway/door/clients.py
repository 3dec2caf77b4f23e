"""Who asks: a key as the gateway knows it, of the fleet's file or of the books, and how much of it there may be.

Keys of the books are read in a thread, all of them, whenever one changed: a look at one number twice a second. So no
request waits for them, but the first that comes under a key that nobody knows.
"""

import asyncio
import hmac
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runtime.errors import LedgerError
from runtime.gateway.problems import insufficient_quota, rate_limited

if TYPE_CHECKING:
    from runtime.accounts.holders import Holders, KnownKey

_log = logging.getLogger(__name__)

#: Seconds between looks at whether a key changed; a key that was revoked is refused within a second.
_LOOK_S = 0.4
#: Seconds after which a key that nobody knows is looked up again.
_AGAIN_S = 0.1
_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Client:
    """A key and its bidder.

    Args:
        name: of the key.
        bidder: its account.
        digest: the key's SHA-256.
        figures: what its requests are worth where they do not say.
        known: of a key of the books, what they say.
    """

    name: str
    bidder: str
    digest: bytes
    figures: Mapping[str, float]
    known: "KnownKey | None" = None


def found(keys: Mapping[bytes, Client], digest: bytes) -> Client | None:
    """The client of a key; what is compared is its hash, in constant time."""
    client = keys.get(digest)
    return client if client is not None and hmac.compare_digest(client.digest, digest) else None


class Keyring:
    """The keys of books.

    Args:
        holders: reads them.
        gateways: how many there are on these books: of a limit that each counts by itself a key has a share here, so
            that all of them together never let it have more.
    """

    def __init__(self, holders: "Holders", gateways: int = 1) -> None:
        self._holders, self._gateways = holders, gateways
        self.keys: Mapping[bytes, Client] = {}
        self._changes = -1
        self._refreshing: asyncio.Task[None] | None = None
        self._looked_s = -_MINUTE_S
        self._reading = False

    async def refresh(self) -> None:
        """Read what changed until now; however many ask for it, it is read a few times a second at most."""
        if self._reading:
            # It may have begun too early.
            assert self._refreshing is not None
            await asyncio.shield(self._refreshing)
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh(), name="keys")
        await asyncio.shield(self._refreshing)

    def close(self) -> None:
        """No more is read."""
        self._holders.close()

    async def run(self) -> None:
        """Follow the books until cancelled; while they cannot be read, the keys stay as they were."""
        while True:
            await self.refresh()
            await asyncio.sleep(_LOOK_S)

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._looked_s + _AGAIN_S - loop.time()))
        self._looked_s, self._reading = loop.time(), True
        try:
            if await asyncio.to_thread(self._holders.changes) != self._changes:
                self._changes, known = await asyncio.to_thread(self._holders.known_keys)
                clients = [self._client(key) for key in known]
                self.keys = {client.digest: client for client in clients}
        except LedgerError as error:
            _log.warning("keys stay as they were: %s", error)
        finally:
            self._reading = False

    def _client(self, key: "KnownKey") -> Client:
        shared = replace(
            key,
            requests_minute=_share(key.requests_minute, self._gateways),
            tokens_minute=_share(key.tokens_minute, self._gateways),
            concurrency=_share(key.concurrency, self._gateways),
        )
        return Client(key.name, key.account, key.digest, key.preferences, shared)


def _share(limit: int | None, gateways: int) -> int | None:
    """What one of so many gateways may let through; rounded down, so that they never exceed it together."""
    return None if limit is None else limit // gateways


@dataclass(slots=True)
class _Window:
    """What was used in the last minute: amounts by time, each of which may be corrected later."""

    used: int = 0
    entries: "deque[Use]" = field(default_factory=deque)

    def wait_s(self, amount: int, most: int, now: float) -> float:
        """Seconds until so much more may be used; 0 if at once."""
        while self.entries and self.entries[0].at_s <= now - _MINUTE_S:
            self.used -= self.entries.popleft().amount
        excess = self.used + amount - most
        for entry in self.entries:
            if excess <= 0:
                break
            excess -= entry.amount
            if excess <= 0:
                return entry.at_s + _MINUTE_S - now
        return 0.0

    def add(self, amount: int, now: float) -> "Use":
        use = Use(self, now, amount)
        self.entries.append(use)
        self.used += amount
        return use


@dataclass(slots=True, eq=False)
class Use:
    """Something that was used; `correct` it once it is known how much that was."""

    window: _Window
    at_s: float
    amount: int

    def correct(self, amount: int) -> None:
        """It was so much."""
        if self in self.window.entries:
            self.window.used += amount - self.amount
        self.amount = amount


class Metering:
    """Requests and tokens of each key, never more of either in any 60 seconds than it may.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._requests: dict[str, _Window] = {}
        self._tokens: dict[str, _Window] = {}

    def request(self, client: Client | None) -> None:
        """One request more.

        Raises:
            Problem: 429, not yet.
        """
        if client is None or client.known is None or client.known.requests_minute is None:
            return
        most, now = client.known.requests_minute, self._clock()
        if most < 1:
            raise insufficient_quota("this key may send fewer requests a minute than there are gateways")
        window = self._requests.setdefault(client.name, _Window())
        wait_s = window.wait_s(1, most, now)
        if wait_s > 0:
            raise rate_limited(f"{most} requests a minute are all that this key may send", wait_s)
        window.add(1, now)

    def tokens(self, client: Client | None, most: int) -> Use | None:
        """As many tokens as a request may come to; `Use.correct` says how many they were.

        Raises:
            Problem: 429, not yet; or never.
        """
        if client is None or client.known is None or client.known.tokens_minute is None:
            return None
        limit, now = client.known.tokens_minute, self._clock()
        if most > limit:
            raise insufficient_quota(
                f"this may take {most} tokens, and {limit} a minute are all that this key may use; lower max_tokens"
            )
        window = self._tokens.setdefault(client.name, _Window())
        wait_s = window.wait_s(most, limit, now)
        if wait_s > 0:
            raise rate_limited(f"{limit} tokens a minute are all that this key may use", wait_s)
        return window.add(most, now)
