"""The tables as SQLAlchemy's Core knows them, for whatever is not asked once a request."""

import sqlite3
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    text,
)

METADATA = MetaData()

WRITERS = Table(
    "writers",
    METADATA,
    Column("number", BigInteger, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("at_s", Float, nullable=False),
)
ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("balance", BigInteger, nullable=False, server_default="0"),
    Column("held", BigInteger, nullable=False, server_default="0"),
    Column("credit_limit", BigInteger),
    Column("preferences", Text, nullable=False, server_default="{}"),
)
KEYS = Table(
    "keys",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("account", Text, ForeignKey("accounts.name"), nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("requests_minute", BigInteger),
    Column("tokens_minute", BigInteger),
    Column("concurrency", BigInteger),
    Column("spend_day", BigInteger),
    Column("made_s", Float, nullable=False),
    Column("revoked_s", Float),
)
#: One row; its number grows with every change of a key, or of an account's preferences.
KEY_CHANGES = Table("key_changes", METADATA, Column("number", BigInteger, nullable=False))
KEY_DAYS = Table(
    "key_days",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("day", BigInteger, primary_key=True),
    Column("spent", BigInteger, nullable=False),
)
HOLDS = Table(
    "holds",
    METADATA,
    Column("request", Text, primary_key=True),
    Column("attempt", BigInteger, primary_key=True),
    Column("account", Text, ForeignKey("accounts.name"), nullable=False),
    Column("agent", Text, ForeignKey("accounts.name"), nullable=False),
    Column("charge", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("capped", BigInteger, nullable=False),
    Column("key", Text),
    Column("day", BigInteger, nullable=False),
    Column("writer", BigInteger, ForeignKey("writers.number"), nullable=False),
    Column("at_s", Float, nullable=False),
)
OPEN_HOLDS = Table(
    "open_holds",
    METADATA,
    Column("request", Text, primary_key=True),
    Column("attempt", BigInteger, nullable=False),
    Column("writer", BigInteger, nullable=False),
    ForeignKeyConstraint(["request", "attempt"], ["holds.request", "holds.attempt"]),
)
ENDINGS = Table(
    "endings",
    METADATA,
    Column("request", Text, primary_key=True),
    Column("attempt", BigInteger, primary_key=True),
    Column("state", Text, nullable=False),
    Column("charge", BigInteger),
    Column("cost", BigInteger),
    Column("receipt", BigInteger),
    Column("at_s", Float, nullable=False),
    ForeignKeyConstraint(["request", "attempt"], ["holds.request", "holds.attempt"]),
)
Index("settled_once", ENDINGS.c.request, unique=True, sqlite_where=text("state = 'settled'"))
MOVEMENTS = Table(
    "movements",
    METADATA,
    Column("request", Text, primary_key=True),
    Column("attempt", BigInteger, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("source", Text, ForeignKey("accounts.name"), nullable=False),
    Column("target", Text, ForeignKey("accounts.name"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("note", Text),
    Column("at_s", Float, nullable=False),
)
ROUNDS = Table(
    "rounds",
    METADATA,
    Column("number", BigInteger, primary_key=True),
    Column("writer", BigInteger, ForeignKey("writers.number"), nullable=False),
    Column("at_s", Float, nullable=False),
    Column("before", Text, nullable=False),
    Column("seal", Text, nullable=False, unique=True),
    Column("record", Text, nullable=False),
    Index("rounds_at", "at_s"),
)


def engine_of(url: str) -> Engine:
    """An engine whose transactions on SQLite begin where we say so, with the pragmas that the books want."""
    if not url.startswith("sqlite"):
        return create_engine(url, connect_args={"connect_timeout": 5})
    engine = create_engine(url, connect_args={"timeout": 10.0})

    @event.listens_for(engine, "connect")
    def _ours(raw: sqlite3.Connection, record: Any) -> None:
        # pysqlite would end a transaction before statements that make tables.
        raw.isolation_level = None
        raw.execute("PRAGMA foreign_keys = ON")

    return engine
