"""
Indexing on a Ray cluster: sources are read here, encoded and written by workers.

    with open_index("qdrant://host:6333/papers", encoder=encoder) as index:
        sync_on_ray(load, encoder, index, "qdrant://host:6333/papers", read_sources(["docs"]))

This process reads, compares with the ledger and keeps it, as `sync` does. Each worker has a model
and a connection to the index. A worker that is killed is started again, and what it had not
acknowledged is written again, under the same ids. If this process is killed, the run is repeated,
as ever: a document is in the ledger when the index has flushed it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import ray

from m3kit._batching import batched
from m3kit._overlap import prefetched
from m3kit.encoder import Encoder
from m3kit.index import DocumentError, HybridIndex, VectorError, check_count, open_index
from m3kit.ingest.documents import Reject
from m3kit.ingest.fingerprints import with_fingerprints
from m3kit.ingest.ledger import Ledger
from m3kit.ingest.planning import Job
from m3kit.ingest.rejects import RejectsFile
from m3kit.ingest.retries import Retries
from m3kit.ingest.signals import stop_signals
from m3kit.ingest.summary import Summary
from m3kit.ingest.syncing import Run
from m3kit.records import Document, Record
from m3kit.retriever import Retriever
from m3kit.vectors import Rep

_RESTARTS = 10
"""How often a worker is started again, and a batch given to it again."""

_AHEAD = 2
"""How many batches a worker has at a time, so that it need not wait for the next."""

_READ_AHEAD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """
    What encodes and writes.

    Args:
        count: How many there are; None is one for each GPU of the cluster, or else for each core.
        gpus: How many GPUs a worker has, or what share of one.
        cpus: How many cores a worker has.
    """

    count: int | None = None
    gpus: float = 0.0
    cpus: float = 1.0

    def resolved(self) -> Workers:
        """Return how many there are on the cluster that is connected."""
        if self.count is not None:
            return self
        resources = ray.cluster_resources()
        if gpus := int(resources.get("GPU", 0)):
            return Workers(count=gpus, gpus=self.gpus or 1.0, cpus=self.cpus)
        return Workers(count=max(1, int(resources.get("CPU", 1) // self.cpus)), cpus=self.cpus)


def sync_on_ray(
    load: Callable[[], Encoder],
    encoder: Encoder,
    index: HybridIndex,
    address: str,
    documents: Iterable[Document | Reject],
    *,
    workers: Workers | None = None,
    ledger: Ledger | None = None,
    chunking: str = "",
    prune: bool = False,
    strict: bool = False,
    moved: bool = False,
    rejects: RejectsFile | None = None,
    batch_size: int = 128,
    checkpoint_seconds: float = 10.0,
    on_progress: Callable[[Summary], object] | None = None,
) -> Summary:
    """
    Write documents to an index by a cluster; see `m3kit.ingest.sync`.

    Args:
        load: Loads the model in each worker; it is pickled.
        encoder: The same model here, which tells what is encoded by it.
        index: The index, open here.
        address: Where each worker opens it: on a server.
        documents: Documents and rejects.
        workers: How many there are, and what each has.
        ledger: What the index holds; None writes every document.
        chunking: How the documents were split.
        prune: Whether to delete what is not among `documents`.
        strict: Whether to stop at the first reject.
        moved: Whether files take the place of others that are still there.
        rejects: Where rejects are written.
        batch_size: How many documents a worker encodes and writes at once.
        checkpoint_seconds: After how many seconds the index is flushed, and the ledger says so.
        on_progress: Called after each batch with the counts so far.

    Raises:
        ValueError: If the index is in files, which one process alone can write; or as `sync` says.
        Exception: As `sync` says; and Ray's own, of a worker that cannot be started.
    """
    scheme, separator, _ = address.partition("://")
    if not separator or scheme == "file":
        raise ValueError(
            f"{address} is in files, which one process alone can write; index into a server "
            "(qdrant://, milvus://, vespa://), or without Ray"
        )
    run = _RayRun(
        Retriever(encoder, index),
        ledger,
        chunking=chunking,
        prune=prune,
        strict=strict,
        moved=moved,
        rejects=rejects,
        checkpoint_seconds=checkpoint_seconds,
        on_progress=on_progress,
    )
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    run.pool = _Pool(load, address, index.reps, (workers or Workers()).resolved())
    with stop_signals(), closing(run.pool):
        return run(documents, check_count(batch_size, "batch_size"))


class _RayRun(Run):
    """A run whose batches workers write."""

    pool: _Pool

    def _write_all(self, documents: Iterable[Document | Reject], batch_size: int) -> None:
        read = map(with_fingerprints, batched(documents, batch_size))
        groups = prefetched(read, ahead=_READ_AHEAD)
        with closing(groups):
            for batch in batched(self._jobs(groups), batch_size):
                latest = {job.document.id: job for job in batch}
                while self.pool.is_full or self.pool.holds(latest):
                    self._acknowledge(*self.pool.take())
                self.pool.give(list(latest.values()))
            while self.pool.is_busy:
                self._acknowledge(*self.pool.take())

    def _acknowledge(self, batch: Sequence[Job], errors: Sequence[str | None]) -> None:
        """Note what was written; what the engine cannot hold is rejected."""
        written = []
        for job, error in zip(batch, errors, strict=True):
            if error is None:
                written.append(job)
            else:
                self._planner.reject_document(job.document, DocumentError(error))
        self._writer.count_written(written)
        self._report()


class _Pool:
    """Workers, the batches that they have, and the ids of these."""

    def __init__(
        self, load: Callable[[], Encoder], address: str, reps: Collection[Rep], workers: Workers
    ) -> None:
        remote = ray.remote(
            num_cpus=workers.cpus,
            num_gpus=workers.gpus,
            max_restarts=_RESTARTS,
            max_task_retries=_RESTARTS,
        )(_Worker)
        count = workers.count or 1
        self._workers = [remote.remote(load, address, sorted(reps)) for _ in range(count)]
        self._free = self._workers * _AHEAD
        self._batches: dict[Any, tuple[Any, list[Job]]] = {}
        self._ids: set[str] = set()

    @property
    def is_full(self) -> bool:
        """Whether every worker has as many batches as it may."""
        return not self._free

    @property
    def is_busy(self) -> bool:
        """Whether a worker has a batch."""
        return bool(self._batches)

    def holds(self, ids: Iterable[str]) -> bool:
        """Tell whether a worker has one of these documents: of two, the later is to win."""
        return not self._ids.isdisjoint(ids)

    def give(self, batch: list[Job]) -> None:
        """Give a batch to a worker."""
        worker = self._free.pop(0)
        self._batches[worker.write.remote(batch)] = worker, batch
        self._ids.update(job.document.id for job in batch)

    def take(self) -> tuple[list[Job], list[str | None]]:
        """Wait for a batch, and return it with the error of each document that was refused."""
        (done, *_), _ = ray.wait(list(self._batches))
        worker, batch = self._batches.pop(done)
        self._free.append(worker)
        errors = ray.get(done)
        self._ids.difference_update(job.document.id for job in batch)
        return batch, errors

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            ray.kill(worker)


class _Worker:
    """
    Encodes and writes.

    Args:
        load: Loads the model.
        address: Where the index is.
        reps: What it holds.
    """

    def __init__(self, load: Callable[[], Encoder], address: str, reps: Collection[Rep]) -> None:
        encoder = load()
        self._index = open_index(address, encoder=encoder, reps=reps)
        self._retriever = Retriever(encoder, self._index)
        self._retries = Retries()

    def write(self, batch: Sequence[Job]) -> list[str | None]:
        """Write a batch, and return why each document was refused, or None."""
        records = self._records(batch)
        try:
            self._store(records)
        except (DocumentError, VectorError):
            return [self._refusal(record) for record in records]
        return [None] * len(batch)

    def _records(self, batch: Sequence[Job]) -> list[Record]:
        """Take the vectors that the index has where texts are the same; encode the others."""
        same = [job.document.id for job in batch if not job.encode]
        stored = {
            record.document.id: record.output
            for record in (self._index.get(same, self._index.reps) if same else ())
            if record.output.reps >= self._index.reps
        }
        new = [job.document for job in batch if job.document.id not in stored]
        encoded = iter(self._retriever.encode(new) if new else ())
        return [
            Record(job.document, stored[job.document.id])
            if job.document.id in stored
            else next(encoded)
            for job in batch
        ]

    def _store(self, records: Sequence[Record]) -> None:
        self._retries.call(self._index, self._index.upsert, records)

    def _refusal(self, record: Record) -> str | None:
        try:
            self._store([record])
        except (DocumentError, VectorError) as error:
            return str(error)
        return None
