"""How books are named, a path or a URL of PostgreSQL; how keys are known and rounds sealed: by their hash."""

import hashlib
import re
from pathlib import Path

#: The beginning of every key that we make.
PREFIX = "sk-iemas-"


def is_url(books: Path | str) -> bool:
    """Whether books are named by a URL of PostgreSQL."""
    return isinstance(books, str) and books.startswith(("postgresql:", "postgres:"))


def shown(books: Path | str) -> str:
    """The name of books without a password."""
    return re.sub(r"//([^/@:]*):[^/@]*@", r"//\1:***@", str(books))


def url_of(books: Path | str) -> str:
    """Books as SQLAlchemy names them."""
    if is_url(books):
        return re.sub(r"^postgres(ql)?(\+psycopg)?:", "postgresql+psycopg:", str(books))
    return f"sqlite:///{books}"


def digest_of(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def seal_of(before: str, record: str) -> str:
    """The seal of a round's record that comes after one with the seal `before`, "" if it is the first."""
    return hashlib.sha256(f"{before}\n{record}".encode()).hexdigest()
