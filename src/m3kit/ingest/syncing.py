"""
Sources into an index, as a stream: read, compared with the ledger, encoded and written.

    with open_index("docs.index", encoder=encoder) as index, Ledger.beside(index) as ledger:
        summary = sync(encoder, index, read_sources(["docs"]), ledger=ledger, prune=True)

A thread reads, another encodes, and the caller's writes, so that the run takes about as long as
the slowest of the three alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from time import monotonic

from m3kit._batching import batched
from m3kit._overlap import overlapped, prefetched
from m3kit._truncation import aggregate_warnings
from m3kit.encoder import Encoder
from m3kit.index import HybridIndex, check_count
from m3kit.ingest.documents import Reject
from m3kit.ingest.fingerprints import Read, recipe, with_fingerprints
from m3kit.ingest.ledger import Ledger
from m3kit.ingest.planning import Job, Planner
from m3kit.ingest.pruning import prune_unseen
from m3kit.ingest.reconciling import reconcile
from m3kit.ingest.rejects import RejectsFile
from m3kit.ingest.retries import Retries
from m3kit.ingest.signals import stop_signals
from m3kit.ingest.summary import Summary
from m3kit.ingest.writing import Writer
from m3kit.records import Document, Record
from m3kit.retriever import Retriever

_LOOKED_UP = 256
"""How many documents are looked up in the ledger at once, if a batch is not smaller."""

_READ_AHEAD = 4
"""How many of these groups are read ahead."""

_ENCODED_AHEAD = 2
"""How many batches are encoded, or wait to be written, while one is written."""


def sync(
    encoder: Encoder,
    index: HybridIndex,
    documents: Iterable[Document | Reject],
    *,
    ledger: Ledger | None = None,
    chunking: str = "",
    prune: bool = False,
    strict: bool = False,
    moved: bool = False,
    rejects: RejectsFile | None = None,
    batch_size: int = 128,
    checkpoint_seconds: float = 10.0,
    retries: Retries | None = None,
    on_progress: Callable[[Summary], object] | None = None,
) -> Summary:
    """
    Write documents to an index, and with a ledger only those that changed.

    With a ledger, a document whose text, metadata, chunking and model are the same is skipped; one
    whose metadata alone changed is written with the vectors that it has. Documents that were at a
    place in a file, and are no longer, are deleted, if the file was read in whole. Of documents
    with one id the last is written, with a warning.

    A run may be killed at any moment and repeated: then every document is in the index once. In the
    main thread, Ctrl-C and SIGTERM flush what is written.

    Args:
        encoder: Encodes the documents.
        index: Is written, in this thread alone.
        documents: Documents and rejects, such as `read_sources` yields; read in another thread.
        ledger: What the index holds; None writes every document.
        chunking: How the documents were split; another way has all of them encoded again.
        prune: Whether to delete the documents of the ledger that are not among `documents`.
        strict: Whether to stop at the first reject.
        moved: Whether files take the place of others of the same path that are still there, which
            is otherwise an error.
        rejects: Where rejects are written; by default they are only counted.
        batch_size: How many documents are encoded and written at once.
        checkpoint_seconds: After how many seconds the index is flushed, and the ledger says so.
        retries: How errors of a store that may pass are met.
        on_progress: Called after each batch with the counts so far.

    Returns:
        What was done.

    Raises:
        SourceError, DocumentError: At the first reject, if `strict`. Also if documents would
            replace those of another file, which has the same path below its source.
        ValueError: If `prune` is asked for without a ledger.
        Stopped: If a signal stopped it.
        Exception: What the encoder, the index or reading raises, with a note of what was written.
    """
    run = Run(
        Retriever(encoder, index),
        ledger,
        chunking=chunking,
        prune=prune,
        strict=strict,
        moved=moved,
        rejects=rejects,
        checkpoint_seconds=checkpoint_seconds,
        retries=retries,
        on_progress=on_progress,
    )
    with stop_signals():
        return run(documents, check_count(batch_size, "batch_size"))


class Run:
    """One call of `sync`."""

    def __init__(
        self,
        retriever: Retriever,
        ledger: Ledger | None,
        *,
        chunking: str,
        prune: bool,
        strict: bool,
        moved: bool,
        rejects: RejectsFile | None,
        checkpoint_seconds: float,
        retries: Retries | None = None,
        on_progress: Callable[[Summary], object] | None,
    ) -> None:
        if prune and ledger is None:
            raise ValueError(
                "prune needs a ledger, which knows what was written before; give ledger="
            )
        self.summary = Summary()
        self._retriever = retriever
        self._index = retriever.index
        self._ledger = ledger
        self._prune = prune
        self._retries = Retries() if retries is None else retries
        self._on_progress = on_progress
        self._started = monotonic()
        way = recipe(retriever.encoder.model, chunking)
        self._planner = Planner(
            self._index,
            ledger,
            self.summary,
            RejectsFile(None) if rejects is None else rejects,
            recipe=way,
            strict=strict,
            moved=moved,
        )
        self._writer = Writer(
            retriever,
            ledger,
            self._planner,
            self._retries,
            recipe=way,
            checkpoint_seconds=checkpoint_seconds,
        )

    def __call__(self, documents: Iterable[Document | Reject], batch_size: int) -> Summary:
        """Do it; see `sync`."""
        try:
            if self._ledger is not None:
                lost = self._retries.call(self._index, reconcile, self._index, self._ledger)
                self.summary.recovered = lost
            self._write_all(documents, batch_size)
            self._writer.checkpoint()
            if self._ledger is not None:
                self._finish(self._ledger)
        except BaseException as error:
            self._stop(error)
            raise
        self._planner.repeats.log()
        self._report()
        return self.summary

    def _write_all(self, documents: Iterable[Document | Reject], batch_size: int) -> None:
        read = map(with_fingerprints, batched(documents, min(_LOOKED_UP, batch_size)))
        groups = prefetched(read, ahead=_READ_AHEAD)
        with aggregate_warnings(), closing(groups):
            jobs = batched(self._jobs(groups), batch_size)
            encoded = overlapped(self._encode, jobs, threads=1, ahead=_ENCODED_AHEAD, wait=False)
            with closing(encoded):
                for batch, records in encoded:
                    self._writer.write(batch, records)
                    self._report()

    def _jobs(self, groups: Iterable[Sequence[Read]]) -> Iterator[Job]:
        for group in groups:
            yield from self._planner.plan(group)
            self._report()

    def _encode(self, batch: list[Job]) -> tuple[list[Job], list[Record]]:
        new = [job.document for job in batch if job.encode]
        return batch, self._retriever.encode(new) if new else []

    def _finish(self, ledger: Ledger) -> None:
        self.summary.deleted = prune_unseen(
            self._index,
            ledger,
            self._retries,
            unread=self._planner.broken_sources,
            everything=self._prune,
        )
        ledger.end(self._retries.call(self._index, self._index.count))

    def _stop(self, error: BaseException) -> None:
        """Have what was written survive, where the index still answers."""
        with suppress(Exception):  # what failed first is what is raised
            self._writer.checkpoint(last=True)
        written = self.summary.written
        noun = "document was" if written == 1 else "documents were"
        error.add_note(f"{written} {noun} written before; run it again to go on")

    def _report(self) -> None:
        self.summary.retries = self._retries.count
        self.summary.seconds = monotonic() - self._started
        if self._on_progress is not None:
            self._on_progress(self.summary)
