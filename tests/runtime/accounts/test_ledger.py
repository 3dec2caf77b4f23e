import sqlite3
from pathlib import Path

import pytest

from runtime import Ledger, LedgerError


def hold(books: Ledger, request: str, charge: int = 10, bidder: str = "b") -> None:
    books.hold(request, bidder=bidder, agent="a", charge=charge)


def test_a_charge_is_held_then_settled_and_counts_once() -> None:
    with Ledger() as books:
        hold(books, "r", 10)
        assert (books.held(), books.totals().charges) == (1, 0)
        books.settle("r", cost=7)
        assert (books.held(), books.totals().charges, books.totals().surplus) == (0, 10, 3)


def test_what_is_settled_may_differ_from_what_was_held_and_agents_get_their_receipt() -> None:
    with Ledger() as books:
        hold(books, "r", 10)
        books.settle("r", cost=7, charge=12, receipt=9)
        hold(books, "s", 10)
        books.settle("s", cost=7, charge=0, receipt=0)
        hold(books, "t", 10)
        books.settle("t", cost=7)
        totals = books.totals()
        assert (totals.charges, totals.costs, totals.receipts, totals.surplus) == (22, 21, 16, 6)
        with pytest.raises(LedgerError, match="no charge is held for request r"):
            books.settle("r", cost=7, charge=1)
        assert books.totals() == totals


def test_books_from_before_receipts_were_entered_are_read_on(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    old = sqlite3.connect(path)
    old.executescript(
        "CREATE TABLE entries (request TEXT PRIMARY KEY, bidder TEXT NOT NULL, agent TEXT NOT NULL,"
        " charge INTEGER NOT NULL, cost INTEGER, state TEXT NOT NULL) STRICT;"
        "INSERT INTO entries VALUES ('r', 'b', 'a', 10, 7, 'settled'), ('s', 'b', 'a', 5, NULL, 'held');"
    )
    old.close()
    with Ledger(path) as books:
        assert (books.totals().receipts, books.totals().surplus, books.held()) == (7, 3, 1)
        books.settle("s", cost=4)
    with Ledger(path) as books:
        assert (books.totals().entries, books.totals().receipts) == (2, 11)


@pytest.mark.parametrize("state", ["held", "settled"])
def test_nobody_is_charged_twice(state: str) -> None:
    with Ledger() as books:
        hold(books, "r")
        if state == "settled":
            books.settle("r", cost=1)
        with pytest.raises(LedgerError, match="request r was charged before"):
            hold(books, "r", 99)
        assert books.totals().charges == (10 if state == "settled" else 0)


def test_a_released_charge_is_gone_and_may_be_held_anew() -> None:
    with Ledger() as books:
        hold(books, "r", 10)
        books.release("r")
        assert books.totals().entries == books.held() == 0
        hold(books, "r", 4)
        books.settle("r", cost=5)
        assert books.totals().surplus == -1


@pytest.mark.parametrize("settled", [False, True])
def test_what_is_not_held_can_be_neither_settled_nor_released(settled: bool) -> None:
    with Ledger() as books:
        if settled:
            hold(books, "r")
            books.settle("r", cost=1)
        with pytest.raises(LedgerError, match="no charge is held for request r"):
            books.settle("r", cost=1)
        with pytest.raises(LedgerError, match="no charge is held for request r"):
            books.release("r")


def test_totals_per_bidder_and_books_that_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    with Ledger(path) as books:
        hold(books, "r", 10, "alice")
        hold(books, "s", 20, "bob")
        books.settle("r", cost=1)
        books.settle("s", cost=2)
    with Ledger(path) as books:
        assert books.totals("alice").charges == 10
        assert books.totals().charges == 30
        with pytest.raises(LedgerError, match="charged before"):
            hold(books, "r")


def test_books_that_cannot_be_opened_are_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"cannot keep books in .*give a path you may write to"):
        Ledger(tmp_path / "nowhere" / "books.sqlite")
    (tmp_path / "text").write_text("this is no database, and it is longer than a header " * 20)
    with pytest.raises(LedgerError, match="cannot keep books"):
        Ledger(tmp_path / "text")
