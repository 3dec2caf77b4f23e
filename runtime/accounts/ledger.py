"""The books: double entry in integers, in SQLite or PostgreSQL, where a charge can be neither lost nor made twice.

A charge is *held* when its request is dispatched, *settled* when it was served, *released* when it was not. Only a held
charge can settle or be released, and only an unknown or released request can be held, under another attempt: the
database refuses the rest, as it refuses whatever would take an account beyond its limit. Journals only grow, and what
is moved from one account is moved to another, so that all of it adds up to zero.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, Self

from runtime.accounts.database import Survives, connect
from runtime.accounts.names import seal_of
from runtime.errors import InsufficientError, LedgerError

_DAY_S = 86_400
#: Above this nothing may be moved, so that sums stay within 64 bits.
MOST = 1 << 60

_MEET = "INSERT INTO accounts (name, kind) VALUES (:name, :kind) ON CONFLICT (name) DO NOTHING"

#: A hold is written only where all that the account, its caller and its key allow covers it: one statement, no gap.
_HOLD = """
INSERT INTO holds (request, attempt, account, agent, charge, amount, capped, key, day, writer, at_s)
SELECT CAST(:request AS TEXT), (SELECT COALESCE(MAX(attempt), 0) + 1 FROM holds WHERE request = :request), a.name,
    CAST(:agent AS TEXT), CAST(:charge AS BIGINT), CAST(:amount AS BIGINT), CAST(:capped AS BIGINT),
    CAST(:key AS TEXT), CAST(:day AS BIGINT), CAST(:writer AS BIGINT), :at_s
FROM accounts a WHERE a.name = :account
    AND (a.credit_limit IS NULL OR a.balance + a.credit_limit - a.held >= CAST(:amount AS BIGINT))
    AND NOT EXISTS (SELECT 1 FROM open_holds WHERE request = :request)
    AND NOT EXISTS (SELECT 1 FROM endings WHERE request = :request AND state = 'settled')
"""
_WITHIN_LIMIT = " AND a.balance - a.held + CAST(:limit AS BIGINT) >= CAST(:amount AS BIGINT)"
_WITHIN_DAY = """
    AND NOT EXISTS (SELECT 1 FROM keys k WHERE k.name = :key AND k.spend_day < CAST(:amount AS BIGINT)
        + COALESCE((SELECT spent FROM key_days WHERE key = :key AND day = CAST(:day AS BIGINT)), 0))
"""
#: Where an account has a limit the charge is at most what was held; the auctioneer bears the rest.
_SETTLE = """
INSERT INTO endings (request, attempt, state, charge, cost, receipt, at_s)
SELECT h.request, h.attempt, 'settled',
    CASE WHEN (h.capped = 1 OR a.credit_limit IS NOT NULL) AND COALESCE(CAST(:charge AS BIGINT), h.charge) > h.amount
        THEN h.amount ELSE COALESCE(CAST(:charge AS BIGINT), h.charge) END,
    CAST(:cost AS BIGINT), CAST(:receipt AS BIGINT), :at_s
FROM open_holds o JOIN holds h ON h.request = o.request AND h.attempt = o.attempt JOIN accounts a ON a.name = h.account
WHERE o.request = :request
"""
_RELEASE = """
INSERT INTO endings (request, attempt, state, at_s)
SELECT request, attempt, 'released', :at_s FROM open_holds WHERE request = :request
"""
#: Whether an entry is there already, as it was tried before.
_HELD = """
SELECT 1 FROM open_holds o JOIN holds h ON h.request = o.request AND h.attempt = o.attempt
WHERE o.request = :request AND o.writer = :writer AND h.account = :account AND h.agent = :agent AND h.charge = :charge
"""
_SETTLED = """
SELECT 1 FROM endings WHERE request = :request AND state = 'settled' AND cost = :cost AND receipt = :receipt
"""
_RELEASED = """
SELECT 1 FROM endings WHERE request = :request AND state = 'released'
    AND attempt = (SELECT MAX(attempt) FROM holds WHERE request = :request)
