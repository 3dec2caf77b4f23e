"""Kept rounds derived again: honest books hold up, and whatever number is altered is found, with its place."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mechanisms import find_mechanism
from runtime import Ledger, PaperAuction
from runtime.accounts.archive import Archive, KeptRow
from runtime.accounts.database import connect
from runtime.accounts.names import is_url, seal_of
from runtime.referees import referee
from runtime.referees.audit import audit
from runtime.referees.export import lines
from runtime.referees.verdict import Verdict
from tests.experiments.audits import mutants
from tests.runtime.accounts.test_double_entry import limit
from tests.runtime.referees.played import RULES, play
from tests.runtime.rounds.stories import Fixed

Alter = Callable[[dict[str, Any]], None]


class Altered(Archive):
    """Books in which one round has another record; with a new chain of seals, if whoever did it took care."""

    def __init__(self, books: Path | str, number: int, record: str, *, resealed: bool) -> None:
        super().__init__(books)
        self._other, self._text, self._resealed = number, record, resealed

    def rounds(self, since_s: float | None = None, last: int | None = None) -> Iterator[KeptRow]:
        before = ""
        for row in super().rounds(since_s, last):
            row = replace(row, record=self._text) if row.number == self._other else row
            if self._resealed:
                row = replace(row, before=before, seal=seal_of(before, row.record))
                before = row.seal
            yield row


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> str:
    where = str(tmp_path_factory.mktemp("played") / "books.db")
    play(where, requests=30)
    return where


@pytest.fixture(scope="module")
def busiest(played: str) -> KeptRow:
    """The round in which most were displaced."""
    with Archive(played) as books:
        return max(books.rounds(), key=lambda row: sum(json.loads(row.record)["market"]["prices"]))


def verdict_of(where: str, **options: Any) -> Verdict:
    with Archive(where) as books:
        return audit(books, **options)


def named(verdict: Verdict) -> set[tuple[str, str]]:
    return {(fault.check, fault.where) for fault in verdict.faults}


def second(archive: Archive) -> set[tuple[str, str]]:
    """What the other referee finds."""
    return {(check, where) for check, where, _ in referee.check(lines(archive))[1]}


def test_books_of_a_router_hold_up(where: str) -> None:
    play(where, requests=30)
    verdict = verdict_of(where, misreports=3, seed=1)
    assert not verdict.faults
    # On a clock that is not virtual a deadline of .05 s may pass before any round.
    assert verdict.rounds == verdict.certified > 4 and verdict.requests >= (20 if "postgresql" in where else 30)
    assert verdict.sampled == 3 and verdict.misreports > 100
    assert verdict.settled > 10 and verdict.released > 0 and verdict.open == 0
    assert verdict.holds == verdict.settled + verdict.released
    with Archive(where) as books:
        assert second(books) == set()
        counts, _ = referee.check(lines(books))
    assert counts["priced"] == verdict.rounds and counts["entries"] == verdict.holds


def numbers_of(told: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every number of a record stands."""
    if isinstance(told, dict | list):
        for key, each in told.items() if isinstance(told, dict) else enumerate(told):
            yield from numbers_of(each, (*path, key))
    elif isinstance(told, int | float) and not isinstance(told, bool):
        yield path


def shift(told: Any, path: tuple[Any, ...], by: int) -> None:
    for key in path[:-1]:
        told = told[key]
    told[path[-1]] += by


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whichever_number_is_altered_the_audit_names_its_round(played: str, data: st.DataObject) -> None:
    with Archive(played) as books:
        row = data.draw(st.sampled_from(list(books.rounds())))
    told = json.loads(row.record)
    shift(told, data.draw(st.sampled_from(list(numbers_of(told)))), data.draw(st.sampled_from((-1, 1, 1000))))
    with Altered(played, row.number, json.dumps(told, separators=(",", ":")), resealed=False) as books:
        verdict = audit(books)
        assert ("seal", f"round {row.number}") in named(verdict)
        assert second(books) == named(verdict)


def chosen(told: dict[str, Any]) -> tuple[int, int, int]:
    """A request that displaced somebody, its column and agent."""
    market = told["market"]
    i = next(
        i
        for i, k in enumerate(market["agents"])
        if k >= 0 and market["prices"][k] > 0 and told["stated"][i][0] and told["stated"][i][1]
    )
    column = market["agents"][i]
    return i, column, told["basis"]["columns"][column]


def at(*path: Any, by: int = 1) -> Alter:
    """Changes a number; `i`, `k` and `j` stand for a request, its column and its agent."""

    def alter(told: dict[str, Any]) -> None:
        found = dict(zip("ikj", chosen(told), strict=True))
        shift(told, tuple(found.get(key, key) for key in path), by)

    return alter


def swapped(told: dict[str, Any]) -> None:
    """Somebody is given the place of who would pay most for it."""
    i, column, agent = chosen(told)
    out = told["market"]["agents"].index(-1)
    for name, mine in (("charges", told["charges"][i]), ("positions", told["positions"][i])):
        told[name][i], told[name][out] = 0, mine
    told["placed"][i], told["placed"][out] = -1, agent
    told["market"]["agents"][i], told["market"]["agents"][out] = -1, column
    told["predicted"][i], told["predicted"][out] = None, told["predicted"][i]


