"""Books in SQLite and in PostgreSQL, for tests that hold of both.

PostgreSQL is Debian's, started here in a folder of its own; IEMAS_TEST_POSTGRES names a running one instead.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

_MISSING = (
    "no PostgreSQL: install Debian's package postgresql (no server of its own need run), or name one that runs in "
    "IEMAS_TEST_POSTGRES=postgresql://USER@HOST/postgres"
)


def programs() -> Path | None:
    """The folder of initdb and pg_ctl, which Debian keeps off the path."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server's database `postgres`."""
    given = os.environ.get("IEMAS_TEST_POSTGRES")
    if given:
        yield given
        return
    pytest.importorskip("psycopg", reason="install iemas[gateway]")
    found = programs()
    if found is None:
        pytest.skip(_MISSING)
    folder = Path(tempfile.mkdtemp(prefix="iemas-pg-"))
    # The server refuses to run as root; Debian's package makes the user postgres.
    account = "postgres" if os.geteuid() == 0 else None
    if account:
        shutil.chown(folder, account)

    def do(*words: str) -> None:
        done = subprocess.run(
            words,
            user=account,
            cwd=folder,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "LANG": "C"},
        )
        if done.returncode:
            pytest.skip(f"{_MISSING} ({done.stderr.strip() or done.stdout.strip()})")

    do(str(found / "initdb"), "-D", str(folder / "data"), "-U", "iemas", "-A", "trust", "-E", "UTF8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-p {port} -k {folder} -c listen_addresses= -c max_connections=50 -c shared_buffers=16MB"
    control = (str(found / "pg_ctl"), "-D", str(folder / "data"))
    do(*control, "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://iemas@/postgres?host={folder}&port={port}"
    finally:
        subprocess.run((*control, "-m", "immediate", "stop"), user=account, cwd=folder, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(url: str) -> Iterator[str]:
    """The URL of a database of its own."""
    import psycopg

    name = f"t{uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield url.replace("/postgres", f"/{name}", 1) if "/postgres" in url else url
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
