"""Where books are: a file of SQLite, or PostgreSQL; two classes with the same words for one connection.

Statements have named parameters (`:request`). Each write is a transaction of its own, except inside `together`.

Who writes is a writer: a number that is drawn anew each time books are opened (its epoch), and a lock that lasts as
long as its process: of a file beside the books, or of a session of PostgreSQL. So whoever starts later knows which
writers are gone, however they went.
"""

import os
import re
import socket
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol

from runtime.accounts.names import is_url, shown
from runtime.accounts.scripts import HEAD, REVISIONS, statements
from runtime.errors import LedgerBusyError, LedgerError

#: What entered books survive: the death of this process, or that of the machine (power loss) too.
Survives = Literal["process", "machine"]
Values = Mapping[str, Any]

#: Seconds for opening, which may wait where serving may not.
_OPEN_WITHIN_S = 10.0
#: Of PostgreSQL: the lock that writers take one after the other, and the space of locks that writers live by.
TURN, _ALIVE = 0x6965_6D61, 0x6965_6D62


class Database(Protocol):
    """One connection to books."""

    #: Whether a write may wait, for a disk or a network.
    waits: bool
    #: Of a connection that writes: whose holds are whose.
    writer: int
    #: Whether nobody knows if the last group was written: its connection broke while it was being committed.
    doubtful: bool

    def change(self, statement: str, values: Values) -> int:
        """Rows that a statement changed."""
        ...

    def rows(self, statement: str, values: Values) -> list[tuple[Any, ...]]:
        """What a query finds."""
        ...

    def together(self) -> Any:
        """A context whose changes are written as one."""
        ...

    def gone(self, writer: int) -> bool:
        """Whether a writer's process has ended."""
        ...

    def close(self) -> None:
        """No more."""
        ...


class Sqlite:
    """A file, or memory; nothing waits for a lock that another process holds.

    Raises:
        LedgerError: the file cannot be opened or written.
    """

    def __init__(self, path: Path | str, survives: Survives = "process") -> None:
        in_memory = str(path) == ":memory:"
        self.waits = survives == "machine" and not in_memory
        self.writer = 0
        self.doubtful = False
        self._path = Path(path)
        self._free: Callable[[], object] = lambda: None
        try:
            self._books = sqlite3.connect(
                path, isolation_level=None, timeout=_OPEN_WITHIN_S, check_same_thread=not self.waits
            )
            self._books.execute("PRAGMA journal_mode = WAL")
            self._books.execute(f"PRAGMA synchronous = {'FULL' if survives == 'machine' else 'NORMAL'}")
            self._make(in_memory)
            self._books.execute("PRAGMA foreign_keys = ON")
            if not in_memory:
                self._enlist()
            self._books.execute("PRAGMA busy_timeout = 0")
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"cannot keep books in {path}: {error}; give a path you may write to") from error

    def _make(self, in_memory: bool) -> None:
        """New books are made here, older ones by Alembic, which need not be installed for new ones."""
        tables = {name for (name,) in self._books.execute("SELECT name FROM sqlite_schema")}
        if not tables:
            self._books.execute("BEGIN IMMEDIATE")
            if in_memory or not self._books.execute("SELECT 1 FROM sqlite_schema").fetchone():
                for revision in REVISIONS:
                    for statement in statements(f"{revision}.sqlite"):
                        self._books.execute(statement)
                self._books.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
                self._books.execute("INSERT INTO alembic_version VALUES (?)", (HEAD,))
            self._books.execute("COMMIT")
        elif self._revision(tables) != HEAD:
            from runtime.accounts.migrating import upgrade_sqlite

            upgrade_sqlite(self._path, self._books)

    def _revision(self, tables: set[str]) -> str | None:
        row = (
            self._books.execute("SELECT version_num FROM alembic_version").fetchone()
            if "alembic_version" in tables
            else None
        )
        return None if row is None else str(row[0])

    def _enlist(self) -> None:
        with self.together():
            number = self._books.execute(
                "INSERT INTO writers (host, pid, at_s) VALUES (?, ?, ?)",
                (socket.gethostname(), os.getpid(), time.time()),
            ).lastrowid
            assert number is not None
            self.writer = number
            for old in self._path.parent.glob(f"{self._path.name}-writer-*"):
                self.gone(int(old.name.rpartition("-")[2]))
            lock = os.open(self._lock_of(number), os.O_RDWR | os.O_CREAT, 0o600)
            _flock(lock)
            # Ends with the connection, closed or not.
            self._free = weakref.finalize(self, os.close, lock)

    def _lock_of(self, writer: int) -> Path:
        return self._path.with_name(f"{self._path.name}-writer-{writer}")

    def gone(self, writer: int) -> bool:
        """Whether nobody holds its lock."""
        if writer == self.writer:
            return False
        try:
            with self._lock_of(writer).open("rb") as lock:
                if not _flock(lock.fileno()):
                    return False
                with suppress(OSError):
                    self._lock_of(writer).unlink()
        except FileNotFoundError:
            pass
        return True

    def change(self, statement: str, values: Values) -> int:
        """Rows that a statement changed, in a transaction of its own or that of `together`."""
        try:
            return self._books.execute(statement, values).rowcount
        except (sqlite3.Error, OverflowError) as error:
            raise _of_sqlite(error) from error

    def rows(self, statement: str, values: Values) -> list[tuple[Any, ...]]:
        """What a query finds."""
        try:
            return self._books.execute(statement, values).fetchall()
        except (sqlite3.Error, OverflowError) as error:
            raise _of_sqlite(error) from error

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is changed inside is there after a crash as a whole, or not at all."""
        try:
            self._books.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise _of_sqlite(error) from error
        try:
            yield
            try:
                self._books.execute("COMMIT")
            except sqlite3.Error as error:
                raise _of_sqlite(error) from error
        except BaseException:
            self._books.rollback()
            raise

    def close(self) -> None:
        """Close the file and give up the writer's lock; more than once does no harm."""
        self._books.close()
        if self.writer:
            self._lock_of(self.writer).unlink(missing_ok=True)
        self._free()


