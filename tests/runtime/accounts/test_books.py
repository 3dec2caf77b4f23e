"""Books that another process has locked: nobody hangs, the loop goes on, nothing is lost and nothing is doubled."""

import asyncio
import multiprocessing
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime import Ledger, LedgerError, RoundRules, Router, Served, running
from runtime.accounts import books as module
from runtime.accounts.books import Books
from runtime.engines.simulated.virtual_time import run
from runtime.errors import LedgerBusyError
from tests.runtime.fleet import PRICES, engine, request
from tests.runtime.rounds.stories import KEEN, Fixed


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection holds the write lock."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def hold_the_lock(path: Path, ready: Any, enough: Any) -> None:
    with locked(path):
        ready.set()
        enough.wait(30)


@contextmanager
def locked_by_a_process(path: Path) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    ready, enough = context.Event(), context.Event()
    process = context.Process(target=hold_the_lock, args=(path, ready, enough))
    process.start()
    assert ready.wait(30)
    try:
        yield
    finally:
        enough.set()
        process.join(30)


def test_a_locked_file_is_told_at_once_and_as_what_it_is(tmp_path: Path) -> None:
    with Ledger(tmp_path / "books") as ledger:
        ledger.hold("r", bidder="b", agent="a", charge=1)
        with locked_by_a_process(tmp_path / "books"):
            began = time.monotonic()
            for write in (
                lambda: ledger.hold("s", bidder="b", agent="a", charge=1),
                lambda: ledger.settle("r", cost=1),
                lambda: ledger.release("r"),
            ):
                with pytest.raises(LedgerBusyError, match="cannot be written just now"):
                    write()
            assert ledger.held() == 1
            assert time.monotonic() - began < 2.0
        ledger.settle("r", cost=1)
        assert (ledger.held(), ledger.totals().entries) == (0, 1)


def test_closed_books_and_amounts_beyond_them_are_errors_of_ours() -> None:
    ledger = Ledger()
    with pytest.raises(LedgerError, match="cannot be written"):
        ledger.hold("r", bidder="b", agent="a", charge=2**70)
    ledger.close()
    with pytest.raises(LedgerError, match="cannot be written"):
        ledger.settle("r", cost=1)


def in_books(path: Path, story: Any) -> tuple[Ledger, list[LedgerError]]:
    """A story on virtual time, told to books whose reports are kept."""
    told: list[LedgerError] = []
    ledger = Ledger(path)
    run(story(Books(ledger, told.append)), virtual=True)
    return ledger, told


def test_entries_are_written_in_order_once_the_file_is_free(tmp_path: Path) -> None:
    path = tmp_path / "books"

    async def story(books: Books) -> None:
        with locked(path):
            entry = books.hold("r", bidder="b", agent="a", charge=7)
            assert entry.pending
            books.settle("r", cost=3, charge=7, receipt=4)
            dropped = books.hold("s", bidder="b", agent="a", charge=7)
            books.undo("s", dropped)
            again = books.hold("t", bidder="b", agent="a", charge=9)
            await asyncio.sleep(1.0)
            assert books.pending == 3
        await asyncio.sleep(0.1)
        assert books.pending == 0 and not entry.pending and entry.error is None
        books.undo("t", again)

    ledger, told = in_books(path, story)
    with ledger:
        totals = ledger.totals()
        assert (totals.entries, totals.charges, totals.receipts, ledger.held()) == (1, 7, 4, 0)
    assert not told


def test_a_hold_is_given_up_after_a_while_and_what_is_settled_is_not(tmp_path: Path) -> None:
    path = tmp_path / "books"
    answers: list[LedgerError | None] = []

    async def story(books: Books) -> None:
        books.hold("r", bidder="b", agent="a", charge=7)
        with locked(path):
            books.settle("r", cost=3, charge=7, receipt=4)
            entry = books.hold("s", bidder="b", agent="a", charge=7)
            entry.told = answers.append
            await asyncio.sleep(60.0)
            assert books.pending == 1
            assert entry.error is not None
        await asyncio.sleep(0.1)
        books.undo("s", entry)

    ledger, told = in_books(path, story)
    with ledger:
        assert (ledger.totals().entries, ledger.held()) == (1, 0)
    assert len(answers) == 1 and isinstance(answers[0], LedgerBusyError)
    assert not told


def test_what_is_left_at_the_end_is_reported_with_its_amounts_and_written_when_they_resume(tmp_path: Path) -> None:
    path = tmp_path / "books"
    reports: list[LedgerError] = []

    async def story(books: Books) -> None:
        books.hold("r", bidder="b", agent="a", charge=7)
        with locked(path):
            books.settle("r", cost=3, charge=7, receipt=4)
            await books.flush(within_s=2.0)
            assert asyncio.get_running_loop().time() == pytest.approx(2.0, abs=0.1)
        reports.extend(told)
        books.resume()
        books.hold("s", bidder="b", agent="a", charge=1)

    told: list[LedgerError] = []
    with Ledger(path) as ledger:
        run(story(Books(ledger, told.append)), virtual=True)
        assert "settle request r at charge 7, cost 3, receipt 4" in str(reports[0])
        assert (ledger.totals().entries, ledger.held()) == (1, 1)