@pytest.mark.parametrize(
    ("alter", "check"),
    [
        (at("charges", "i"), "charges"),
        (at("charges", "i", by=-1), "charges"),
        (at("charges", "i", by=10**9), "rationality"),
        (at("charges", "i", by=-(10**9)), "deficit"),
        (at("market", "receipts", "k"), "receipts"),
        (at("market", "prices", "k", by=10**9), "allocation"),
        (at("market", "capacities", "k"), "allocation"),
        (swapped, "allocation"),
        (at("placed", "i"), "placement"),
        (at("positions", "i"), "placement"),
        (at("stated", "i", 0), "values"),
        (at("stated", "i", 1), "values"),
        (at("basis", "quality", "i", "j"), "values"),
        (at("basis", "service", "i", "j"), "values"),
        (at("basis", "start", "k"), "values"),
        (at("market", "values_crc"), "values"),
        (at("basis", "costs", "i", "j", by=-1), "charges"),
        (at("basis", "fees", "i", "j", by=-1), "charges"),
        (at("predicted", "i", 0), "prediction"),
        (at("predicted", "i", 1), "prediction"),
        (at("basis", "columns", "k", by=99), "record"),
        (at("at_s"), "record"),
    ],
)
def test_a_forger_who_seals_anew_is_found_by_what_does_not_follow(
    played: str, busiest: KeptRow, alter: Alter, check: str
) -> None:
    told = json.loads(busiest.record)
    alter(told)
    with Altered(played, busiest.number, json.dumps(told), resealed=True) as books:
        found = named(audit(books))
        assert (check, f"round {busiest.number}") in found and "seal" not in {name for name, _ in found}
        assert {name for name, _ in second(books)} >= {check}


def forge(where: str, *statements: str) -> None:
    """Write into books as nobody may, past what the database itself refuses."""
    database = connect(where)
    tables = {"rounds_stay": "rounds", "holds_stay": "holds", "endings_stay": "endings", "movements_stay": "movements"}
    for name, table in tables.items():
        database.change(f"DROP TRIGGER {name}" + (f" ON {table}" if is_url(where) else ""), {})
        if not is_url(where):
            remain = {"holds": "holds_remain", "endings": "endings_remain", "movements": "movements_remain"}.get(table)
            if remain is not None:
                database.change(f"DROP TRIGGER {remain}", {})
    for statement in statements:
        database.change(statement, {})
    database.close()


LAST = "(SELECT MAX(number) FROM rounds)"
SETTLED = "(SELECT MIN(request) FROM endings WHERE state = 'settled')"


@pytest.mark.parametrize(
    ("statements", "checks"),
    [
        ([f"UPDATE endings SET charge = charge + 1 WHERE request = {SETTLED}"], {"settlement", "movement"}),
        ([f"UPDATE endings SET charge = charge - 1 WHERE request = {SETTLED}"], {"settlement", "movement"}),
        ([f"UPDATE endings SET receipt = receipt + 1 WHERE request = {SETTLED}"], {"settlement", "movement"}),
        ([f"UPDATE movements SET amount = amount + 1 WHERE request = {SETTLED} AND kind = 'charge'"], {"movement"}),
        ([f"DELETE FROM endings WHERE request = {SETTLED}"], {"ending", "movement"}),
        ([f"UPDATE holds SET charge = charge + 1 WHERE request = {SETTLED}"], {"undecided", "ending"}),
        ([f"UPDATE holds SET amount = amount - 1 WHERE request = {SETTLED}"], {"ending"}),
        (
            [
                "INSERT INTO holds VALUES ('x', 1, 'b1', 'agent:a', 7, 7, 0, NULL, 0, 0, 1e12)",
                "INSERT INTO endings VALUES ('x', 1, 'settled', 7, 7, 7, 0)",
            ],
            {"undecided"},
        ),
        (["DELETE FROM rounds WHERE number = 2"], {"seal"}),
        ([f"DELETE FROM rounds WHERE number = {LAST}"], {"undecided"}),
        (["UPDATE rounds SET at_s = at_s + 1 WHERE number = 1"], {"record"}),
        ([f"UPDATE rounds SET record = replace(record, 'round', 'rownd') WHERE number = {LAST}"], {"seal", "record"}),
        (["UPDATE accounts SET balance = balance + 1 WHERE name = 'b1'"], {"balance"}),
    ],
)
def test_forged_books_are_found(tmp_path: Path, played: str, statements: list[str], checks: set[str]) -> None:
    where = str(tmp_path / "forged.db")
    Path(where).write_bytes(Path(played).read_bytes())
    forge(where, *statements)
    with Archive(where) as books:
        found = named(audit(books))
        assert {check for check, _ in found} >= checks
        # Balances are no part of an export.
        assert second(books) == {one for one in found if one[0] != "balance"}


def test_forged_books_of_either_kind_are_found(where: str) -> None:
    play(where, requests=12)
    forge(where, f"UPDATE endings SET charge = charge + 1 WHERE request = {SETTLED}")
    assert {fault.check for fault in verdict_of(where).faults} >= {"settlement", "movement"}


