"""The SQLite file of a ledger: durable transactions, one process at a time, errors of one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from errno import ENOSPC
from pathlib import Path
from typing import Any

from m3kit.index import M3Error


class LedgerError(M3Error, ValueError):
    """A ledger that is damaged, in use, or of another index."""


class Database:
    """
    An open file, which no other process can open meanwhile. Used by one thread.

    Args:
        path: The file; one that does not exist is created.
        schema: The statements that create its tables.
        version: Of the schema.

    Raises:
        LedgerError: If it is in use, damaged, of something else, or of a newer version.
        OSError: If the file cannot be created or written.
    """

    def __init__(self, path: Path, schema: str, *, version: int) -> None:
        self.path = path
        with self._errors():
            # Transactions are explicit, and not those that the module begins by itself.
            self._db = sqlite3.connect(path, timeout=0.5, isolation_level=None)
            try:
                self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")  # a commit survives the machine
                with self.transaction():
                    self._create(schema, version)
            except BaseException:
                self._db.close()
                raise

    def row(self, query: str, *values: object) -> Any:
        """Return the first row of an answer, None if there is none."""
        with self._errors(), closing(self._db.execute(query, values)) as cursor:
            return cursor.fetchone()

    def rows(self, query: str, *values: object) -> list[Any]:
        """Return the rows of an answer."""
        with self._errors():
            return self._db.execute(query, values).fetchall()

    def execute(self, statement: str, *values: object) -> int:
        """Execute a statement; return how many rows it changed."""
        with self._errors():
            return self._db.execute(statement, values).rowcount

    def execute_each(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Execute a statement with each row of values."""
        with self._errors():
            self._db.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is executed within, on disk, or nothing of it."""
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._errors():
                self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._db.close()

    def _create(self, schema: str, version: int) -> None:
        (stored,) = self.row("PRAGMA user_version")
        if stored > version:
            raise LedgerError(f"the ledger {self.path} is of a newer version; upgrade m3kit")
        if stored == 0:
            if self.row("SELECT name FROM sqlite_master") is not None:
                raise LedgerError(f"{self.path} is a database of something else; give another path")
            for statement in schema.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {version}")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _to_error(error, self.path) from error


def _to_error(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return OSError(ENOSPC, "no room for the ledger; make room and run again", str(path))
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return LedgerError(f"the ledger {path} is in use by another process; end that one first")
    if code in {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }:
        return OSError(None, f"the ledger cannot be opened or written ({error})", str(path))
    return LedgerError(
        f"the ledger {path} is damaged ({error}); remove it, and the next run encodes and writes "
        "everything again, each document once"
    )