def test_an_entry_that_the_books_refuse_is_reported_and_stops_no_other(tmp_path: Path) -> None:
    async def story(books: Books) -> None:
        books.settle("never held", cost=3, charge=7, receipt=4)
        books.hold("r", bidder="b", agent="a", charge=7)
        books.settle("r", cost=3, charge=7, receipt=4)

    ledger, told = in_books(tmp_path / "books", story)
    with ledger:
        assert (ledger.totals().entries, ledger.held()) == (1, 0)
    assert "no charge is held for request never held" in str(told[0]) and len(told) == 1


def serve(path: Path, story: Any, **options: Any) -> tuple[Any, Router]:
    """A story told to a router with books in a file, on the real clock."""

    async def main() -> tuple[Any, Router]:
        fleet = [engine("a"), engine("b")]
        async with running(fleet):
            router = Router(fleet, Fixed(0, 1), [PRICES] * 2, ledger=Ledger(path), rounds=RoundRules(), **options)
            await router.start()
            try:
                return await story(router), router
            finally:
                await router.stop()

    return asyncio.run(main())


async def longest_pause(seconds: float) -> float:
    """The longest that the loop stood still meanwhile."""
    longest, last, until = 0.0, time.monotonic(), time.monotonic() + seconds
    while last < until:
        await asyncio.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    return longest


def test_a_lock_while_requests_arrive_delays_them_and_stands_no_loop_still(tmp_path: Path) -> None:
    async def story(router: Router) -> list[Any]:
        with locked_by_a_process(tmp_path / "books"):
            asked = [asyncio.create_task(router.submit(request(f"r{k}", f"{k}"), KEEN)) for k in range(4)]
            # SQLite's own patience with a lock is five seconds.
            assert await longest_pause(1.0) < 3.0
            assert not any(one.done() for one in asked)
            asked[3].cancel()
        return await asyncio.gather(*asked, return_exceptions=True)

    outcomes, router = serve(tmp_path / "books", story)
    assert [type(one) for one in outcomes] == [Served, Served, Served, asyncio.CancelledError]
    assert (router.ledger.totals().entries, router.ledger.held()) == (3, 0)


def test_a_lock_that_lasts_fails_who_arrives_in_bounded_time_and_nobody_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HOLD_WITHIN_S", 0.5)

    async def story(router: Router) -> list[Any]:
        with locked(tmp_path / "books"):
            asked = (router.submit(request(f"r{k}", f"{k}"), KEEN) for k in range(3))
            first = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 5.0)
        return [*first, await router.submit(request("r0", "again"), KEEN)]

    outcomes, router = serve(tmp_path / "books", story)
    assert [type(one) for one in outcomes] == [LedgerBusyError] * 3 + [Served]
    assert (router.ledger.totals().entries, router.ledger.held()) == (1, 0)


def test_a_lock_while_requests_are_served_delays_no_answer_and_settles_each_once(tmp_path: Path) -> None:
    path = tmp_path / "books"

    async def story(router: Router) -> list[Any]:
        asked = [asyncio.create_task(router.submit(request(f"r{k}", f"{k}"), KEEN)) for k in range(4)]
        while router.ledger.held() < 4:
            await asyncio.sleep(0)
        with locked(path):
            answers = await asyncio.wait_for(asyncio.gather(*asked), 5.0)
            assert router.ledger.held() == 4
        return answers

    answers, router = serve(path, story)
    assert all(isinstance(one, Served) for one in answers)
    totals = router.ledger.totals()
    assert (totals.entries, totals.charges, router.ledger.held()) == (4, 20, 0)
    assert totals.receipts == sum(one.receipt for one in answers)


def test_a_lock_that_outlasts_the_router_is_reported_at_its_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "books"
    monkeypatch.setattr(Books.flush, "__defaults__", (0.3,))
    told: list[BaseException] = []

    async def story(router: Router) -> Any:
        asked = asyncio.create_task(router.submit(request("r", "x"), KEEN))
        while router.ledger.held() < 1:
            await asyncio.sleep(0)
        with locked(path):
            served = await asyncio.wait_for(asked, 5.0)
            with pytest.raises(LedgerError, match=f"settle request r at charge 5, cost {served.cost}"):
                await router.stop()
        await router.start()
        assert router.ledger.held() == 0
        return served

    served, router = serve(path, story, on_error=told.append)
    assert isinstance(served, Served)
    assert len(told) == 1 and isinstance(told[0], LedgerError)
    assert router.ledger.totals().charges == 5
