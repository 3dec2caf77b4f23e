import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import Ledger, LedgerError
from runtime.accounts.sums import SumsLedger

REQUESTS = st.sampled_from(["r", "s", "t"])
AMOUNTS = st.integers(-(1 << 61), 1 << 61) | st.integers(-5, 50)
STEPS = st.lists(
    st.tuples(st.just("hold"), REQUESTS, AMOUNTS, st.sampled_from(["alice", "bob"]))
    | st.tuples(st.just("settle"), REQUESTS, st.none() | st.integers(-5, 50), st.integers(0, 50))
    | st.tuples(st.just("release"), REQUESTS),
    max_size=20,
)


def done(books: Ledger | SumsLedger, step: tuple[object, ...]) -> bool:
    what, request = step[0], str(step[1])
    try:
        if what == "hold":
            books.hold(request, bidder=str(step[3]), agent="a", charge=int(str(step[2])))
        elif what == "settle":
            books.settle(request, cost=int(str(step[3])), charge=None if step[2] is None else int(str(step[2])))
        else:
            books.release(request)
    except LedgerError:
        return False
    return True


@given(STEPS)
def test_it_takes_and_refuses_what_the_ledger_does_and_sums_are_the_same(steps: list[tuple[object, ...]]) -> None:
    sums = SumsLedger()
    with Ledger() as books:
        for step in steps:
            assert done(sums, step) == done(books, step)
        assert sums.held() == books.held()
        for bidder in (None, "alice", "bob", "nobody"):
            assert sums.totals(bidder) == books.totals(bidder)


def test_limits_and_keys_are_refused_for_there_are_no_accounts() -> None:
    for more in ({"limit": 5}, {"key": "k"}):
        with pytest.raises(LedgerError, match="no accounts"):
            SumsLedger().hold("r", bidder="b", agent="a", charge=1, **more)  # type: ignore[arg-type]


def test_it_forgets_the_oldest_that_it_settled_and_stays_small() -> None:
    books = SumsLedger(remembered=2)
    for name in "rst":
        books.hold(name, bidder="b", agent="a", charge=1)
        books.settle(name, cost=1)
    with pytest.raises(LedgerError, match="charged before"):
        books.hold("s", bidder="b", agent="a", charge=1)
    books.hold("r", bidder="b", agent="a", charge=1)
    assert (books.totals().entries, books.held()) == (3, 1)
