"""Writing to the index, and to the ledger what the index has flushed."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from m3kit.index import DocumentError, VectorError
from m3kit.ingest.fingerprints import Fingerprint
from m3kit.ingest.ledger import Ledger
from m3kit.ingest.planning import Job, Planner
from m3kit.ingest.retries import Retries
from m3kit.ingest.signals import shielded
from m3kit.records import Record
from m3kit.retriever import Retriever

_UNFLUSHED = 10_000
"""How many documents are written at most before the index is flushed."""


class Writer:
    """
    Writes batches, and flushes from time to time.

    Args:
        retriever: Has the index, and encodes what the index has lost.
        ledger: Is told what was flushed.
        planner: Takes what the engine cannot hold.
        retries: Calls the index.
        recipe: How documents are chunked and encoded.
        checkpoint_seconds: After how many seconds the index is flushed.
    """

    def __init__(
        self,
        retriever: Retriever,
        ledger: Ledger | None,
        planner: Planner,
        retries: Retries,
        *,
        recipe: str,
        checkpoint_seconds: float,
    ) -> None:
        self._retriever = retriever
        self._index = retriever.index
        self._ledger = ledger
        self._planner = planner
        self._summary = planner.summary
        self._retries = retries
        self._recipe = recipe
        self._seconds = checkpoint_seconds
        self._unflushed: list[Fingerprint] = []
        self._flushed = monotonic()

    def write(self, batch: Sequence[Job], encoded: Sequence[Record]) -> None:
        """
        Write a batch.

        Args:
            batch: The documents, in order.
            encoded: The records of those that were to be encoded.
        """
        outputs = iter(encoded)
        records = {
            place: next(outputs) for place, job in enumerate(batch) if job.encode
        } | self._reused(batch)
        ordered = [records[place] for place in range(len(batch))]
        try:
            self._retries.call(self._index, self._store, batch, ordered)
        except (DocumentError, VectorError):
            for job, record in zip(batch, ordered, strict=True):
                self._store_alone(job, record)
        if self._is_due():
            self.checkpoint()

    def count_written(self, batch: Sequence[Job]) -> None:
        """Count documents that another process has written; flush where that is due."""
        self._note(batch)
        if self._is_due():
            self.checkpoint()

    def checkpoint(self, *, last: bool = False) -> None:
        """Flush the index, and note it in the ledger; the `last` one does not wait for a server."""
        if last:
            with shielded():
                self._flush()
        else:
            self._retries.call(self._index, self._flush)

    def _store(self, batch: Sequence[Job], records: Sequence[Record]) -> None:
        """Write records, and count them before a signal is heard."""
        self._index.upsert(records)
        self._note(batch)

    def _is_due(self) -> bool:
        late = monotonic() - self._flushed > self._seconds
        return late or len(self._unflushed) >= _UNFLUSHED

    def _note(self, batch: Sequence[Job]) -> None:
        encoded = sum(job.encode for job in batch)
        self._summary.encoded += encoded
        self._summary.rewritten += len(batch) - encoded
        self._unflushed += [job.fingerprint for job in batch]

    def _store_alone(self, job: Job, record: Record) -> None:
        try:
            self._retries.call(self._index, self._store, [job], [record])
        except (DocumentError, VectorError) as error:
            cause = error if isinstance(error, DocumentError) else DocumentError(str(error))
            self._planner.reject_document(job.document, cause)

    def _flush(self) -> None:
        if self._unflushed or self._ledger is None:
            self._index.flush()
        if self._unflushed and self._ledger is not None:
            self._ledger.commit(self._unflushed, self._recipe)
        self._unflushed = []
        self._flushed = monotonic()

    def _reused(self, batch: Sequence[Job]) -> dict[int, Record]:
        """Take the vectors of documents whose metadata alone changed from the index."""
        places = {job.document.id: place for place, job in enumerate(batch) if not job.encode}
        if not places:
            return {}
        ids = list(places)
        stored = self._retries.call(self._index, self._index.get, ids, self._index.reps)
        outputs_by_id = {record.document.id: record.output for record in stored}
        records = {
            places[id_]: Record(batch[places[id_]].document, output)
            for id_, output in outputs_by_id.items()
            if output.reps >= self._index.reps
        }
        lost = [place for place in places.values() if place not in records]
        if lost:
            encoded = self._retriever.encode([batch[place].document for place in lost])
            records |= dict(zip(lost, encoded, strict=True))
        return records
