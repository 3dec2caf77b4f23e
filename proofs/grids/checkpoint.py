"""`Checkpoint`: blocks already answered, in an SQLite file, so that an interrupted sweep goes on where it stopped.

A file belongs to one sweep: same mechanism, same grid, same properties, and same source of every module of the user's
that their classes can reach, and same content of every data file that was opened while it ran. A block is written in
one transaction once it is whole, so that a sweep may be killed at any time, and carries the mark of its sweep, so that
no other one takes it for its own. What neither sources nor files show (the environment, a module imported by a
computed name) is left to `Exhaustive`, which runs a share of the kept profiles again.
"""

import hashlib
import io
import json
import pickle
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from proofs.claims.property import property_name
from proofs.errors import AuditError
from proofs.grids.table import Block, Enumeration
from proofs.subject.reach import checksum, definers, digest
from proofs.subject.subject import to_expression

_SCHEMA = """
create table if not exists sweep (fingerprint text not null, about text not null);
create table if not exists block (
    fingerprint text not null, number integer not null, answers blob not null, claims text not null,
    primary key (fingerprint, number)
);
create table if not exists opened (path text primary key, sha256 text not null);
"""

#: Share of kept profiles that are run again when a sweep goes on.
RERUN_SHARE = 0.05

#: How long to wait for another process that writes.
_PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The file of one sweep; it is made where there is none."""

    path: Path

    def load(self, work: Enumeration) -> dict[int, Block]:
        """The blocks that were answered before.

        Raises:
            AuditError: the file belongs to another sweep, is no such file, or cannot be written.
        """
        mark, about = fingerprint(work), f"{work.mechanism} on {work.grid}"
        try:
            with closing(sqlite3.connect(self.path, _PATIENCE_S)) as file, file:
                file.executescript(_SCHEMA)
                file.execute("begin immediate")  # of two sweeps that begin at once, one is the first
                known = file.execute("select fingerprint, about from sweep").fetchone()
                if known is None:
                    file.execute("insert into sweep values (?, ?)", (mark, about))
                    return {}
                if known[0] != mark:
                    raise AuditError(
                        f"{self.path} holds a sweep of {known[1]}, made by other code or for other properties than "
                        f"this one of {about}; name another file, or delete it"
                    )
                for path, sha256 in file.execute("select path, sha256 from opened").fetchall():
                    if checksum(path) != sha256:
                        raise AuditError(
                            f"{self.path} holds a sweep whose code read {path}, which has changed since; name another "
                            "file, or delete it"
                        )
                mine = file.execute("select number, answers, claims from block where fingerprint = ?", (mark,))
                return {row[0]: _read(*row) for row in mine}
        except (sqlite3.Error, OSError, ValueError, KeyError, BadZipFile) as error:
            if isinstance(error, AuditError):
                raise
            raise AuditError(f"{self.path} cannot hold a sweep: {error}; name another file") from error

    def save(self, block: Block, mark: str, opened: Iterable[str] = ()) -> None:
        """Keep one block of the sweep whose `fingerprint`, from before it began, is `mark`.

        Args:
            opened: data files that were read so far.

        Raises:
            AuditError: the file cannot be written any more.
        """
        answers = io.BytesIO()
        np.savez_compressed(answers, agents=block.agents, charges=block.charges, receipts=block.receipts)
        grades = [None if grade is None else (str(grade[0]), grade[1]) for grade in block.grades]
        claims = json.dumps({"worst": block.worst, "grades": grades})
        row = (mark, block.number, answers.getvalue(), claims)
        self.note(opened)
        try:
            with closing(sqlite3.connect(self.path, _PATIENCE_S)) as file, file:
                file.execute("insert or replace into block values (?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise self._lost(error) from error

    def note(self, opened: Iterable[str]) -> None:
        """Keep the checksums of data files that the sweep has read; one that is known already stays as it was.

        Raises:
            AuditError: the file cannot be written any more.
        """
        own = str(self.path.resolve())
        read = [(path, checksum(path)) for path in sorted(opened) if not path.startswith(own)]
        try:
            with closing(sqlite3.connect(self.path, _PATIENCE_S)) as file, file:
                file.executemany("insert or ignore into opened values (?, ?)", read)
        except sqlite3.Error as error:
            raise self._lost(error) from error

    def _lost(self, error: sqlite3.Error) -> AuditError:
        return AuditError(f"{self.path} was a sweep's file and cannot be written now: {error}")


def fingerprint(work: Enumeration) -> str:
    """What tells one sweep from another: the mechanism and its source, the grid, the properties, the block size.

    Raises:
        AuditError: the mechanism can be neither written down nor pickled.
    """
    properties = [[property_name(prop), _told(prop)] for prop in work.properties]
    reached = digest(definers(work.mechanism, *work.properties))
    told = [version("iemas"), _told(work.mechanism), reached, str(work.grid), properties, work.size]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _told(value: object) -> str:
    try:
        return to_expression(value)
    except AuditError:
        try:
            return pickle.dumps(value).hex()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise AuditError(
                f"{type(value).__name__} cannot be told from another one by a file ({error}); "
                "move it to a module of its own"
            ) from error


def _read(number: int, answers: bytes, claims: str) -> Block:
    told = json.loads(claims)
    with np.load(io.BytesIO(answers), allow_pickle=False) as arrays:
        agents, charges, receipts = (arrays[name] for name in ("agents", "charges", "receipts"))
    grades = tuple(None if grade is None else (Fraction(grade[0]), grade[1]) for grade in told["grades"])
    worst = tuple((amount, profile) for amount, profile in told["worst"])
    return Block(number, agents, charges, receipts, worst, grades)
