"""Books of an earlier revision, or of one table, brought up to date by Alembic; a file is copied before."""

import sqlite3
from contextlib import closing
from pathlib import Path

from runtime.errors import LedgerError

_MIGRATING = 0x6965_6D63


def upgrade_sqlite(path: Path, books: sqlite3.Connection) -> None:
    """Bring a file up to date; `PATH.before-upgrade` is a copy of what it was.

    Raises:
        LedgerError: it is of a later revision than ours, or no books at all; or Alembic is not installed.
    """
    copy = path.with_name(f"{path.name}.before-upgrade")
    if not copy.exists():
        with closing(sqlite3.connect(copy)) as target:
            books.backup(target)
    _upgrade(f"sqlite:///{path}", str(path), "BEGIN IMMEDIATE")


def upgrade_postgres(url: str, name: str) -> None:
    """Make the tables of a database, or bring them up to date; `name` is the URL as it may be shown.

    Raises:
        LedgerError: the server cannot be reached, or the tables are of a later revision than ours.
    """
    turn = f"SELECT pg_advisory_xact_lock({_MIGRATING})"
    _upgrade(url.replace("postgresql:", "postgresql+psycopg:", 1), name, turn)


def _upgrade(url: str, name: str, begin: str) -> None:
    """All revisions that are missing, as one transaction; who comes second finds them there."""
    try:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise LedgerError(
            f"the books in {name} are of an earlier revision; install iemas[gateway], which brings them up to date"
        ) from error
    from runtime.accounts.tables import engine_of

    config = Config()
    config.set_main_option("script_location", "runtime.accounts:migrations")
    config.set_main_option("path_separator", "os")
    engine = engine_of(url)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(begin)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except CommandError as error:
        raise LedgerError(f"the books in {name} are of a revision that this version does not know: {error}") from error
    except SQLAlchemyError as error:
        cause = " ".join(str(getattr(error, "orig", None) or error).split())
        raise LedgerError(f"cannot keep books in {name}: {cause}") from error
    finally:
        engine.dispose()
