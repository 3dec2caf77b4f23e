"""Double entry in both databases: what adds up, what the database itself refuses, who may spend how much."""

import multiprocessing
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runtime import InsufficientError, Ledger, LedgerError
from runtime.accounts.database import connect
from runtime.errors import LedgerBusyError


def hold(books: Ledger, request: str, charge: int = 10, bidder: str = "b", **more: Any) -> None:
    books.hold(request, bidder=bidder, agent="a", charge=charge, **more)


def query(where: str, statement: str) -> list[tuple[Any, ...]]:
    database = connect(where)
    try:
        return [tuple(row) for row in database.rows(statement, {})]
    finally:
        database.close()


def check(where: str) -> None:
    """The invariants of all books."""
    assert query(where, "SELECT COALESCE(SUM(amount), 0) FROM legs")[0][0] == 0
    assert query(where, "SELECT SUM(balance) FROM accounts")[0][0] == 0
    wrong = (
        "SELECT a.name FROM accounts a WHERE balance <>"
        " (SELECT COALESCE(SUM(amount), 0) FROM legs l WHERE l.account = a.name) OR held <>"
        " (SELECT COALESCE(SUM(h.amount), 0) FROM holds h JOIN open_holds o"
        " ON o.request = h.request AND o.attempt = h.attempt WHERE h.account = a.name)"
    )
    assert query(where, wrong) == []
    twice = "SELECT request FROM endings WHERE state = 'settled' GROUP BY request HAVING COUNT(*) > 1"
    assert query(where, twice) == []


def limit(where: str, name: str, micros: int | None) -> None:
    database = connect(where)
    values = {"name": name, "most": micros}
    database.change("INSERT INTO accounts (name, kind) VALUES (:name, 'bidder') ON CONFLICT DO NOTHING", values)
    database.change("UPDATE accounts SET credit_limit = CAST(:most AS BIGINT) WHERE name = :name", values)
    database.close()


def test_a_charge_goes_from_bidder_to_auctioneer_to_agent(where: str) -> None:
    with Ledger(where) as books:
        hold(books, "r", 10)
        books.settle("r", cost=7, charge=9, receipt=8)
        hold(books, "s", 10)
        books.release("s")
        hold(books, "s", 4)
        hold(books, "t", -3)
        books.settle("t", cost=1)
        assert (books.held(), books.totals().charges, books.totals("b").receipts) == (1, 6, 9)
        balances = dict(query(where, "SELECT name, balance FROM accounts WHERE balance <> 0"))
        assert balances == {"b": -6, "agent:a": 9, ":auctioneer": -3}
        assert query(where, "SELECT held FROM accounts WHERE name = 'b'") == [(4,)]
        attempts = query(where, "SELECT attempt, amount FROM holds WHERE request = 's' ORDER BY attempt")
        assert attempts == [(1, 10), (2, 4)]
    check(where)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_entered_adds_up(where: str, seed: int) -> None:
    rng = random.Random(seed)
    limit(where, "b1", 40)
    with Ledger(where) as books:
        for _ in range(120):
            request = f"r{rng.randrange(15)}"
            act: Callable[[], None] = rng.choice(
                (
                    partial(hold, books, request, rng.randrange(-2, 12), f"b{rng.randrange(3)}"),
                    partial(books.settle, request, cost=rng.randrange(9), charge=rng.randrange(-1, 15)),
                    partial(books.release, request),
                )
            )
            try:
                with books.together():
                    act()
                    if rng.random() < 0.1:
                        raise ZeroDivisionError
            except (LedgerError, ZeroDivisionError):
                pass
        totals = books.totals()
    check(where)
    assert query(where, "SELECT balance FROM accounts WHERE name = ':auctioneer'") == [(totals.surplus,)]
    assert query(where, "SELECT COUNT(*) FROM accounts WHERE credit_limit + balance < held") == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO holds VALUES ('r', 2, 'b', 'agent:a', 1, 1, 0, NULL, 0, 0, 0)",
        "INSERT INTO holds VALUES ('done', 2, 'b', 'agent:a', 1, 1, 0, NULL, 0, 0, 0)",
        "INSERT INTO holds VALUES ('x', 1, 'nobody', 'agent:a', 1, 1, 0, NULL, 0, 0, 0)",
        "INSERT INTO holds VALUES ('x', 1, 'b', 'agent:a', 1, -1, 0, NULL, 0, 0, 0)",
        "INSERT INTO holds VALUES ('x', 1, 'poor', 'agent:a', 1, 1, 0, NULL, 0, 0, 0)",
        "INSERT INTO endings VALUES ('done', 1, 'settled', 1, 1, 1, 0)",
        "INSERT INTO endings VALUES ('unknown', 1, 'released', NULL, NULL, NULL, 0)",
        "INSERT INTO endings VALUES ('r', 1, 'settled', 1, NULL, 1, 0)",
        "INSERT INTO endings VALUES ('r', 1, 'released', 1, 1, 1, 0)",
        "INSERT INTO movements VALUES ('x', 1, 'credit', 'b', 'b', 1, NULL, 0)",
        "INSERT INTO movements VALUES ('x', 1, 'credit', ':outside', 'b', -1, NULL, 0)",
        "INSERT INTO movements VALUES ('x', 1, 'credit', 'poor', 'b', 1, NULL, 0)",
        "UPDATE holds SET amount = 0",
        "UPDATE endings SET charge = 0",
        "UPDATE movements SET amount = 1",
        "DELETE FROM holds",
        "DELETE FROM endings",
        "DELETE FROM movements",
    ],
)
def test_the_database_itself_refuses_what_must_not_be(where: str, statement: str) -> None:
    limit(where, "poor", 0)
    with Ledger(where) as books:
        hold(books, "r")
        hold(books, "done")
        books.settle("done", cost=3)
    database = connect(where)
    with pytest.raises(LedgerError, match="cannot be written"):
        database.change(statement, {})
    database.close()
    check(where)
    assert query(where, "SELECT COUNT(*) FROM holds") == [(2,)]


