"""Scripts of SQL that make the tables: what new books are made with, and what revisions run on older ones."""

from functools import cache
from importlib.resources import files

#: The revision that this code reads and writes.
HEAD = "0002"
#: All of them, in order.
REVISIONS = ("0001", "0002")


@cache
def statements(name: str) -> tuple[str, ...]:
    """The statements of a script, such as `0001.sqlite`; an empty line parts them.

    Example:
        >>> statements("0001.sqlite")[1].split("(")[0]
        'INSERT INTO writers VALUES '
    """
    text = (files("runtime.accounts.migrations") / "versions" / f"{name}.sql").read_text("utf-8")
    parts = (part.strip() for part in text.split("\n\n"))
    return tuple(part for part in parts if not all(line.startswith("--") for line in part.splitlines()))
