"""Books whose writes wait, for a disk or a network: the loop never does, groups form, nothing is lost or doubled."""

import asyncio
import sqlite3
import time
from typing import Any

import pytest

from runtime import InsufficientError, Ledger, LedgerError
from runtime.accounts import database
from runtime.accounts.books import Books
from runtime.accounts.database import connect
from runtime.errors import LedgerBusyError
from tests.runtime.accounts.test_double_entry import check, limit


def enter(where: str, story: Any) -> list[LedgerError]:
    told: list[LedgerError] = []

    async def main() -> None:
        with Ledger(where, "machine") as ledger:
            assert ledger.waits
            books = Books(ledger, told.append)
            await story(books, ledger)
            await books.flush()

    asyncio.run(main())
    check(where)
    return told


async def done(books: Books) -> None:
    while books.pending:
        await asyncio.sleep(0.002)


def hold(books: Books, request: str, charge: int = 1, bidder: str = "b") -> Any:
    return books.hold(request, bidder=bidder, agent="a", charge=charge)


def test_holds_settle_in_groups_of_what_came_meanwhile(where: str) -> None:
    async def story(books: Books, ledger: Ledger) -> None:
        told: list[LedgerError | None] = []
        with books.together():
            holds = [hold(books, f"r{k}") for k in range(50)]
        for entry in holds:
            entry.told = told.append
        assert all(entry.pending for entry in holds)
        await done(books)
        assert told == [None] * 50
        for k in range(50):
            books.settle(f"r{k}", cost=1, charge=1, receipt=1)
        await done(books)
        assert (ledger.totals().entries, ledger.held()) == (50, 0)

    assert enter(where, story) == []


def test_a_hold_that_is_undone_while_it_is_written_is_released(where: str) -> None:
    limit(where, "poor", 0)

    async def story(books: Books, ledger: Ledger) -> None:
        with books.together():
            entries = [(request, hold(books, request, 1, bidder)) for request, bidder in (("r", "b"), ("s", "poor"))]
        for request, entry in entries:
            books.undo(request, entry)
        await done(books)
        assert (ledger.held(), ledger.totals().entries) == (0, 0)
        assert isinstance(entries[1][1].error, InsufficientError)

    assert enter(where, story) == []


def test_what_is_refused_is_told_to_whoever_entered_it(where: str) -> None:
    limit(where, "poor", 3)

    async def story(books: Books, ledger: Ledger) -> None:
        told: list[LedgerError | None] = []
        with books.together():
            for k in range(5):
                hold(books, f"r{k}", 2, "poor").told = told.append
        await done(books)
        assert [type(error) for error in told] == [type(None)] + [InsufficientError] * 4
        books.settle("unknown", cost=1, charge=1, receipt=1)
        books.undo("r0", _entered())
        await done(books)

    [error] = enter(where, story)
    assert "settle request unknown" in str(error)


def _entered() -> Any:
    from runtime.accounts.books import Entry

    return Entry("hold", lambda: None, pending=False)


def test_a_lock_of_another_delays_entries_and_never_the_loop(where: str) -> None:
    async def story(books: Books, ledger: Ledger) -> None:
        if where.startswith("postgresql"):
            other: Any = connect(where)
            context = other.together()
            context.__enter__()
        else:
            other = sqlite3.connect(where, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
        entry = hold(books, "r")
        longest, last = 0.0, time.monotonic()
        until = last + 1.5
        while last < until:
            await asyncio.sleep(0.005)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert entry.pending and longest < 0.5
        if where.startswith("postgresql"):
            context.__exit__(None, None, None)
        else:
            other.execute("ROLLBACK")
        await done(books)
        assert not entry.pending and entry.error is None and ledger.held() == 1
        other.close()

    assert enter(where, story) == []


@pytest.mark.parametrize("where", ["postgresql"], indirect=True)
def test_a_connection_that_breaks_is_made_anew_and_nothing_is_lost(where: str) -> None:
    import psycopg

    async def story(books: Books, ledger: Ledger) -> None:
        hold(books, "r")
        await done(books)
        with psycopg.connect(where, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        books.settle("r", cost=1, charge=1, receipt=1)
        hold(books, "s")
        await done(books)
        assert (ledger.totals().entries, ledger.held()) == (1, 1)
        # The new session is the same writer, alive.
        assert ledger.recover() == 0

    assert enter(where, story) == []


@pytest.mark.parametrize("where", ["postgresql"], indirect=True)
@pytest.mark.parametrize("written", [True, False])
def test_a_commit_that_nobody_answered_is_tried_again_and_entered_once(
    where: str, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [3]
    run = database.Postgres._run

    def breaks(self: Any, statement: str, values: Any) -> Any:
        if statement == "COMMIT" and lost[0]:
            lost[0] -= 1
            run(self, "COMMIT" if written else "ROLLBACK", {})
            self._books.close()
            raise LedgerBusyError("the connection broke")
        return run(self, statement, values)

    async def story(books: Books, ledger: Ledger) -> None:
        monkeypatch.setattr(database.Postgres, "_run", breaks)
        with books.together():
            entries = [hold(books, f"r{k}") for k in range(4)]
        await done(books)
        lost[0] = 1
        books.settle("r0", cost=3, charge=1, receipt=2)
        books.undo("r1", entries[1])
        await done(books)
        assert [entry.error for entry in entries] == [None] * 4
        assert (ledger.held(), ledger.totals().entries, ledger.totals().receipts) == (2, 1, 2)
        with pytest.raises(LedgerError, match="charged before"):
            ledger.hold("r2", bidder="b", agent="a", charge=1)

    assert enter(where, story) == []