def test_an_entry_that_is_refused_leaves_its_group_alone(where: str) -> None:
    with Ledger(where) as books:
        with books.together():
            hold(books, "r")
            for act in (lambda: hold(books, "r"), lambda: books.settle("s", cost=1), lambda: hold(books, "x", 2**62)):
                with pytest.raises(LedgerError):
                    act()
            hold(books, "t")
        assert books.held() == 2
        with pytest.raises(ZeroDivisionError), books.together():
            hold(books, "u", bidder="new")
            raise ZeroDivisionError
        assert books.held() == 2
        hold(books, "u", bidder="new")
        assert books.held() == 3
    check(where)


def test_an_account_holds_and_pays_within_its_limit(where: str) -> None:
    limit(where, "b", 25)
    with Ledger(where) as books:
        hold(books, "r", 10)
        hold(books, "s", 10)
        with pytest.raises(InsufficientError, match="account b has 5 micro-units left, and 6 are needed"):
            hold(books, "t", 6)
        books.release("r")
        hold(books, "t", 15)
        # What serving it came to is more than was held: the auctioneer bears it.
        books.settle("t", cost=20, charge=20, receipt=20)
        assert (books.totals().charges, books.totals().surplus) == (15, -5)
        with pytest.raises(InsufficientError):
            hold(books, "u", 1)
        # A limit of the caller's holds beside the account's own.
        hold(books, "v", 5, "c", limit=7)
        with pytest.raises(InsufficientError, match="account c has 2 micro-units left, and 3 are needed"):
            hold(books, "w", 3, "c", limit=7)
        hold(books, "w", 3, "c")
    check(where)


def test_a_key_spends_its_day_and_no_more(where: str) -> None:
    with Ledger(where) as books:
        hold(books, "first")
        database = connect(where)
        database.change(
            "INSERT INTO keys (name, account, digest, spend_day, made_s) VALUES ('k', 'b', :digest, 12, 0)",
            {"digest": "0" * 64},
        )
        database.close()
        hold(books, "r", 7, key="k")
        with pytest.raises(InsufficientError, match="key k may spend no 6 micro-units more today"):
            hold(books, "s", 6, key="k")
        books.settle("r", cost=1, charge=4)
        hold(books, "s", 8, key="k")
        with pytest.raises(InsufficientError):
            hold(books, "t", 1, key="k")
        books.release("s")
        hold(books, "t", 8, key="k")
        hold(books, "u", 80, key="of a file")
    check(where)


def try_to_hold(where: str, name: str, calls: int, threads: int, begin: Any, found: Any) -> None:
    """Hold once each, in as many threads; tells how many were held and how many refused."""
    with Ledger(where) as books:
        outcomes: list[str] = []

        def one(start: int) -> None:
            for call in range(start, calls, threads):
                while True:
                    try:
                        hold(books, f"{name}-{call}", 5, "b")
                    except LedgerBusyError:
                        time.sleep(random.random() * 0.01)
                    except InsufficientError:
                        outcomes.append("refused")
                        break
                    else:
                        outcomes.append("held")
                        break

        begin.wait(60)
        workers = [threading.Thread(target=one, args=(k,)) for k in range(threads)]
        if books.waits:
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        else:
            # A file is written by the thread that opened it.
            for k in range(threads):
                one(k)
        found.put((outcomes.count("held"), outcomes.count("refused")))
        begin.wait(60)


