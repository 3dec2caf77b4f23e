"""What is set apart before a round: never more than an account has, from a request's entry to its end."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import Ledger
from runtime.accounts.cover import Cover
from runtime.accounts.holders import Holders
from runtime.errors import InsufficientError
from runtime.events import Abandoned, Decided, Declined, Dispatched, Failed, Served


class Have:
    """Accounts with so much free, of which nothing is held."""

    def __init__(self, waits: bool = False, **free: int) -> None:
        self.waits, self._free = waits, free

    def free(self, account: str) -> int | None:
        return self._free.get(account)


def event(kind: type, request: str, account: str = "a", **more: Any) -> Any:
    """An event of which `Cover` reads this much."""
    made = object.__new__(kind)
    offer = SimpleNamespace(request=SimpleNamespace(id=request, bidder=account))
    for name, value in {"offer": offer, "retried": False, **more}.items():
        if name in {field for base in kind.__mro__ for field in getattr(base, "__slots__", ())}:
            object.__setattr__(made, name, value)
    return made


@pytest.mark.parametrize("waits", [False, True])
def test_as_many_enter_as_are_covered_however_many_come_at_once(waits: bool) -> None:
    async def main() -> list[BaseException | None]:
        cover = Cover(Have(waits, a=25))
        told = await asyncio.gather(*(cover.enter(f"r{k}", "a", 10) for k in range(8)), return_exceptions=True)
        assert cover.set_apart("a") == 20
        return told

    told = asyncio.run(main())
    assert [error is None for error in told] == [True, True] + [False] * 6
    assert all(isinstance(error, InsufficientError) for error in told[2:])
    assert "account a has 5 micro-units" in str(told[2])


def test_accounts_without_limit_enter_whatever_they_report() -> None:
    async def main() -> None:
        cover = Cover(Have(a=1))
        for k in range(3):
            await cover.enter(f"r{k}", "somebody", 10**12)

    asyncio.run(main())


def test_what_is_held_is_part_of_what_is_set_apart(where: str) -> None:
    """25 free, two of 10: once one of them holds its price of 4, 21 are free, 16 of which are set apart."""
    with Ledger(where) as ledger, Holders(where) as holders:
        holders.create_account("a")
        holders.credit("a", 25)
        cover = Cover(ledger)

        async def main() -> None:
            await cover.enter("r1", "a", 10)
            await cover.enter("r2", "a", 10)
            cover.notice(event(Decided, "r1", charge=4))
            ledger.hold("r1", bidder="a", agent="x", charge=4)
            cover.notice(event(Dispatched, "r1"))
            assert ledger.free("a") == 21
            await cover.enter("r3", "a", 5)
            with pytest.raises(InsufficientError):
                await cover.enter("r4", "a", 1)
            # Failed, and back in a round: nothing is held, 10 are set apart again.
            ledger.release("r1")
            cover.notice(event(Failed, "r1", retried=True))
            with pytest.raises(InsufficientError):
                await cover.enter("r4", "a", 1)
            cover.notice(event(Failed, "r1", retried=False))
            await cover.enter("r4", "a", 10)

        asyncio.run(main())
        assert ledger.free("nobody") is None


@pytest.mark.parametrize("kind", [Served, Declined, Failed, Abandoned])
def test_at_a_requests_end_nothing_is_set_apart_for_it(kind: type) -> None:
    cover = Cover(Have(a=10))
    asyncio.run(cover.enter("r", "a", 10))
    cover.notice(event(kind, "another"))
    assert cover.set_apart("a") == 10
    cover.notice(event(kind, "r"))
    assert cover.set_apart("a") == 0
    cover.leave("r", "a")
    asyncio.run(cover.enter("r2", "a", 10))


def test_who_gives_up_while_the_books_are_read_leaves_nothing_set_apart() -> None:
    class Slow(Have):
        def free(self, account: str) -> int | None:
            raise OSError("gone")

    cover = Cover(Slow(a=10))
    with pytest.raises(OSError, match="gone"):
        asyncio.run(cover.enter("r", "a", 10))
    assert cover.set_apart("a") == 0


STEPS = st.lists(st.tuples(st.sampled_from(["enter", "price", "retry", "end"]), st.integers(0, 5), st.integers(0, 12)))


@given(STEPS)
def test_whatever_happens_no_charge_of_who_entered_is_refused(steps: list[tuple[str, int, int]]) -> None:
    """Prices up to what was reported are always covered by what is free, and nothing but that."""
    with Ledger() as ledger:
        ledger._database.change(
            "INSERT INTO accounts (name, kind, credit_limit) VALUES (:name, 'bidder', 20)", {"name": "a"}
        )
        cover = Cover(ledger)
        most: dict[str, int] = {}
        held: set[str] = set()

        async def main() -> None:
            for number, (step, k, amount) in enumerate(steps):
                names = sorted(most)
                name = names[k % len(names)] if names else ""
                if step == "enter":
                    try:
                        await cover.enter(f"r{number}", "a", amount)
                        most[f"r{number}"] = amount
                    except InsufficientError:
                        assert sum(most.values()) + amount > 20
                elif step == "price" and name and name not in held:
                    price = min(amount, most[name])
                    cover.notice(event(Decided, name, charge=price))
                    ledger.hold(name, bidder="a", agent="x", charge=price)
                    cover.notice(event(Dispatched, name))
                    held.add(name)
                elif step == "retry" and name in held:
                    ledger.release(name)
                    held.discard(name)
                    cover.notice(event(Failed, name, retried=True))
                elif step == "end" and name:
                    if name in held:
                        ledger.release(name)
                        held.discard(name)
                    cover.notice(event(Failed, name, retried=False))
                    del most[name]

        asyncio.run(main())
        assert cover.set_apart("a") == sum(most.values()) <= 20


def test_books_in_a_file_tell_what_is_free(tmp_path: Path) -> None:
    with Ledger(tmp_path / "books") as ledger, Holders(tmp_path / "books") as holders:
        holders.create_account("a", limit=7)
        holders.create_account("b", limit=None)
        assert (ledger.free("a"), ledger.free("b")) == (7, None)
