"""
The ledger of an index: which documents are durably in it, by content, chunking and model.

A document that is about to be written or deleted is *pending*, and is so on disk before the index
is touched. Only when the index has flushed it does the ledger hold its hashes. So whatever a killed
process has left in the index is either durable and known, or pending: the next run writes it again
under its id, or deletes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Self

from m3kit._batching import batched
from m3kit.adapters.closing import ClosesOnExit
from m3kit.adapters.manifest import manifest_of
from m3kit.index import HasSidecar, HybridIndex
from m3kit.ingest.database import Database, LedgerError
from m3kit.ingest.fingerprints import Fingerprint

_VERSION = 1
_PAGE = 500
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE recipes (number INTEGER PRIMARY KEY, recipe TEXT NOT NULL UNIQUE);
CREATE TABLE places (source TEXT PRIMARY KEY, location TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
  id TEXT PRIMARY KEY, source TEXT NOT NULL, text BLOB, metadata BLOB, recipe INTEGER,
  run INTEGER NOT NULL
) WITHOUT ROWID
"""
_ENTRIES = """
SELECT id, source, text, metadata, recipes.recipe, run
FROM documents LEFT JOIN recipes ON documents.recipe = recipes.number
"""
_PLACES = "SELECT source, location FROM places"
_UNSEEN = """
SELECT id, documents.source, text, metadata, seen.source IS NOT NULL
FROM documents LEFT JOIN temp.seen ON documents.source = seen.source
WHERE run < ? AND id > ? ORDER BY id LIMIT ?
"""
_FORGET_LOST = """
UPDATE documents SET text = NULL, metadata = NULL, recipe = NULL
WHERE recipe IS NOT NULL AND id NOT IN (SELECT id FROM temp.stored)
"""
_DOUBLED = "SELECT id FROM temp.stored WHERE copies > 1"


@dataclass(frozen=True, slots=True)
class Entry:
    """
    What a ledger knows of a document.

    Args:
        fingerprint: The document; without hashes while it is pending.
        recipe: How it was chunked and encoded; None while it is pending.
        seen: Whether this run has seen it already.
    """

    fingerprint: Fingerprint
    recipe: str | None
    seen: bool = False

    @property
    def is_durable(self) -> bool:
        """Whether the document is in the index as it is described here."""
        return self.recipe is not None


