"""Accounts and keys: who they are, what they may, what was moved; for the command line and operators.

An account is one bidder; all its keys are that bidder's. A key is `sk-iemas-` and 256 random bits; it is shown once,
and its SHA-256 is all that is kept.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, case, func, insert, or_, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from runtime.accounts.database import TURN, connect
from runtime.accounts.names import PREFIX, digest_of, is_url, shown, url_of
from runtime.accounts.tables import (
    ACCOUNTS,
    ENDINGS,
    HOLDS,
    KEY_CHANGES,
    KEY_DAYS,
    KEYS,
    MOVEMENTS,
    OPEN_HOLDS,
    engine_of,
)
from runtime.errors import LedgerBusyError, LedgerError

#: Where credit comes from, and goes to.
OUTSIDE = ":outside"

#: What accounts and keys are called.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DAY_S = 86_400
#: Limits that a key may have: a number of it, credits in micro-units for the last.
LIMITS = ("requests_minute", "tokens_minute", "concurrency", "spend_day")


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key that may ask, as a gateway knows it: not the key itself, but its SHA-256."""

    digest: bytes
    name: str
    account: str
    preferences: Mapping[str, float]
    requests_minute: int | None = None
    tokens_minute: int | None = None
    concurrency: int | None = None


class Holders:
    """Accounts and keys of books; use as a context manager or `close` it.

    Args:
        books: a path or a URL, as for `Ledger`.
        make: whether books are made that are not there yet.

    Raises:
        LedgerError: there are none, or they cannot be opened.
    """

    def __init__(self, books: Path | str, *, make: bool = False) -> None:
        if not make and not is_url(books) and not Path(books).exists():
            raise LedgerError(f"there are no books at {books}; name them with --ledger, or make an account first")
        connect(books).close()
        self._name = shown(books)
        self._engine = engine_of(url_of(books))

    def close(self) -> None:
        """Give up connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._told(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One transaction, in turn with those of gateways."""
        with self._told(), self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": TURN})
            yield connection
            connection.commit()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, SQLAlchemyError) as error:
            cause = " ".join(str(getattr(error, "orig", None) or error).split())
            if isinstance(error, OperationalError) or (isinstance(error, DBAPIError) and error.connection_invalidated):
                raise LedgerBusyError(f"the books in {self._name} cannot be used just now ({cause})") from error
            if "never_beyond_its_limit" in cause:
                raise LedgerError(
                    "the account would owe more than its limit, with what is held; nothing was changed"
                ) from None
            raise LedgerError(f"the books in {self._name} refuse that ({cause})") from error

    def create_account(
        self, name: str, *, limit: int | None = 0, preferences: Mapping[str, float] | None = None
    ) -> dict[str, Any]:
        """A new account.

        Args:
            name: of the bidder.
            limit: the most that it may owe, in micro-units; None is no limit.
            preferences: figures for requests that say nothing themselves.

        Raises:
            LedgerError: it is there, or no name.
        """
        _check_name(name)
        row = {
            "name": name,
            "kind": "bidder",
            "credit_limit": limit,
            "preferences": json.dumps(dict(preferences or {})),
        }
        with self._writing() as connection:
            if connection.execute(select(ACCOUNTS.c.name).where(ACCOUNTS.c.name == name)).first():
                raise LedgerError(
                    f"there is an account {name} already; change what it may owe by `iemas account limit`"
                )
            connection.execute(insert(ACCOUNTS).values(row))
        return self.account(name)

    def account(self, name: str) -> dict[str, Any]:
        """One of `accounts`.

        Raises:
            LedgerError: there is none of this name.
        """
        found = self.accounts(ACCOUNTS.c.name == name)
        if not found:
            raise LedgerError(f"no account is called {name}; `iemas account list` tells them")
        return found[0]

    def accounts(self, only: ColumnElement[bool] | None = None) -> list[dict[str, Any]]:
        """Bidders' accounts by name: balance, what is held, the most they may owe (None: no limit), in micro-units."""
        query = select(ACCOUNTS).where(ACCOUNTS.c.kind == "bidder" if only is None else only).order_by(ACCOUNTS.c.name)
        with self._reading() as connection:
            return [
                {
                    "name": row.name,
                    "balance": row.balance,
                    "held": row.held,
                    "limit": row.credit_limit,
                    "preferences": json.loads(row.preferences),
                }
                for row in connection.execute(query)
            ]

    def credit(
        self, name: str, amount: int, *, reference: str | None = None, note: str | None = None
    ) -> dict[str, Any]:
        """Add to an account's balance, or take from it what is free; in micro-units.

        Args:
            name: the account.
            amount: what comes in; negative, what goes out.
            reference: of the payment: one reference is entered once.
            note: for its statement.

        Raises:
            LedgerError: no such account, too little left, or the reference was entered before.
        """
        self.account(name)
        if not amount:
            raise LedgerError("nothing is moved by 0 credits; name an amount")
        source, target = (OUTSIDE, name) if amount > 0 else (name, OUTSIDE)
        request = f"credit-{reference or token_hex(8)}"
        with self._writing() as connection:
            known = select(MOVEMENTS.c.request).where(MOVEMENTS.c.request == request)
            if connection.execute(known).first():
                raise LedgerError(f"reference {reference} was entered before; nothing was changed")
            connection.execute(
                insert(MOVEMENTS).values(
                    request=request, attempt=1, kind="credit", source=source, target=target, amount=abs(amount),
                    note=note, at_s=time.time(),
                )
            )  # fmt: skip
        return self.account(name)

    def limit(self, name: str, most: int | None) -> dict[str, Any]:
        """Set the most that an account may owe, in micro-units; None is no limit.

        Raises:
            LedgerError: no such account, or it owes more already.
        """
        self.account(name)
        with self._writing() as connection:
            connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.name == name).values(credit_limit=most))
        return self.account(name)

    def prefer(self, name: str, preferences: Mapping[str, float]) -> dict[str, Any]:
        """Set the figures of an account's requests that say nothing themselves."""
        self.account(name)
        told = json.dumps(dict(preferences))
        with self._writing() as connection:
            connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.name == name).values(preferences=told))
        return self.account(name)

    def create_key(self, account: str, name: str | None = None, **limits: int | None) -> tuple[str, dict[str, Any]]:
        """A new key, which nobody will see again, and how it is listed.

        Args:
            account: whose it is.
            name: of the key; by default the account's and some digits.
            limits: any of `LIMITS`.

        Raises:
            LedgerError: no such account, or the name is another key's.
        """
        self.account(account)
        name = f"{account[:55]}-{token_hex(4)}" if name is None else name
        _check_name(name)
        key = PREFIX + token_urlsafe(32)
        row = {"name": name, "account": account, "digest": digest_of(key).hex(), "made_s": time.time(), **limits}
        with self._writing() as connection:
            try:
                connection.execute(insert(KEYS).values(row))
            except IntegrityError:
                connection.rollback()
                raise LedgerError(f"a key is called {name} already, or a limit is below 1; choose another") from None
        return key, next(each for each in self.keys(account) if each["name"] == name)

    def revoke(self, name: str) -> dict[str, Any]:
        """A key opens nothing any more, from the next second on.

        Raises:
            LedgerError: no key of this name.
        """
        with self._writing() as connection:
            statement = update(KEYS).where(KEYS.c.name == name, KEYS.c.revoked_s.is_(None))
            connection.execute(statement.values(revoked_s=time.time()))
        found = [each for each in self.keys() if each["name"] == name]
        if not found:
            raise LedgerError(f"no key is called {name}; `iemas key list` tells them")
        return found[0]

    def keys(self, account: str | None = None) -> list[dict[str, Any]]:
        """Keys by name, of one account or all; never the keys themselves."""
        today = int(time.time()) // _DAY_S
        spent = select(KEY_DAYS.c.spent).where(KEY_DAYS.c.key == KEYS.c.name, KEY_DAYS.c.day == today).scalar_subquery()
        query = select(KEYS, func.coalesce(spent, 0).label("spent")).order_by(KEYS.c.name)
        if account is not None:
            query = query.where(KEYS.c.account == account)
        with self._reading() as connection:
            return [
                {
                    "name": row.name,
                    "account": row.account,
                    "revoked": row.revoked_s is not None,
                    "spent_today": row.spent,
                    "limits": {limit: getattr(row, limit) for limit in LIMITS},
                }
                for row in connection.execute(query)
            ]

    def changes(self) -> int:
        """A number that grows with every change of `known_keys`."""
        with self._reading() as connection:
            return int(connection.execute(select(KEY_CHANGES.c.number)).scalar_one())

    def known_keys(self) -> tuple[int, list[KnownKey]]:
        """Keys that may ask, and `changes` as they were read."""
        query = select(KEYS, ACCOUNTS.c.preferences).join(ACCOUNTS, ACCOUNTS.c.name == KEYS.c.account)
        with self._reading() as connection:
            # Before the keys: what changes in between is read once more.
            number = int(connection.execute(select(KEY_CHANGES.c.number)).scalar_one())
            return number, [
                KnownKey(
                    bytes.fromhex(row.digest),
                    row.name,
                    row.account,
                    json.loads(row.preferences),
                    row.requests_minute,
                    row.tokens_minute,
                    row.concurrency,
                )
                for row in connection.execute(query.where(KEYS.c.revoked_s.is_(None)))
            ]

    def balances(self) -> dict[str, Any]:
        """All accounts' balances, what is held, and how requests ended: micro-units, and counts."""
        ended = select(ENDINGS.c.state, func.count()).group_by(ENDINGS.c.state)
        held = select(func.count(), func.coalesce(func.sum(HOLDS.c.amount), 0)).select_from(
            OPEN_HOLDS.join(
                HOLDS, (HOLDS.c.request == OPEN_HOLDS.c.request) & (HOLDS.c.attempt == OPEN_HOLDS.c.attempt)
            )
        )
        with self._reading() as connection:
            rows = connection.execute(select(ACCOUNTS).order_by(ACCOUNTS.c.name)).all()
            count, amount = connection.execute(held).one()
            states: dict[str, int] = {row.state: row[1] for row in connection.execute(ended)}
        return {
            "accounts": {
                row.name: {"balance": row.balance, "held": row.held, "limit": row.credit_limit} for row in rows
            },
            "held": {"requests": count, "amount": int(amount)},
            "requests": {"settled": states.get("settled", 0), "released": states.get("released", 0)},
        }

    def statement(self, name: str, last: int | None = None) -> list[dict[str, Any]]:
        """What was moved to and from an account, and what it came to each time; in micro-units, oldest first.

        Raises:
            LedgerError: no such account.
        """
        self.account(name)
        amount = case((MOVEMENTS.c.target == name, MOVEMENTS.c.amount), else_=-MOVEMENTS.c.amount)
        other = case((MOVEMENTS.c.target == name, MOVEMENTS.c.source), else_=MOVEMENTS.c.target)
        query = (
            select(MOVEMENTS.c.at_s, MOVEMENTS.c.kind, MOVEMENTS.c.request, MOVEMENTS.c.note, amount, other)
            .where(or_(MOVEMENTS.c.source == name, MOVEMENTS.c.target == name))
            .order_by(MOVEMENTS.c.at_s, MOVEMENTS.c.request, MOVEMENTS.c.kind)
        )
        lines, balance = [], 0
        with self._reading() as connection:
            for at_s, kind, request, note, moved, counterpart in connection.execute(query):
                balance += moved
                lines.append(
                    {"at_s": at_s, "kind": kind, "request": request, "note": note, "with": counterpart,
                     "amount": moved, "balance": balance}
                )  # fmt: skip
        return lines if last is None else lines[-last:]


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise LedgerError(f"{name!r} is no name; use up to 64 letters, digits, dots, dashes and underscores")
