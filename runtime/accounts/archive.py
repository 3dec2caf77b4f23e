"""`Archive`: what books hold, for whoever checks them: rounds as they were kept, entries, what they add up to.

Everything is read from one moment's books, however long it takes and whoever writes meanwhile.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Select, and_, func, or_, select, text
from sqlalchemy.exc import SQLAlchemyError

from runtime.accounts.database import connect
from runtime.accounts.names import is_url, shown, url_of
from runtime.accounts.tables import ACCOUNTS, ENDINGS, HOLDS, MOVEMENTS, OPEN_HOLDS, ROUNDS, engine_of
from runtime.errors import LedgerError

#: Rows that are fetched at once.
_SOME = 500


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A round as the books have it: its number in them, who wrote it, and its record between two seals."""

    number: int
    writer: int
    at_s: float
    before: str
    seal: str
    record: str


@dataclass(frozen=True, slots=True)
class KeptEntry:
    """A hold and how it ended; amounts in micro-units.

    `state` is None where it has no ending, `open` whether it counts as held, `moved` what its movements took from the
    account and gave to the agent.
    """

    request: str
    attempt: int
    account: str
    agent: str
    charge: int
    amount: int
    capped: bool
    at_s: float
    open: bool
    state: str | None = None
    final: int | None = None
    cost: int | None = None
    receipt: int | None = None
    moved: tuple[int, int] = (0, 0)


class Archive:
    """Books to be read; use as a context manager or `close` it.

    Args:
        books: a path or a URL, as for `Ledger`.

    Raises:
        LedgerError: there are none, or they cannot be opened.
    """

    def __init__(self, books: Path | str) -> None:
        if not is_url(books) and not Path(books).exists():
            raise LedgerError(f"there are no books at {books}; name them with --ledger")
        # Older ones are brought up to date.
        connect(books).close()
        self._name = shown(books)
        self._engine = engine_of(url_of(books))
        with self._told():
            self._connection = self._moment()

    def _moment(self) -> Connection:
        connection = self._engine.connect()
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        else:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        return connection

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = " ".join(str(getattr(error, "orig", None) or error).split())
            raise LedgerError(f"the books in {self._name} cannot be read ({cause})") from error

    def rounds(self, since_s: float | None = None, last: int | None = None) -> Iterator[KeptRow]:
        """Rounds in the books' order, those since (Unix time), the last so many."""
        query = select(ROUNDS).order_by(ROUNDS.c.number)
        if since_s is not None:
            query = query.where(ROUNDS.c.at_s >= since_s)
        if last is not None:
            newest = select(ROUNDS.c.number).order_by(ROUNDS.c.number.desc()).limit(last)
            query = query.where(ROUNDS.c.number.in_(newest))
        for row in self._rows(query):
            yield KeptRow(row.number, row.writer, row.at_s, row.before, row.seal, row.record)

    def count(self, since_s: float | None = None) -> int:
        """How many rounds there are, since (Unix time)."""
        query = select(func.count()).select_from(ROUNDS)
        with self._told():
            found = self._connection.execute(query if since_s is None else query.where(ROUNDS.c.at_s >= since_s))
            return int(found.scalar_one())

    def dropped(self) -> bool:
        """Whether rounds were kept that are there no more."""
        with self._told():
            first = self._connection.execute(select(func.min(ROUNDS.c.number))).scalar_one()
        return first is not None and first > 1

    def find(self, name: str) -> list[KeptRow]:
        """The round of a number, or the rounds that a request took part in.

        Raises:
            LedgerError: there is none.
        """
        quoted = '"' + name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + '"'
        wanted = ROUNDS.c.number == int(name) if name.isdecimal() else ROUNDS.c.record.like(f"%{quoted}%", escape="\\")
        found = [KeptRow(*row) for row in self._rows(select(ROUNDS).where(wanted).order_by(ROUNDS.c.number))]
        if not found:
            raise LedgerError(f"no round {name} is kept in {self._name}; `iemas ledger rounds` tells them")
        return found

    def entries(self, since_s: float | None = None, requests: list[str] | None = None) -> Iterator[KeptEntry]:
        """Holds with their endings, each request's attempts in order; since (Unix time), or of some requests."""
        moved = MOVEMENTS.alias("charged"), MOVEMENTS.alias("received")
        held = [HOLDS.c.request, HOLDS.c.attempt]
        query = select(
            HOLDS,
            ENDINGS.c.state,
            ENDINGS.c.charge,
            ENDINGS.c.cost,
            ENDINGS.c.receipt,
            OPEN_HOLDS.c.attempt.label("open"),
        )
        for kind, movement in zip(("charge", "receipt"), moved, strict=True):
            query = query.add_columns(
                movement.c.source.label(f"{kind}_from"),
                movement.c.target.label(f"{kind}_to"),
                movement.c.amount.label(f"{kind}_moved"),
            )
        both = HOLDS.outerjoin(ENDINGS, _same(ENDINGS.c, held)).outerjoin(OPEN_HOLDS, _same(OPEN_HOLDS.c, held))
        for kind, movement in zip(("charge", "receipt"), moved, strict=True):
            both = both.outerjoin(movement, and_(_same(movement.c, held), movement.c.kind == kind))
        query = query.select_from(both).order_by(*held)
        if since_s is not None:
            query = query.where(HOLDS.c.at_s >= since_s)
        if requests is not None:
            query = query.where(HOLDS.c.request.in_(requests))
        for row in self._rows(query):
            found = row._mapping
            yield KeptEntry(
                row.request,
                row.attempt,
                row.account,
                row.agent.removeprefix("agent:"),
                found[HOLDS.c.charge],
                row.amount,
                bool(row.capped),
                row.at_s,
                row.open is not None,
                row.state,
                found[ENDINGS.c.charge],
                row.cost,
                row.receipt,
                (
                    _signed(row.charge_from, row.charge_to, row.charge_moved, row.account),
                    -_signed(row.receipt_from, row.receipt_to, row.receipt_moved, row.agent),
                ),
            )

    def unlike(self) -> list[tuple[str, int, int]]:
        """Accounts whose balance is not what was moved: name, balance, and what it should be."""
        went = select(MOVEMENTS.c.source.label("name"), (-MOVEMENTS.c.amount).label("amount"))
        came = select(MOVEMENTS.c.target, MOVEMENTS.c.amount)
        legs = went.union_all(came).subquery()
        total = func.coalesce(func.sum(legs.c.amount), 0)
        query = (
            select(ACCOUNTS.c.name, ACCOUNTS.c.balance, total)
            .select_from(ACCOUNTS.outerjoin(legs, legs.c.name == ACCOUNTS.c.name))
            .group_by(ACCOUNTS.c.name, ACCOUNTS.c.balance)
            .having(or_(ACCOUNTS.c.balance != total))
            .order_by(ACCOUNTS.c.name)
        )
        return [(row[0], int(row[1]), int(row[2])) for row in self._rows(query)]

    def _rows(self, query: Select[Any]) -> Iterator[Any]:
        with self._told():
            yield from self._connection.execution_options(yield_per=_SOME).execute(query)


def _same(columns: Any, held: list[Any]) -> Any:
    return and_(columns.request == held[0], columns.attempt == held[1])


def _signed(source: str | None, target: str | None, amount: int | None, of: str) -> int:
    """What a movement took from an account; what it gave is negative, and nothing is what it did to others."""
    if amount is None:
        return 0
    return amount if source == of else -amount if target == of else 0