@pytest.mark.parametrize(
    "calls", [pytest.param(8, marks=pytest.mark.slow), 64, pytest.param(1000, marks=pytest.mark.slow)]
)
def test_a_budget_for_one_is_spent_once_by_many_at_once(where: str, calls: int) -> None:
    limit(where, "b", 9)
    context, processes = multiprocessing.get_context("spawn"), 4
    begin, found = context.Barrier(processes), context.Queue()
    running = [
        context.Process(target=try_to_hold, args=(where, f"p{k}", calls // processes, 8, begin, found))
        for k in range(processes)
    ]
    for process in running:
        process.start()
    outcomes = [found.get(timeout=90) for _ in running]
    for process in running:
        process.join(30)
    assert (sum(held for held, _ in outcomes), sum(refused for _, refused in outcomes)) == (1, calls - 1)
    check(where)


def hold_and_die(where: str) -> None:
    books = Ledger(where)
    hold(books, "lost", 10, "b")
    hold(books, "served", 10, "b")
    books.settle("served", cost=4)
    os.kill(os.getpid(), 9)


def recovered(books: Ledger) -> int:
    """A server notices the end of a session in its own time."""
    until = time.monotonic() + 10.0
    while not (count := books.recover()) and time.monotonic() < until:
        time.sleep(0.02)
    return count


def test_what_a_killed_process_held_is_released_and_what_a_living_one_holds_is_not(where: str) -> None:
    process = multiprocessing.get_context("spawn").Process(target=hold_and_die, args=(where,))
    with Ledger(where) as alive:
        hold(alive, "mine")
        process.start()
        process.join(60)
        with Ledger(where) as later:
            hold(later, "theirs")
            assert later.held() == 3
            assert recovered(later) == 1
            assert (later.held(), later.recover()) == (2, 0)
            later.settle("theirs", cost=1)
            hold(later, "lost", 3)
        assert recovered(alive) == 1
        alive.settle("mine", cost=1)
    check(where)
    assert query(where, "SELECT state FROM endings WHERE request = 'lost' AND attempt = 1") == [("released",)]


def test_books_of_one_table_are_taken_over_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old = sqlite3.connect(path)
    old.executescript(
        "CREATE TABLE entries (request TEXT PRIMARY KEY, bidder TEXT NOT NULL, agent TEXT NOT NULL,"
        " charge INTEGER NOT NULL, cost INTEGER, receipt INTEGER, state TEXT NOT NULL) STRICT;"
        "INSERT INTO entries VALUES ('r', 'b', 'a', 10, 7, 8, 'settled'), ('s', 'b', 'a', 5, NULL, NULL, 'held'),"
        " ('t', 'c', 'a', 6, NULL, NULL, 'released'), ('u', 'c', 'b', -2, 1, 0, 'settled');"
    )
    old.close()
    with Ledger(path) as books:
        assert (books.totals().entries, books.totals().charges, books.totals().receipts, books.held()) == (2, 8, 8, 1)
        assert books.recover() == 1
        hold(books, "t", 2)
        with pytest.raises(LedgerError, match="charged before"):
            hold(books, "r")
    check(str(path))
    assert query(str(path), "SELECT COUNT(*) FROM holds") == [(5,)]
    with sqlite3.connect(f"{path}.before-upgrade") as copy:
        assert copy.execute("SELECT COUNT(*) FROM entries").fetchone() == (4,)
    copy.close()


def test_books_of_a_later_version_are_not_touched(where: str) -> None:
    Ledger(where).close()
    database = connect(where)
    database.change("UPDATE alembic_version SET version_num = '9999'", {})
    database.close()
    with pytest.raises(LedgerError, match="revision that this version does not know"):
        Ledger(where)


def test_new_books_and_those_that_alembic_makes_are_the_same(tmp_path: Path) -> None:
    from runtime.accounts.migrating import upgrade_sqlite

    Ledger(tmp_path / "new").close()
    made = sqlite3.connect(tmp_path / "made")
    upgrade_sqlite(tmp_path / "made", made)
    new = sqlite3.connect(tmp_path / "new")
    listing = "SELECT type, name FROM sqlite_schema ORDER BY type, name"
    assert [tuple(row) for row in made.execute(listing)] == [tuple(row) for row in new.execute(listing)]
    assert list(made.execute("SELECT * FROM alembic_version")) == list(new.execute("SELECT * FROM alembic_version"))
    made.close()
    new.close()


def test_a_server_that_is_not_there_is_an_error_with_its_name_and_without_its_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(LedgerError, match=r"cannot keep books in postgresql://u:\*\*\*@127.0.0.1:9/x") as told:
        Ledger("postgresql://u:secret@127.0.0.1:9/x")
    assert "secret" not in str(told.value)


def test_what_is_written_to_check_changes_nothing(where: str) -> None:
    with Ledger(where) as ledger:
        before = ledger._rows("SELECT * FROM writers", {})
        ledger.check()
        assert ledger._rows("SELECT * FROM writers", {}) == before


def test_closed_books_are_written_no_more(where: str) -> None:
    books = Ledger(where)
    books.close()
    books.close()
    with pytest.raises(LedgerError, match="cannot be written") as told:
        hold(books, "r")
    assert not isinstance(told.value, LedgerBusyError)


def test_the_tables_are_what_core_knows(where: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from runtime.accounts.names import url_of
    from runtime.accounts.tables import METADATA, engine_of

    Ledger(where).close()
    engine = engine_of(url_of(where))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert [change for change in compare_metadata(context, METADATA) if "add" in str(change[0])] == []
    engine.dispose()
