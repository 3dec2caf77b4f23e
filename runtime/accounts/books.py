"""`Books`: the ledger as an event loop may use it, which never stands still for a lock that somebody else holds.

Entries are written in order, where the file can be written: holds at once, what ends in a moment, all that end in it as
one transaction; else in the background. A hold is given up after a while, and its request with it; what was served is
settled however long that takes. Where a write waits for a disk or a network (`Ledger.waits`) a thread does it, and
what is entered meanwhile is the next transaction.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Protocol

from runtime.errors import LedgerBusyError, LedgerError

_RETRY_S = 0.05
#: Seconds after which a hold that cannot be written is given up.
_HOLD_WITHIN_S = 5.0
#: Entries that a thread writes at once.
_GROUP = 256
#: Seconds for which a router that stops tries to write what is left.
_FLUSH_WITHIN_S = 5.0


class Entered(Protocol):
    """What `Books` writes to: a `Ledger`, or a `SumsLedger` where nothing is kept. Errors as `Ledger` has them."""

    @property
    def waits(self) -> bool:
        """Whether a write may wait, for a disk or a network."""
        ...

    def hold(
        self, request: str, *, bidder: str, agent: str, charge: int, limit: int | None = None, key: str | None = None
    ) -> None:
        """Reserve a charge."""
        ...

    def settle(self, request: str, *, cost: int, charge: int | None = None, receipt: int | None = None) -> None:
        """Make it final."""
        ...

    def release(self, request: str) -> None:
        """Cancel it."""
        ...

    def keep(self, record: str, at_s: float) -> None:
        """Keep a round."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """What is entered inside is written as one."""
        ...


@dataclass(slots=True, eq=False)
class Entry:
    """One change of the books. `told` is called once it is written (None) or never will be, if that comes later."""

    what: str
    write: Callable[[], None]
    until_s: float = inf
    pending: bool = True
    #: A thread writes it just now.
    flying: bool = False
    error: LedgerError | None = None
    told: Callable[[LedgerError | None], None] | None = None

    def end(self, error: LedgerError | None) -> None:
        """It is written, or never will be."""
        self.pending, self.error = False, error
        if self.told is not None:
            self.told(error)


class Books:
    """Entries of a ledger, in order, from one event loop.

    Args:
        ledger: where they are written.
        report: gets what could not be settled or released, as an error that says what was to be entered.
    """

    def __init__(self, ledger: Entered, report: Callable[[LedgerError], None]) -> None:
        self._ledger, self._report = ledger, report
        self._entries: deque[Entry] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._gathering = False
        self._thread: ThreadPoolExecutor | None = None
        self._flight: asyncio.Future[list[LedgerError | None]] | None = None

    @property
    def pending(self) -> int:
        """Entries that are not written yet."""
        return len(self._entries)

    def hold(self, request: str, *, bidder: str, agent: str, charge: int, key: str | None = None) -> Entry:
        """Hold a charge; look at the entry's `pending` and `error`, and have it `told` what becomes of it later."""
        now = asyncio.get_running_loop().time()
        write = partial(self._ledger.hold, request, bidder=bidder, agent=agent, charge=charge, key=key)
        return self._enter(Entry(f"hold {charge} for request {request}", write, now + _HOLD_WITHIN_S))

    def keep(self, record: str, at_s: float) -> None:
        """Keep a round; entered together with its holds (`together`), it is written with them."""
        entry = Entry("a round's record", partial(self._ledger.keep, record, at_s))
        entry.told = partial(self._tell, entry)
        self._enter(entry)

    def undo(self, request: str, hold: Entry) -> None:
        """Release a charge that is held, or never hold it."""
        if hold.flying:
            # It may be written by now: what follows it releases it, if so.
            self._final(f"release request {request}", lambda: None if hold.error else self._ledger.release(request))
        elif hold.pending:
            self._entries.remove(hold)
            hold.pending = False
        elif hold.error is None:
            self._final(f"release request {request}", partial(self._ledger.release, request))

    def settle(self, request: str, *, cost: int, charge: int, receipt: int) -> None:
        """Make a held charge final."""
        write = partial(self._ledger.settle, request, cost=cost, charge=charge, receipt=receipt)
        self._final(f"settle request {request} at charge {charge}, cost {cost}, receipt {receipt}", write)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Holds that are entered inside are written as one, when it ends."""
        self._gathering = True
        try:
            yield
        finally:
            self._gathering = False
            if self._entries and self._timer is None:
                self._work()

    async def flush(self, within_s: float = _FLUSH_WITHIN_S) -> None:
        """Wait until all is written, for a while; what is not is reported, and tried again by `resume`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        if self._timer is None:
            self._work()
        while self._entries and loop.time() < until:
            await asyncio.sleep(_RETRY_S)
        if self._flight is not None:
            await asyncio.wait([self._flight])
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for entry in self._entries:
            self._report(LedgerError(f"not entered in the books, which another process holds: {entry.what}"))

    def resume(self) -> None:
        """Try to write what a router that stopped has left, on the loop that runs now."""
        self._timer = None
        self._work()

    def _final(self, what: str, write: Callable[[], None]) -> None:
        entry = Entry(what, write)
        entry.told = partial(self._tell, entry)
        self._entries.append(entry)
        if self._timer is None and self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self._work)

    def _tell(self, entry: Entry, error: LedgerError | None) -> None:
        if error is not None:
            self._report(LedgerError(f"not entered in the books: {entry.what} ({error})"))

    def _enter(self, entry: Entry) -> Entry:
        self._entries.append(entry)
        if self._timer is None and not self._gathering:
            self._work()
        return entry

    def _work(self) -> None:
        """Write in order as far as it goes; try again soon where it does not."""
        if self._soon is not None:
            self._soon.cancel()
        self._timer = self._soon = None
        if self._ledger.waits:
            self._fly()
            return
        while self._entries:
            written: list[tuple[Entry, LedgerError | None]] = []
            try:
                with self._ledger.together() if len(self._entries) > 1 else nullcontext():
                    written.extend((entry, _refusal(entry)) for entry in self._entries)
            except LedgerBusyError as busy:
                self._later(busy)
                return
            for _ in written:
                self._entries.popleft()
            for entry, error in written:
                entry.end(error)

    def _fly(self) -> None:
        """Have a thread write what there is; what comes meanwhile is written after it."""
        if self._flight is not None or not self._entries:
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "books")
        group = list(self._entries)[:_GROUP]
        for entry in group:
            entry.flying = True
        loop = asyncio.get_running_loop()
        self._flight = loop.run_in_executor(self._thread, _written, self._ledger, group)
        self._flight.add_done_callback(partial(self._landed, group))

    def _landed(self, group: Sequence[Entry], flight: "asyncio.Future[list[LedgerError | None]]") -> None:
        self._flight = None
        for entry in group:
            entry.flying = False
        try:
            errors = flight.result()
        except LedgerBusyError as busy:
            self._later(busy)
            return
        for _ in group:
            self._entries.popleft()
        for entry, error in zip(group, errors, strict=True):
            entry.end(error)
        if self._timer is None:
            self._fly()

    def _later(self, busy: LedgerError) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(_RETRY_S, self._work)
        for entry in [one for one in self._entries if one.until_s <= loop.time()]:
            if entry.pending:
                self._entries.remove(entry)
                entry.end(busy)


def _written(ledger: Entered, group: Sequence[Entry]) -> list[LedgerError | None]:
    """Write entries as one; what the books refuse of each."""
    with ledger.together():
        return [_refusal(entry) for entry in group]


def _refusal(entry: Entry) -> LedgerError | None:
    """Write it; what the books refuse of it."""
    try:
        entry.write()
    except LedgerBusyError:
        raise
    except LedgerError as refused:
        return refused
    return None
