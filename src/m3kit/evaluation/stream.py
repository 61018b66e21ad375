"""Reading a corpus once: encoded in batches, written to an index, searched exactly."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic
from typing import Any

import numpy as np

from m3kit._batching import batched
from m3kit._truncation import aggregate_warnings
from m3kit.encoder import Encoder
from m3kit.evaluation.dataset import Dataset, EvaluationError
from m3kit.evaluation.exact import ExactSearch
from m3kit.evaluation.work import WorkFolder
from m3kit.index import HybridIndex
from m3kit.records import Document, Record
from m3kit.vectors import REPS, M3Output, Rep


@dataclass(slots=True)
class Totals:
    """
    What was read so far.

    Args:
        documents: How many.
        seconds: What encoding took.
        nbytes: The bytes of all vectors, by representation.
        last: The id of the last document.
    """

    documents: int = 0
    seconds: float = 0.0
    nbytes: dict[Rep, int] = field(default_factory=dict)
    last: str = ""

    @property
    def milliseconds_per_document(self) -> float | None:
        """What encoding took, where documents were encoded."""
        return 1000 * self.seconds / self.documents if self.documents else None

    def bytes_per_document(self, reps: Collection[Rep]) -> float | None:
        """Return the mean size of the vectors of `reps`, where documents were encoded."""
        if not self.documents:
            return None
        return sum(self.nbytes.get(rep, 0) for rep in reps) / self.documents

    def to_arrays(self) -> dict[str, Any]:
        """Return it for `numpy.savez`."""
        sizes = [self.nbytes.get(rep, 0) for rep in REPS]
        return {
            "documents": np.array(self.documents),
            "seconds": np.array(self.seconds),
            "nbytes": np.array(sizes, dtype=np.int64),
            "last": np.frombuffer(self.last.encode(), dtype=np.uint8),
        }

    @classmethod
    def from_arrays(cls, stored: Mapping[str, Any]) -> Totals:
        """Read what `to_arrays` gave."""
        return cls(
            int(stored["documents"]),
            float(stored["seconds"]),
            {rep: size for rep, size in zip(REPS, stored["nbytes"].tolist(), strict=True) if size},
            stored["last"].tobytes().decode(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """
    One pass over a corpus.

    Args:
        encoder: What makes the vectors.
        exact: What searches them, if it is wanted.
        index: What they are written to, if it is wanted.
        batch_size: How many documents are encoded at once.
        checkpoint_seconds: After how long the state is written anew.
        on_batch: Told how many documents are done.
    """

    encoder: Encoder
    exact: ExactSearch | None
    index: HybridIndex | None
    batch_size: int
    checkpoint_seconds: float
    on_batch: Callable[[int], None] | None

    def read(self, dataset: Dataset, work: WorkFolder) -> Totals:
        """
        Read what was not read before.

        Raises:
            EvaluationError: If the corpus has changed since then.
        """
        totals = Totals()
        if self.exact is None and self.index is None:
            return totals
        if (stored := work.load_stream()) is not None:
            totals = Totals.from_arrays(stored)
            if self.exact is not None:
                self.exact.load(stored)
        saved = monotonic()
        with aggregate_warnings():
            for batch in batched(_after(dataset, totals), self.batch_size):
                self._take(batch, totals)
                if self.on_batch is not None:
                    self.on_batch(totals.documents)
                if monotonic() - saved >= self.checkpoint_seconds:
                    self._save(work, totals)
                    saved = monotonic()
        self._save(work, totals)
        return totals

    def _take(self, batch: list[Document], totals: Totals) -> None:
        start = monotonic()
        outputs = self.encoder.encode_documents([document.text for document in batch], self._reps())
        totals.seconds += monotonic() - start
        if self.index is not None:
            self.index.upsert([Record(*pair) for pair in zip(batch, outputs, strict=True)])
        if self.exact is not None:
            self.exact.add([document.id for document in batch], outputs)
        for rep, size in _sizes(outputs).items():
            totals.nbytes[rep] = totals.nbytes.get(rep, 0) + size
        totals.documents += len(batch)
        totals.last = batch[-1].id

    def _reps(self) -> Collection[Rep]:
        wanted: set[Rep] = set(self.exact.reps) if self.exact is not None else set()
        if self.index is not None:
            wanted |= self.index.reps
        return [rep for rep in REPS if rep in wanted]

    def _save(self, work: WorkFolder, totals: Totals) -> None:
        if self.index is not None:
            self.index.flush()
        with work.replacing_stream() as path:
            if self.exact is not None:
                self.exact.save(path, **totals.to_arrays())
            else:
                np.savez(path, **totals.to_arrays())


def _after(dataset: Dataset, totals: Totals) -> Iterator[Document]:
    """Pass over the documents that were read before."""
    documents = dataset.documents()
    read = deque(islice(documents, totals.documents), maxlen=1)
    if totals.documents and (not read or read[0].id != totals.last):
        raise EvaluationError(
            f"document {totals.documents:,} of {dataset.name} is another than before; the corpus "
            "has changed: evaluate it in another folder"
        )
    return documents


def _sizes(outputs: list[M3Output]) -> dict[Rep, int]:
    sizes: dict[Rep, int] = {}
    for output in outputs:
        for rep in output.reps:
            sizes[rep] = sizes.get(rep, 0) + output.only(rep).nbytes
    return sizes