class Ledger(ClosesOnExit):
    """
    An open ledger, which no other process can open meanwhile. Used by one thread.

    Args:
        path: Its file; one that does not exist is created.
        index: The index that it is of.

    Raises:
        LedgerError: If it is of another index, in use, damaged, or of a newer version.
        OSError: If the file cannot be created or written.
    """

    def __init__(self, path: str | PathLike[str], index: HybridIndex) -> None:
        self.path = Path(path)
        self._run = 0
        self._db = Database(self.path, _SCHEMA, version=_VERSION)
        try:
            self._bind(index)
        except BaseException:
            self._db.close()
            raise

    @classmethod
    def beside(cls, index: HybridIndex) -> Self | None:
        """Open or create the ledger beside an index in files; None for one on a server."""
        path = ledger_path(index)
        return None if path is None else cls(path, index)

    def start(self) -> bool:
        """
        Begin a run.

        Returns:
            Whether the run before has ended, so that the index is as it left it.
        """
        ended = self._meta("ended") != "no"
        self._run = int(self._meta("run") or 0) + 1
        self._set_meta(run=str(self._run), ended="no")
        return ended

    def end(self, count: int) -> None:
        """End a run; `count` is how many documents the index holds."""
        self._set_meta(ended="yes", count=str(count))

    @property
    def index_count(self) -> int:
        """How many documents the index held when a run last ended; 0 if none has."""
        return int(self._meta("count") or 0)

    def get(self, ids: Sequence[str]) -> dict[str, Entry]:
        """Return what is known of documents."""
        entries: dict[str, Entry] = {}
        for page in batched(dict.fromkeys(ids), _PAGE):
            marks = ",".join("?" * len(page))
            rows = self._db.rows(f"{_ENTRIES} WHERE id IN ({marks})", *page)
            entries.update((row[0], self._entry(row)) for row in rows)
        return entries

    def entries(self) -> Iterator[Entry]:
        """Stream all that is known, by id."""
        for page in self._pages(f"{_ENTRIES} WHERE id > ? ORDER BY id LIMIT ?"):
            yield from map(self._entry, page)

    def count(self, *, pending: bool = False) -> int:
        """Count the documents that are durable, or those that are pending."""
        (count,) = self._db.row(
            "SELECT count(*) FROM documents WHERE (recipe IS NULL) = ?", pending
        )
        return int(count)

    def sources(self) -> dict[str, int]:
        """Count the documents of each source."""
        rows = self._db.rows(
            "SELECT source, count(*) FROM documents GROUP BY source ORDER BY source"
        )
        return dict(rows)

    def locations(self, sources: Iterable[str]) -> dict[str, str]:
        """Return where sources were, of which documents are called by their place."""
        known: dict[str, str] = {}
        for page in batched(sources, _PAGE):
            marks = ",".join("?" * len(page))
            known |= dict(self._db.rows(f"{_PLACES} WHERE source IN ({marks})", *page))
        return known

    def holds_places_of(self, source: str) -> bool:
        """Tell whether documents are known that are called by their place in a source."""
        first, after = f"{source}#", f"{source}$"  # the next character
        query = "SELECT 1 FROM documents WHERE id = ? OR (id > ? AND id < ?) LIMIT 1"
        return self._db.row(query, source, first, after) is not None

    def plan(
        self,
        *,
        unchanged: Iterable[Fingerprint],
        pending: Iterable[Fingerprint],
        places: Mapping[str, str] | None = None,
    ) -> None:
        """
        Note that a run has seen documents, before the index is touched.

        Args:
            unchanged: Those that are durable already.
            pending: Those that will be written.
            places: Where sources are that are new, or have moved.
        """
        with self._db.transaction():
            self._db.execute_each(
                "INSERT OR REPLACE INTO places VALUES (?, ?)", (places or {}).items()
            )
            self._db.execute_each(
                "UPDATE documents SET run = ?, source = ? WHERE id = ?",
                ((self._run, item.source, item.id) for item in unchanged),
            )
            self._db.execute_each(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, NULL, NULL, NULL, ?)",
                ((item.id, item.source, self._run) for item in pending),
            )

    def commit(self, written: Iterable[Fingerprint], recipe: str) -> None:
        """Note what an index has written and flushed."""
        with self._db.transaction():
            self._db.execute("INSERT OR IGNORE INTO recipes (recipe) VALUES (?)", recipe)
            (number,) = self._db.row("SELECT number FROM recipes WHERE recipe = ?", recipe)
            self._db.execute_each(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (item.id, item.source, item.text, item.metadata, number, self._run)
                    for item in written
                ),
            )

    def seen(self, ids: Iterable[str]) -> None:
        """Note that documents are still in their source, though it could not be read."""
        with self._db.transaction():
            self._db.execute_each(
                "UPDATE documents SET run = ? WHERE id = ?", ((self._run, id_) for id_ in ids)
            )

    def unseen(self) -> Iterator[tuple[Fingerprint, bool]]:
        """
        Stream the documents that this run has not seen, and whether it has seen their source.

        Pages are read as they are needed, so that documents may be removed meanwhile.
        """
        self._db.execute("DROP TABLE IF EXISTS temp.seen")
        self._db.execute("CREATE TEMP TABLE seen (source TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute(
            "INSERT INTO temp.seen SELECT DISTINCT source FROM documents WHERE run = ?", self._run
        )
        for page in self._pages(_UNSEEN, self._run):
            for id_, source, text, metadata, source_seen in page:
                yield Fingerprint(id_, source, text or b"", metadata or b""), bool(source_seen)

    def compare(self, stored_ids: Iterable[str]) -> tuple[int, list[str]]:
        """
        Make documents pending that the index has lost, or has twice.

        Args:
            stored_ids: The ids of all documents in the index.

        Returns:
            How many are lost, and the ids of those that are there twice.
        """
        self._db.execute("DROP TABLE IF EXISTS temp.stored")
        self._db.execute(
            "CREATE TEMP TABLE stored (id TEXT PRIMARY KEY, copies INTEGER) WITHOUT ROWID"
        )
        with self._db.transaction():
            self._db.execute_each(
                "INSERT INTO temp.stored VALUES (?, 1) "
                "ON CONFLICT (id) DO UPDATE SET copies = copies + 1",
                ((id_,) for id_ in stored_ids),
            )
            lost = self._db.execute(_FORGET_LOST)
        doubled = [id_ for (id_,) in self._db.rows(_DOUBLED)]
        self.forget(doubled)
        return lost, doubled

    def forget(self, ids: Iterable[str]) -> None:
        """Make documents pending that are about to be deleted."""
        with self._db.transaction():
            self._db.execute_each(
                "UPDATE documents SET text = NULL, metadata = NULL, recipe = NULL WHERE id = ?",
                ((id_,) for id_ in ids),
            )

    def remove(self, ids: Iterable[str]) -> None:
        """Remove documents that an index has deleted and flushed."""
        with self._db.transaction():
            self._db.execute_each("DELETE FROM documents WHERE id = ?", ((id_,) for id_ in ids))

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._db.close()

    def _bind(self, index: HybridIndex) -> None:
        record, bound = _record_of(index), self._meta("index")
        if bound is None:
            self._set_meta(index=record)
        elif bound != record:
            raise LedgerError(
                f"the ledger {self.path} is of another index, or of one that was made anew; give "
                "the right one, or remove the file to have everything encoded and written again"
            )

    def _meta(self, key: str) -> str | None:
        row = self._db.row("SELECT value FROM meta WHERE key = ?", key)
        return None if row is None else str(row[0])

    def _set_meta(self, **values: str) -> None:
        with self._db.transaction():
            self._db.execute_each("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        id_, source, text, metadata, recipe, run = row
        fingerprint = Fingerprint(id_, source, text or b"", metadata or b"")
        return Entry(fingerprint, recipe, seen=run == self._run)

    def _pages(self, query: str, *values: object) -> Iterator[list[Any]]:
        """Run a query that ends in `id > ? … LIMIT ?` again from where its page has ended."""
        last = ""
        while page := self._db.rows(query, *values, last, _PAGE):
            yield page
            last = page[-1][0]


def ledger_path(index: HybridIndex) -> Path | None:
    """Return where the ledger of an index in files lies; None for one on a server."""
    sidecar = index.sidecar if isinstance(index, HasSidecar) else None
    return None if sidecar is None else sidecar.with_name(f"{sidecar.name}.ledger")


def _record_of(index: HybridIndex) -> str:
    """Return what an index records of itself that no other index has, or at least its shape."""
    manifest = manifest_of(index)
    shape = f"{','.join(sorted(index.reps))} {index.model}"
    return shape if manifest is None else manifest.id or shape