class Postgres:
    """A database of PostgreSQL by its URL; writers take turns, so that groups of entries never lock each other out.

    Raises:
        LedgerError: the server cannot be reached, or refuses us.
    """

    waits = True

    def __init__(self, url: str, survives: Survives = "machine") -> None:
        try:
            import psycopg
        except ImportError as error:
            raise LedgerError("books in PostgreSQL need psycopg; install iemas[gateway]") from error
        from runtime.accounts.migrating import upgrade_postgres

        self._errors = psycopg
        self._url, self._survives = re.sub(r"^postgres(ql)?(\+psycopg)?:", "postgresql:", url), survives
        self.writer = 0
        self.doubtful = False
        self._depth = 0
        self._over = False
        self._statements: dict[str, str] = {}
        upgrade_postgres(self._url, shown(url))
        try:
            self._books = self._connect()
        except psycopg.Error as error:
            raise LedgerError(f"cannot keep books in {shown(url)}: {_line(error)}") from error

    def _connect(self) -> Any:
        books = self._errors.connect(self._url, autocommit=True, connect_timeout=5, application_name="iemas")
        try:
            return self._prepared(books)
        except BaseException:
            books.close()
            raise

    def _prepared(self, books: Any) -> Any:
        books.execute(f"SET synchronous_commit = {'on' if self._survives == 'machine' else 'off'}")
        books.execute("SET lock_timeout = '1s'")
        if not self.writer:
            row = books.execute(
                "INSERT INTO writers (host, pid, at_s) VALUES (%s, %s, %s) RETURNING number",
                (socket.gethostname(), os.getpid(), time.time()),
            ).fetchone()
            self.writer = row[0]
        books.execute("SELECT pg_advisory_lock(%s, %s)", (_ALIVE, self.writer))
        return books

    def gone(self, writer: int) -> bool:
        """Whether no session holds its lock."""
        if writer == self.writer:
            return False
        got = self.rows("SELECT pg_try_advisory_lock(:space, :writer)", {"space": _ALIVE, "writer": writer})[0][0]
        if got:
            self.rows("SELECT pg_advisory_unlock(:space, :writer)", {"space": _ALIVE, "writer": writer})
        return bool(got)

    def _run(self, statement: str, values: Values) -> Any:
        words = self._statements.get(statement)
        if words is None:
            words = self._statements[statement] = re.sub(r"(?<![:\w']):([a-z_]+)", r"%(\1)s", statement)
        try:
            return self._books.execute(words, values)
        except self._errors.Error as error:
            raise self._ours(error) from error

    def _ours(self, error: Exception) -> LedgerError:
        """PostgreSQL's errors: what another try may mend, and what it cannot."""
        if self._over:
            return LedgerError(f"the books cannot be written ({_line(error)})")
        ill = isinstance(error, self._errors.OperationalError | self._errors.InterfaceError) or self._books.broken
        # Two writers of one request at once: the second sees the first as it tries again.
        if ill or isinstance(error, self._errors.errors.UniqueViolation):
            return LedgerBusyError(f"the books cannot be written just now ({_line(error)})")
        return LedgerError(f"the books cannot be written ({_line(error)})")

    def change(self, statement: str, values: Values) -> int:
        """Rows that a statement changed, in a transaction of its own or that of `together`."""
        if not self._depth:
            with self.together():
                return int(self._run(statement, values).rowcount)
        # A statement that is refused leaves the others of its group alone.
        self._run("SAVEPOINT entry", {})
        try:
            return int(self._run(statement, values).rowcount)
        except LedgerBusyError:
            raise
        except LedgerError:
            self._run("ROLLBACK TO SAVEPOINT entry", {})
            raise

    def rows(self, statement: str, values: Values) -> list[tuple[Any, ...]]:
        """What a query finds."""
        return list(self._run(statement, values).fetchall())

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is changed inside is there after a crash as a whole, or not at all; writers wait for their turn."""
        self._reconnect()
        self._run("BEGIN", {})
        self._depth = 1
        try:
            self._run(f"SELECT pg_advisory_xact_lock({TURN})", {})
            yield
            try:
                self._run("COMMIT", {})
            except LedgerError:
                self.doubtful = True
                raise
            self.doubtful = False
        except BaseException:
            with suppress(self._errors.Error):
                self._books.execute("ROLLBACK")
            raise
        finally:
            self._depth = 0

    def _reconnect(self) -> None:
        if self._books.closed and not self._over:
            try:
                self._books = self._connect()
            except self._errors.Error as error:
                raise LedgerBusyError(f"the books cannot be reached just now ({_line(error)})") from error

    def close(self) -> None:
        """End the session, and with it the writer; more than once does no harm."""
        self._over = True
        self._books.close()


def connect(books: Path | str, survives: Survives | None = None) -> Database:
    """A connection to books, which are made or brought up to date if need be."""
    if is_url(books):
        return Postgres(str(books), survives or "machine")
    return Sqlite(books, survives or "process")


def _of_sqlite(error: Exception) -> LedgerError:
    """SQLite's errors: what another try may mend, and what it cannot."""
    if isinstance(error, sqlite3.OperationalError):
        return LedgerBusyError(f"the books cannot be written just now ({error})")
    return LedgerError(f"the books cannot be written ({error})")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _flock(lock: int) -> bool:
    """Take a file's lock if nobody has it; where the system has no such locks nobody has."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