def paper(name: str) -> PaperAuction:
    return PaperAuction(find_mechanism(name))


@pytest.mark.parametrize("settlement", ["on-prediction", "on-measurement", "on-delivery"])
def test_every_settlement_is_held_to_its_rule(tmp_path: Path, settlement: str) -> None:
    where = str(tmp_path / "books.db")
    play(where, requests=16, rules={**RULES, "settlement": settlement})
    with Archive(where) as books:
        assert audit(books).faults == [] and second(books) == set()
    forge(where, f"UPDATE endings SET receipt = receipt + 1 WHERE request = {SETTLED}")
    assert {fault.check for fault in verdict_of(where).faults} >= {"settlement"}


def test_the_auction_as_published_is_derived_again_too(tmp_path: Path) -> None:
    where = str(tmp_path / "books.db")
    play(where, requests=24, policy=paper("vcg"))
    with Archive(where) as books:
        verdict = audit(books, misreports=100)
        assert verdict.faults == [] and verdict.certified > 3 and verdict.misreports > 100
        assert second(books) == set()


def test_a_rule_that_pays_for_misreports_is_refuted_by_the_traffic_it_served(tmp_path: Path) -> None:
    where = str(tmp_path / "books.db")
    rules = {**RULES, "mechanism": "pay-as-bid"}
    play(where, requests=24, rules=rules, policy=paper("pay-as-bid"))
    assert {fault.check for fault in verdict_of(where, misreports=100).faults} == {"misreport"}
    assert verdict_of(where).faults == []


def test_a_mechanism_that_claims_no_optimum_is_run_again(tmp_path: Path) -> None:
    where = str(tmp_path / "books.db")
    rules = {**RULES, "allocator": "greedy"}
    play(where, requests=16, rules=rules, policy=PaperAuction(find_mechanism("vcg", "greedy")))
    verdict = verdict_of(where)
    assert verdict.repeated == verdict.rounds > 2 and verdict.certified == 0
    assert {fault.check for fault in verdict.faults} <= {"deficit", "rationality"}
    with Archive(where) as books:
        assert referee.check(lines(books))[0]["left alone"] == verdict.rounds


def test_a_policy_whose_values_are_not_what_was_stated_and_predicted_is_found(tmp_path: Path) -> None:
    where = str(tmp_path / "books.db")
    play(where, requests=16, policy=mutants.Optimistic())
    assert "values" in {fault.check for fault in verdict_of(where).faults}


def test_who_could_not_pay_was_decided_and_not_held(where: str) -> None:
    Ledger(where).close()
    limit(where, "b1", 0)
    play(where, requests=20)
    verdict = verdict_of(where)
    assert verdict.faults == [] and verdict.refused > 0
    with Archive(where) as books:
        assert all(entry.account != "b1" for entry in books.entries()) and second(books) == set()


def test_rounds_without_an_auction_are_no_verdict(tmp_path: Path) -> None:
    where = str(tmp_path / "books.db")
    play(where, requests=8, policy=Fixed(0, 2))
    verdict = verdict_of(where)
    assert (verdict.auctions, verdict.unauctioned) == (0, verdict.rounds) and verdict.settled > 0
    assert verdict.faults == []


def test_a_window_is_looked_at_by_itself(played: str) -> None:
    with Archive(played) as books:
        rows = list(books.rounds())
        verdict = audit(books, since_s=rows[2].at_s)
    assert verdict.faults == [] and verdict.rounds == len(rows) - 2


def test_old_rounds_are_dropped_and_the_others_hold_up(where: str) -> None:
    play(where, requests=24)
    with Archive(where) as books:
        rows = list(books.rounds())
    with Ledger(where) as ledger:
        assert ledger.forget_rounds(rows[2].at_s) == 2 and ledger.forget_rounds(rows[2].at_s) == 0
    with Archive(where) as books:
        assert books.dropped() and [row.number for row in books.rounds()] == [row.number for row in rows[2:]]
        assert audit(books).faults == [] and second(books) == set()


def test_a_group_that_is_not_written_leaves_the_chain_of_seals_whole(where: str) -> None:
    record = json.dumps({"format": "x"})
    with Ledger(where) as ledger:
        ledger.keep(record, 1.0)
        with pytest.raises(ZeroDivisionError), ledger.together():
            ledger.keep(record + " ", 2.0)
            raise ZeroDivisionError
        with ledger.together():
            ledger.keep(record + "  ", 3.0)
            ledger.keep(record, 4.0)
    with Archive(where) as books:
        first, second_, third = books.rounds()
    assert (first.before, second_.before, third.before) == ("", first.seal, second_.seal)
    assert [row.at_s for row in (first, second_, third)] == [1.0, 3.0, 4.0]


def test_a_round_stays_as_it_was(where: str) -> None:
    with Ledger(where) as ledger:
        ledger.keep("{}", 1.0)
    database = connect(where)
    with pytest.raises(Exception, match="a round stays as it was"):
        database.change("UPDATE rounds SET record = '{} '", {})
    database.close()