"""
_KEEP = """
INSERT INTO rounds (writer, at_s, before, seal, record)
VALUES (CAST(:writer AS BIGINT), :at_s, :before, :seal, :record) ON CONFLICT (seal) DO NOTHING
"""
#: The oldest alone, up to the first that stays, and few enough at once that nobody waits for it.
_FORGET = """
DELETE FROM rounds WHERE number IN (
    WITH oldest AS (SELECT number, at_s FROM rounds ORDER BY number LIMIT 100)
    SELECT number FROM oldest
    WHERE number < COALESCE((SELECT MIN(number) FROM oldest WHERE at_s >= :before_s), 9223372036854775807)
)
"""
_TOTALS = """
SELECT COUNT(*), COALESCE(SUM(e.charge), 0), COALESCE(SUM(e.cost), 0), COALESCE(SUM(e.receipt), 0)
FROM endings e JOIN holds h ON h.request = e.request AND h.attempt = e.attempt WHERE e.state = 'settled'
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
    """Books in memory by default, in a file, or in PostgreSQL by URL; use as a context manager or `close` it.

    Nothing here waits for a lock that another process holds on a file: `Books` tries again.

    Args:
        books: a path, `":memory:"`, or `"postgresql://..."`.
        survives: what written entries survive: `"process"`, the end of this process, however it ends (a file's
            default); `"machine"`, a power loss too (PostgreSQL's). What is lost beyond that is the last groups of
            entries, never half of one.

    Raises:
        LedgerError: the books cannot be opened or written.

    Example:
        >>> with Ledger() as ledger:
        ...     ledger.hold("r1", bidder="alice", agent="a", charge=5)
        ...     ledger.settle("r1", cost=3)
        ...     ledger.totals().surplus
        2
    """

    def __init__(self, books: Path | str = ":memory:", survives: Survives | None = None) -> None:
        self._database = connect(books, survives)
        #: Whether a write may wait, for a disk or a network: then a thread should do it.
        self.waits = self._database.waits
        self._known: set[str] = set()
        #: Of the last round that was kept here; "" before the first.
        self._seal = ""
        self._mine = RLock()

    def hold(
        self, request: str, *, bidder: str, agent: str, charge: int, limit: int | None = None, key: str | None = None
    ) -> None:
        """Reserve a charge in micro-units for a request that is being dispatched.

        Args:
            request: whose charge it is.
            bidder: the account; one that is new has no limit of its own.
            agent: who serves it.
            charge: what is held; a negative one is agreed upon, and nothing is held.
            limit: the most that the account may owe after this, whatever its own limit is.
            key: the account's key that asked; its spending of a day is counted.

        Raises:
            InsufficientError: the account or the key has too little left; nothing was entered.
            LedgerError: the request is held or settled already.
            LedgerBusyError: the books cannot be written just now.
        """
        now, charge = time.time(), int(charge)
        if not -MOST <= charge <= MOST:
            raise LedgerError(f"the books cannot be written (a charge of {charge} micro-units is beyond them)")
        values = {
            "request": request,
            "account": bidder,
            "agent": "agent:" + agent,
            "charge": charge,
            "amount": max(charge, 0),
            "capped": int(limit is not None),
            "limit": limit,
            "key": key,
            "day": int(now) // _DAY_S,
            "writer": self._database.writer,
            "at_s": now,
        }
        statement = _HOLD if limit is None else _HOLD + _WITHIN_LIMIT
        with self._mine:
            if bidder not in self._known or values["agent"] not in self._known:
                self._meet(bidder, str(values["agent"]))
            if self._database.change(statement if key is None else statement + _WITHIN_DAY, values) != 1:
                self._unless_written(_HELD, values, self._refusal(values))

    def settle(self, request: str, *, cost: int, charge: int | None = None, receipt: int | None = None) -> None:
        """Make a held charge final, with the measured cost of serving; all in micro-units, and in one step.

        Args:
            request: whose charge is held.
            cost: what serving was measured to cost.
            charge: the final charge, if it differs from the one that is held; of an account with a limit, at most that.
            receipt: what the agent receives; default: the measured cost.

        Raises:
            LedgerError: no such charge is held.
            LedgerBusyError: the books cannot be written just now.
        """
        values = {
            "request": request,
            "cost": int(cost),
            "charge": None if charge is None else int(charge),
            "receipt": int(cost if receipt is None else receipt),
            "at_s": time.time(),
        }
        with self._mine:
            if self._database.change(_SETTLE, values) != 1:
                self._unless_written(_SETTLED, values, not_held(request))

    def release(self, request: str) -> None:
        """Cancel a held charge: the request was not served.

        Raises:
            LedgerError: no such charge is held.
            LedgerBusyError: the books cannot be written just now.
        """
        values = {"request": request, "at_s": time.time()}
        with self._mine:
            if self._database.change(_RELEASE, values) != 1:
                self._unless_written(_RELEASED, values, not_held(request))

    def keep(self, record: str, at_s: float) -> None:
        """Keep a round, sealed together with the round before it.

        Args:
            record: what it was decided from and came to, as JSON.
            at_s: when it was decided (Unix time).

        Raises:
            LedgerBusyError: the books cannot be written just now.
        """
        with self._mine:
            seal = seal_of(self._seal, record)
            values = {"writer": self._database.writer, "at_s": at_s, "before": self._seal, "seal": seal}
            # Who finds it there wrote it before, in a group whose commit nobody answered.
            self._database.change(_KEEP, {**values, "record": record})
            self._seal = seal

    def forget_rounds(self, before_s: float) -> int:
        """Drop rounds that were decided before (Unix time), the oldest first, 100 at most; returns how many."""
        with self._mine:
            return self._database.change(_FORGET, {"before_s": before_s})

    def recover(self) -> int:
        """Release what writers hold whose process has ended; returns how many charges that were.

        Nobody can say any more what became of those requests: their clients saw no end of an answer, so nobody is
        charged for them. What writers hold that are alive is theirs.
        """
        with self._mine:
            held = self._database.rows("SELECT DISTINCT writer FROM open_holds", {})
            lost = [
                request
                for (writer,) in held
                if self._database.gone(writer)
                for (request,) in self._database.rows(
                    "SELECT request FROM open_holds WHERE writer = :writer", {"writer": writer}
                )
            ]
            if lost:
                with self.together():
                    return sum(
                        self._database.change(_RELEASE, {"request": request, "at_s": time.time()}) for request in lost
                    )
            return 0

    def check(self) -> None:
        """Write something that changes nothing.

        Raises:
            LedgerBusyError: the books cannot be written just now.
        """
        with self._mine:
            writer = {"writer": self._database.writer}
            self._database.change("UPDATE writers SET at_s = at_s WHERE number = :writer", writer)

    def totals(self, bidder: str | None = None) -> Totals:
        """Sums over what is settled, for one bidder or for all."""
        only = "" if bidder is None else " AND h.account = :bidder"
        return Totals(*map(int, self._rows(_TOTALS + only, {"bidder": bidder})[0]))

    def free(self, account: str) -> int | None:
        """Micro-units that an account may still spend, less what is held; None: without limit, or not met yet."""
        rows = self._rows(
            "SELECT balance + credit_limit - held FROM accounts WHERE name = :name AND credit_limit IS NOT NULL",
            {"name": account},
        )
        return int(rows[0][0]) if rows else None

    def held(self) -> int:
        """How many charges are neither settled nor released."""
        return int(self._rows("SELECT COUNT(*) FROM open_holds", {})[0][0])

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is entered inside is written as one: all of it is there after a crash, or nothing.

        An entry that is refused leaves the others alone.

        Raises:
            LedgerBusyError: the books cannot be written just now.
        """
        with self._mine:
            seal = self._seal
            try:
                with self._database.together():
                    yield
            except BaseException:
                # Accounts that were met inside are not there, nor rounds that were kept.
                self._known.clear()
                self._seal = seal
                raise

    def _rows(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._mine:
            return self._database.rows(statement, values)

    def _unless_written(self, written: str, values: dict[str, Any], refusal: LedgerError) -> None:
        """Raise a refusal, unless it is our own entry that stands there: of a group whose commit nobody answered."""
        if not (self._database.doubtful and self._database.rows(written, values)):
            raise refusal

    def _meet(self, bidder: str, agent: str) -> None:
        for name, kind in ((bidder, "bidder"), (agent, "agent")):
            self._database.change(_MEET, {"name": name, "kind": kind})
            self._known.add(name)

    def _refusal(self, values: dict[str, Any]) -> LedgerError:
        request, account, key = values["request"], values["account"], values["key"]
        used = (
            "SELECT 1 FROM open_holds WHERE request = :request"
            " UNION ALL SELECT 1 FROM endings WHERE request = :request AND state = 'settled'"
        )
        if self._database.rows(used, {"request": request}):
            return LedgerError(f"request {request} was charged before; a request id may be used once")
        balance, held, limit = self._database.rows(
            "SELECT balance, held, credit_limit FROM accounts WHERE name = :name", {"name": account}
        )[0]
        limits = [each for each in (limit, values["limit"]) if each is not None]
        free = min(limits) + balance - held if limits else values["amount"]
        if free >= values["amount"]:
            return InsufficientError(f"key {key} may spend no {values['amount']} micro-units more today")
        return InsufficientError(f"account {account} has {free} micro-units left, and {values['amount']} are needed")

    def close(self) -> None:
        """Close the books; more than once does no harm."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def not_held(request: str) -> LedgerError:
    """The refusal of what settles or releases no charge that is held."""
    return LedgerError(f"no charge is held for request {request}; it was settled, released or never dispatched")
