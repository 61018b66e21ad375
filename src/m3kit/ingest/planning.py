"""What is to be done with each document that was read: nothing, writing, or encoding as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from m3kit.adapters.manifest import manifest_of
from m3kit.index import ChecksDocuments, DocumentError, HybridIndex
from m3kit.ingest.documents import Reject, SourceDocument, SourceError
from m3kit.ingest.fingerprints import Fingerprint, Read
from m3kit.ingest.ledger import Entry, Ledger
from m3kit.ingest.places import Places
from m3kit.ingest.rejects import RejectsFile
from m3kit.ingest.repeats import RepeatedIds
from m3kit.ingest.summary import Summary
from m3kit.records import Document


@dataclass(frozen=True, slots=True)
class Job:
    """
    A document to be written.

    Args:
        document: The document.
        fingerprint: Its hashes.
        encode: Whether it is to be encoded; else the vectors that the index has are written again.
    """

    document: Document
    fingerprint: Fingerprint
    encode: bool


class Planner:
    """
    Compares what is read with the ledger, and keeps count of sources.

    Args:
        index: Tells which documents its engine cannot hold.
        ledger: What the index holds; None has every document encoded.
        summary: Is counted up.
        rejects: Takes what cannot be indexed.
        recipe: How documents are chunked and encoded.
        strict: Whether a reject is an error.
        moved: Whether files take the place of others that are still there.
    """

    def __init__(
        self,
        index: HybridIndex,
        ledger: Ledger | None,
        summary: Summary,
        rejects: RejectsFile,
        *,
        recipe: str,
        strict: bool,
        moved: bool,
    ) -> None:
        self.broken_sources: set[str] = set()
        self.repeats = RepeatedIds()
        self.summary = summary
        self._check = index.check_document if isinstance(index, ChecksDocuments) else None
        self._ledger = ledger
        self._places = None if ledger is None else Places(ledger, moved=moved)
        self._rejects = rejects
        self._recipe = recipe
        self._strict = strict
        self._reuses = keeps_vectors(index)

    def plan(self, items: Sequence[Read]) -> Iterator[Job]:
        """
        Return the documents to be written, noted as pending in the ledger.

        Raises:
            SourceError, DocumentError: At the first reject, if it is strict; or if a file would
                replace another one.
        """
        accepted = list(self._accepted(items))
        if self._ledger is None or self._places is None:
            for document, fingerprint in accepted:
                yield Job(document, fingerprint, encode=True)
            return
        places = self._places.check(document for document, _ in accepted)
        known = self._ledger.get([fingerprint.id for _, fingerprint in accepted])
        jobs: list[Job] = []
        unchanged: list[Fingerprint] = []
        for document, fingerprint in accepted:
            entry = known.get(fingerprint.id)
            if entry is not None and entry.seen:
                self.repeats.add(fingerprint.id)
            if entry is not None and self._is_same(entry, fingerprint):
                unchanged.append(fingerprint)
                known[fingerprint.id] = replace(entry, seen=True)
                continue
            same_text = entry is not None and self._has_vectors(entry, fingerprint)
            jobs.append(Job(document, fingerprint, encode=not (same_text and self._reuses)))
            known[fingerprint.id] = Entry(fingerprint, None, seen=True)
        pending = [job.fingerprint for job in jobs]
        self._ledger.plan(unchanged=unchanged, pending=pending, places=places)
        self.summary.unchanged += len(unchanged)
        yield from jobs

    def reject_document(self, document: Document, error: DocumentError) -> None:
        """
        Reject a document that the engine cannot hold; one that it has under this id stays.

        Raises:
            DocumentError: If it is strict.
        """
        if self._ledger is not None:
            self._ledger.seen([document.id])
        self.reject(_to_reject(document, error), error)

    def reject(self, reject: Reject, cause: DocumentError | None = None) -> None:
        """
        Count and write a reject.

        Raises:
            SourceError, DocumentError: If it is strict.
        """
        self.broken_sources.add(reject.source)
        if self._strict:
            raise SourceError(str(reject)) if cause is None else cause
        self._rejects.add(reject)
        self.summary.rejected += 1

    def _accepted(self, items: Sequence[Read]) -> Iterator[tuple[Document, Fingerprint]]:
        for item, fingerprint in items:
            if isinstance(item, Reject):
                self.reject(item)
                continue
            if fingerprint is None:
                raise TypeError(f"documents or rejects are wanted, not {item!r:.200}")
            self.summary.read += 1
            try:
                if self._check is not None:
                    self._check(item)
            except DocumentError as error:
                self.reject_document(item, error)
            else:
                yield item, fingerprint

    def _is_same(self, entry: Entry, fingerprint: Fingerprint) -> bool:
        same_metadata = entry.fingerprint.metadata == fingerprint.metadata
        return same_metadata and self._has_vectors(entry, fingerprint)

    def _has_vectors(self, entry: Entry, fingerprint: Fingerprint) -> bool:
        return entry.recipe == self._recipe and entry.fingerprint.text == fingerprint.text


def _to_reject(document: Document, error: Exception) -> Reject:
    """Return the reject of a document that an engine cannot hold."""
    if isinstance(document, SourceDocument):
        return Reject(document.source, document.line, str(error))
    return Reject(document.id, None, str(error))


def keeps_vectors(index: HybridIndex) -> bool:
    """Tell whether vectors that are read and written again stay the same: pooled ones do not."""
    manifest = manifest_of(index)
    return "colbert" not in index.reps or manifest is None or manifest.colbert.pool_factor == 1
