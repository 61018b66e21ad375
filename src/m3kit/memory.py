"""The reference index: exact, in memory, and the oracle that every store is held against."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from m3kit.adapters.manifest import IndexRequest, Manifest
from m3kit.adapters.ranking import Scorer, rank, to_hits
from m3kit.adapters.storage import ColbertStorage
from m3kit.encoder import Encoder
from m3kit.filters import Filter, check_filter, matches
from m3kit.fusion import Ranking, by_score
from m3kit.index import Search, check_ids, check_records, check_reps, check_search
from m3kit.records import Document, Hit, Record
from m3kit.scoring import scores
from m3kit.vectors import M3Output, Rep


class MemoryIndex:
    """
    Scores every record against the query. Threads may share it.

    Args:
        dim: The width of the vectors; None takes it from the first record.
        encoder: What makes the vectors. It supplies `dim`, `model` and `reps`.
        reps: The representations it holds.
        model: Without an encoder: what makes the vectors, as `Encoder.model` says.
        colbert: How the documents' ColBERT vectors are stored, and so what they are scored by.
    """

    def __init__(
        self,
        dim: int | None = None,
        *,
        encoder: Encoder | None = None,
        reps: Collection[Rep] | None = None,
        model: str | None = None,
        colbert: ColbertStorage = ColbertStorage(),  # noqa: B008  # frozen, so one default serves all
    ) -> None:
        request = IndexRequest.of(encoder, dim=dim, reps=reps, model=model, colbert=colbert)
        self._dim = request.dim
        self._id = os.urandom(16).hex()
        self._reps = request.reps
        self._model = request.model
        self._colbert = colbert
        self._records: dict[str, Record] = {}

    @property
    def reps(self) -> frozenset[Rep]:
        """The representations it holds."""
        return self._reps

    @property
    def model(self) -> str | None:
        """What makes the vectors, where it was told."""
        return self._model

    @property
    def manifest(self) -> Manifest | None:
        """What it records about itself, once it knows the width."""
        if self._dim is None:
            return None
        return Manifest(self._dim, self._reps, self._model, self._colbert, self._id)

    def upsert(self, records: Sequence[Record], /) -> None:
        """Write copies of the records; see `HybridIndex.upsert`."""
        dim = self._dim or _width(records)
        checked = check_records(records, reps=self._reps, dim=dim)
        self._dim = dim
        self._records |= {
            record.document.id: Record(record.document, self._stored(record.output))
            for record in checked
        }

    def search(self, search: Search, /) -> list[Hit]:
        """Rank by the exact score of every record; see `HybridIndex.search`."""
        check_search(search, reps=self._reps, dim=self._dim)
        records = {record.document.id: record for record in self._matching(search.where)}
        scorer = _Exact(search.query, records)
        ranked = rank(scorer, search)
        documents = scorer.documents([entry.name for entry in ranked])
        return to_hits(ranked, {id_: _copied(of) for id_, of in documents.items()}, search)

    def get(self, ids: Sequence[str], /, reps: Collection[Rep] = ()) -> list[Record]:
        """Return records in the order asked; see `HybridIndex.get`."""
        ids = check_ids(ids)
        check_reps(reps, available=self._reps)
        return [_with(self._records[id_], reps) for id_ in ids if id_ in self._records]

    def scan(self, where: Filter | None = None, /, reps: Collection[Rep] = ()) -> Iterator[Record]:
        """Stream what matches now; see `HybridIndex.scan`."""
        check_reps(reps, available=self._reps)
        return (_with(record, reps) for record in self._matching(where))

    def delete(self, ids: Sequence[str], /) -> None:
        """Delete the documents of these ids; see `HybridIndex.delete`."""
        for id_ in check_ids(ids):
            self._records.pop(id_, None)

    def delete_where(self, where: Filter, /) -> None:
        """Delete what matches; see `HybridIndex.delete_where`."""
        check_filter(where)
        self.delete([record.document.id for record in self._matching(where)])

    def count(self, where: Filter | None = None, /) -> int:
        """Count what matches; see `HybridIndex.count`."""
        return len(self._matching(where))

    def flush(self) -> None:
        """Do nothing: memory is as durable as it gets."""

    def _stored(self, output: M3Output) -> M3Output:
        return self._colbert.stored_output(output.only(*self._reps)).copy()

    def _matching(self, where: Filter | None) -> list[Record]:
        if where is not None:
            check_filter(where)
        records = list(self._records.values())
        return [record for record in records if where is None or matches(where, record.document)]


@dataclass(frozen=True, slots=True)
class _Exact(Scorer):
    """The scorer behind a search: no index structure, every record compared."""

    query: M3Output
    records: Mapping[str, Record]

    def nearest(self, limits: Mapping[Rep, int]) -> Mapping[Rep, Ranking]:
        scores = self.scores({rep: list(self.records) for rep in limits})
        return {
            rep: by_score((id_, score) for id_, score in by_id.items() if rep != "sparse" or score)[
                : limits[rep]
            ]
            for rep, by_id in scores.items()
        }

    def scores(self, ids_by_rep: Mapping[Rep, Sequence[str]]) -> Mapping[Rep, Mapping[str, float]]:
        return {
            rep: dict(
                zip(
                    ids,
                    scores(rep, self.query, [self.records[id_].output for id_ in ids]).tolist(),
                    strict=True,
                )
            )
            for rep, ids in ids_by_rep.items()
        }

    def documents(self, ids: Sequence[str]) -> Mapping[str, Document]:
        return {id_: self.records[id_].document for id_ in ids}


def _width(records: Sequence[Record]) -> int | None:
    for record in records:
        for vectors in (record.output.dense, record.output.colbert):
            if vectors is not None:
                return int(vectors.shape[-1])
    return None


def _with(record: Record, reps: Collection[Rep]) -> Record:
    return Record(_copied(record.document), record.output.only(*reps))


def _copied(document: Document) -> Document:
    """Make a document whose metadata is nobody else's."""
    return Document(document.id, document.text, document.metadata)
