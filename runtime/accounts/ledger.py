"""The books: one row per request in SQLite, in integers, where a charge can be neither lost nor made twice.

A charge is *held* when its request is dispatched, *settled* when it was served, *released* when it was not. Only a held
charge can settle or be released, and only an unknown or released request can be held: the database refuses the rest.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from runtime.errors import LedgerBusyError, LedgerError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    request TEXT PRIMARY KEY,
    bidder TEXT NOT NULL,
    agent TEXT NOT NULL,
    charge INTEGER NOT NULL,
    cost INTEGER,
    receipt INTEGER,
    state TEXT NOT NULL CHECK (state IN ('held', 'settled', 'released'))
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over settled entries, in micro-units: charges to bidders, cost of serving, receipts of agents."""

    entries: int
    charges: int
    costs: int
    receipts: int

    @property
    def surplus(self) -> int:
        """Budget surplus of the auctioneer: charges minus receipts."""
        return self.charges - self.receipts


class Ledger:
    """Books in a file, or in memory by default; use as a context manager or `close` it.

    Nothing here waits for a lock that another process holds on the file: `Books` tries again.

    Raises:
        LedgerError: the file cannot be opened or written.

    Example:
        >>> with Ledger() as ledger:
        ...     ledger.hold("r1", bidder="alice", agent="a", charge=5)
        ...     ledger.settle("r1", cost=3)
        ...     ledger.totals().surplus
        2
    """

    def __init__(self, path: Path | str = ":memory:") -> None:
        try:
            self._books = sqlite3.connect(path, isolation_level=None)
            self._books.execute("PRAGMA journal_mode = WAL")
            self._books.execute("PRAGMA synchronous = NORMAL")
            self._books.executescript(_SCHEMA)
            self._add_receipts()
            self._books.execute("PRAGMA busy_timeout = 0")
        except sqlite3.Error as error:
            raise LedgerError(f"cannot keep books in {path}: {error}; give a path you may write to") from error

    def _add_receipts(self) -> None:
        """Books from before agents' receipts were entered: agents received their measured cost."""
        columns = [name for _, name, *_ in self._books.execute("PRAGMA table_info (entries)")]
        if "receipt" not in columns:
            self._books.executescript(
                "BEGIN; ALTER TABLE entries ADD COLUMN receipt INTEGER; UPDATE entries SET receipt = cost; COMMIT;"
            )

    def hold(self, request: str, *, bidder: str, agent: str, charge: int) -> None:
        """Reserve a charge in micro-units for a request that is being dispatched.

        Raises:
            LedgerError: the request is held or settled already.
            LedgerBusyError: the books cannot be written just now.
        """
        statement = (
            "INSERT INTO entries (request, bidder, agent, charge, state) VALUES (?, ?, ?, ?, 'held')"
            " ON CONFLICT (request) DO UPDATE SET"
            " bidder = excluded.bidder, agent = excluded.agent, charge = excluded.charge, state = 'held'"
            " WHERE state = 'released'"
        )
        if self._write(statement, (request, bidder, agent, int(charge))) != 1:
            raise LedgerError(f"request {request} was charged before; a request id may be used once")

    def settle(self, request: str, *, cost: int, charge: int | None = None, receipt: int | None = None) -> None:
        """Make a held charge final, with the measured cost of serving; all in micro-units, and in one step.

        Args:
            request: whose charge is held.
            cost: what serving was measured to cost.
            charge: the final charge, if it differs from the one that is held.
            receipt: what the agent receives; default: the measured cost.

        Raises:
            LedgerError: no such charge is held.
            LedgerBusyError: the books cannot be written just now.
        """
        statement = (
            "UPDATE entries SET state = 'settled', cost = ?, receipt = ?, charge = COALESCE(?, charge)"
            " WHERE request = ? AND state = 'held'"
        )
        amounts = int(cost), int(cost if receipt is None else receipt), None if charge is None else int(charge)
        _require_held(self._write(statement, (*amounts, request)), request)

    def release(self, request: str) -> None:
        """Cancel a held charge: the request was not served.

        Raises:
            LedgerError: no such charge is held.
            LedgerBusyError: the books cannot be written just now.
        """
        statement = "UPDATE entries SET state = 'released' WHERE request = ? AND state = 'held'"
        _require_held(self._write(statement, (request,)), request)

    def totals(self, bidder: str | None = None) -> Totals:
        """Sums over what is settled, for one bidder or for all."""
        row = self._books.execute(
            "SELECT COUNT(*), COALESCE(SUM(charge), 0), COALESCE(SUM(cost), 0),"
            " COALESCE(SUM(receipt), 0) FROM entries"
            " WHERE state = 'settled' AND (?1 IS NULL OR bidder = ?1)",
            (bidder,),
        ).fetchone()
        return Totals(*row)

    def held(self) -> int:
        """How many charges are neither settled nor released."""
        count: int = self._books.execute("SELECT COUNT(*) FROM entries WHERE state = 'held'").fetchone()[0]
        return count

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is entered inside is written as one: all of it is there after a crash, or nothing.

        An entry that is refused leaves the others alone.

        Raises:
            LedgerBusyError: the books cannot be written just now.
        """
        with _told():
            self._books.execute("BEGIN IMMEDIATE")
        try:
            yield
            with _told():
                self._books.execute("COMMIT")
        except BaseException:
            self._books.rollback()
            raise

    def _write(self, statement: str, values: tuple[object, ...]) -> int:
        """Rows that one statement changed, in a transaction of its own."""
        with _told():
            return self._books.execute(statement, values).rowcount

    def close(self) -> None:
        """Close the books; more than once does no harm."""
        self._books.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def _told() -> Iterator[None]:
    """SQLite's errors as ours: what another try may mend, and what it cannot."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise LedgerBusyError(f"the books cannot be written just now ({error})") from error
    except (sqlite3.Error, OverflowError) as error:
        raise LedgerError(f"the books cannot be written ({error})") from error


def _require_held(changed: int, request: str) -> None:
    if changed != 1:
        raise LedgerError(f"no charge is held for request {request}; it was settled, released or never dispatched")
