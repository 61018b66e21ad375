"""Comparing what an index holds with its ledger, and with its sources."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, fields
from typing import Any

from m3kit._batching import batched
from m3kit.index import HybridIndex
from m3kit.ingest.documents import Reject
from m3kit.ingest.fingerprints import Fingerprint
from m3kit.ingest.ledger import Ledger
from m3kit.records import Document

_PAGE = 500
_EXAMPLES = 5


@dataclass(slots=True)
class Difference:
    """
    Documents that differ in some way.

    Args:
        count: How many.
        examples: The ids of the first of them.
    """

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, id_: str) -> None:
        """Count a document."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(id_)


@dataclass(slots=True)
class Verification:
    """
    What a comparison has shown.

    Args:
        documents: How many documents the index holds.
        doubled: Documents that the index holds more than once.
        missing: Documents that the ledger takes for written, and the index lacks.
        changed: Documents whose text or metadata in the index is not what was written.
        pending: Documents that a run has begun to write or delete, and not finished.
        outdated: Documents that are new in the source, or differ from what the index holds.
        vanished: Documents of the ledger that the source has no more.
        unknown: Documents that are neither in the ledger nor in the source; others wrote them.
        rejected: Documents and files of the source that cannot be read.
    """

    documents: int = 0
    doubled: Difference = field(default_factory=Difference)
    missing: Difference = field(default_factory=Difference)
    changed: Difference = field(default_factory=Difference)
    pending: Difference = field(default_factory=Difference)
    outdated: Difference = field(default_factory=Difference)
    vanished: Difference = field(default_factory=Difference)
    unknown: Difference = field(default_factory=Difference)
    rejected: Difference = field(default_factory=Difference)

    @property
    def ok(self) -> bool:
        """Whether the index is what it should be; documents that others wrote do not matter."""
        return not any(
            difference.count for name, difference in self.differences() if name != "unknown"
        )

    def differences(self) -> Iterator[tuple[str, Difference]]:
        """Iterate over the kinds of differences by name."""
        for entry in fields(self):
            if isinstance(difference := getattr(self, entry.name), Difference):
                yield entry.name, difference

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        differences = {
            name: {"count": difference.count, "examples": difference.examples}
            for name, difference in self.differences()
        }
        return {"ok": self.ok, "documents": self.documents, **differences}


def verify(
    index: HybridIndex,
    *,
    ledger: Ledger | None = None,
    documents: Iterable[Document | Reject] | None = None,
) -> Verification:
    """
    Read all documents of an index, and compare them with its ledger and its source.

    The vectors are not encoded again. What is compared lies in a temporary file, so that the memory
    does not grow with the index.

    Args:
        index: The index.
        ledger: Its ledger, if it has one.
        documents: What the index should hold, such as `read_sources` yields; None compares with
            the ledger alone.
    """
    report = Verification()
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        stored = _Stored(database)
        for record in index.scan():
            report.documents += 1
            stored.add(Fingerprint.of(record.document))
        for id_ in stored.doubled():
            report.doubled.add(id_)
        if documents is not None:
            _compare_source(stored, documents, report)
        if ledger is not None:
            _compare_ledger(stored, ledger, report, with_source=documents is not None)
        for id_ in stored.unknown():
            report.unknown.add(id_)
    return report


def _compare_source(
    stored: _Stored, documents: Iterable[Document | Reject], report: Verification
) -> None:
    for batch in batched(documents, _PAGE):
        fingerprints = {}
        for item in batch:
            if isinstance(item, Reject):
                report.rejected.add(str(item))
            else:
                fingerprints[item.id] = Fingerprint.of(item)
        known = stored.get(list(fingerprints))
        for id_, fingerprint in fingerprints.items():
            if known.get(id_) != (fingerprint.text, fingerprint.metadata):
                report.outdated.add(id_)
        stored.mark("in_source", fingerprints)


def _compare_ledger(
    stored: _Stored, ledger: Ledger, report: Verification, *, with_source: bool
) -> None:
    for entries in batched(ledger.entries(), _PAGE):
        ids = [entry.fingerprint.id for entry in entries]
        known, in_source = stored.get(ids), stored.marked("in_source", ids)
        for entry in entries:
            id_, expected = entry.fingerprint.id, entry.fingerprint
            if not entry.is_durable:
                report.pending.add(id_)
            elif id_ not in known:
                report.missing.add(id_)
            elif known[id_] != (expected.text, expected.metadata):
                report.changed.add(id_)
            if with_source and id_ not in in_source:
                report.vanished.add(id_)
        stored.mark("in_ledger", ids)


class _Stored:
    """What an index holds, and where else it is, in a temporary database."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(
            "CREATE TABLE stored (id TEXT PRIMARY KEY, text BLOB, metadata BLOB, "
            "copies INTEGER NOT NULL, in_source INTEGER DEFAULT 0, in_ledger INTEGER DEFAULT 0) "
            "WITHOUT ROWID"
        )
        self._db.execute("BEGIN")

    def add(self, fingerprint: Fingerprint) -> None:
        self._db.execute(
            "INSERT INTO stored (id, text, metadata, copies) VALUES (?, ?, ?, 1) "
            "ON CONFLICT (id) DO UPDATE SET copies = copies + 1",
            (fingerprint.id, fingerprint.text, fingerprint.metadata),
        )

    def get(self, ids: list[str]) -> dict[str, tuple[bytes, bytes]]:
        marks = ",".join("?" * len(ids))
        query = f"SELECT id, text, metadata FROM stored WHERE copies > 0 AND id IN ({marks})"  # noqa: S608  # marks alone
        return {id_: (text, metadata) for id_, text, metadata in self._db.execute(query, ids)}

    def mark(self, column: str, ids: Iterable[str]) -> None:
        """Note where documents are, also such as the index lacks."""
        self._db.executemany(
            f"INSERT INTO stored (id, copies, {column}) VALUES (?, 0, 1) "  # noqa: S608  # a column's name
            f"ON CONFLICT (id) DO UPDATE SET {column} = 1",
            ((id_,) for id_ in ids),
        )

    def marked(self, column: str, ids: list[str]) -> set[str]:
        marks = ",".join("?" * len(ids))
        query = f"SELECT id FROM stored WHERE {column} AND id IN ({marks})"  # noqa: S608  # names and marks
        return {id_ for (id_,) in self._db.execute(query, ids)}

    def doubled(self) -> Iterator[str]:
        return self._ids("copies > 1")

    def unknown(self) -> Iterator[str]:
        return self._ids("copies AND NOT in_source AND NOT in_ledger")

    def _ids(self, condition: str) -> Iterator[str]:
        rows = self._db.execute(f"SELECT id FROM stored WHERE {condition} ORDER BY id")  # noqa: S608  # of two constants
        return (id_ for (id_,) in rows)
