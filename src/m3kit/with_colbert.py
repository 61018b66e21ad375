"""ColBERT for an index that stores none: made from the texts when a search needs it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from m3kit._batching import batched
from m3kit.adapters.ranking import Scorer, rank, to_hits
from m3kit.adapters.storage import ColbertStorage
from m3kit.encoder import Encoder
from m3kit.filters import Filter, Ids
from m3kit.fusion import Ranking
from m3kit.index import (
    ChecksDocuments,
    HybridIndex,
    RepresentationError,
    Search,
    check_model,
    check_records,
    check_search,
)
from m3kit.records import Document, Hit, Record
from m3kit.scoring import maxsim, require
from m3kit.vectors import Floats, Rep

_BATCH = 64
"""How many texts are encoded at once when ColBERT scans."""


class WithColbert:
    """
    An index without ColBERT, and an encoder that adds it when a query asks for it.

    The answers are those of an index that holds ColBERT; only the cost differs: the texts of the
    candidates are encoded for each search, `Search.candidates` of them in a hybrid search, and
    **all that match** for ColBERT alone or for `scan(reps=("colbert",))`. A `CachedEncoder` saves
    the repeats.

    Args:
        index: Where the documents live.
        encoder: The model that made the index's vectors.
        colbert: The form in which an index would store ColBERT vectors, to answer as that index
            does.

    Raises:
        RepresentationError: If the encoder has no ColBERT.
        ModelMismatchError: If the index was made by another model.
    """

    def __init__(
        self,
        index: HybridIndex,
        encoder: Encoder,
        *,
        colbert: ColbertStorage = ColbertStorage(),  # noqa: B008  # frozen, so one default serves all
    ) -> None:
        if "colbert" not in encoder.reps:
            raise RepresentationError(
                f"{encoder.model} makes no ColBERT vectors; use a model that does"
            )
        check_model(index.model, encoder.model, "the index")
        self._index = index
        self._encoder = encoder
        self._colbert = colbert

    @property
    def reps(self) -> frozenset[Rep]:
        """What the index holds, and ColBERT."""
        return self._index.reps | {"colbert"}

    @property
    def model(self) -> str | None:
        """What makes the vectors, where the index was told."""
        return self._index.model

    def check_document(self, document: Document, /) -> None:
        """Check that the index can hold a document; see `ChecksDocuments`."""
        if isinstance(self._index, ChecksDocuments):
            self._index.check_document(document)

    def upsert(self, records: Sequence[Record], /) -> None:
        """Write records without their ColBERT vectors; see `HybridIndex.upsert`."""
        self._index.upsert(check_records(records, reps=self.reps, dim=self._encoder.dim))

    def search(self, search: Search, /) -> list[Hit]:
        """Search, encoding what ColBERT is to score; see `HybridIndex.search`."""
        check_search(search, reps=self.reps, dim=self._encoder.dim)
        if "colbert" not in search.query.reps:
            return self._index.search(search)
        scorer = _Composed(self._index, self._colbert_of, search)
        ranked = rank(scorer, search)
        documents = scorer.documents([entry.name for entry in ranked])
        return to_hits(ranked, documents, search)

    def get(self, ids: Sequence[str], /, reps: Collection[Rep] = ()) -> list[Record]:
        """Return records, with ColBERT made from their texts; see `HybridIndex.get`."""
        records = self._index.get(ids, _without_colbert(reps))
        return self._encoded(records) if "colbert" in reps else records

    def scan(self, where: Filter | None = None, /, reps: Collection[Rep] = ()) -> Iterator[Record]:
        """Stream records, with ColBERT made from their texts; see `HybridIndex.scan`."""
        records = self._index.scan(where, _without_colbert(reps))
        if "colbert" not in reps:
            return records
        return (record for batch in batched(records, _BATCH) for record in self._encoded(batch))

    def delete(self, ids: Sequence[str], /) -> None:
        """Delete the documents of these ids; see `HybridIndex.delete`."""
        self._index.delete(ids)

    def delete_where(self, where: Filter, /) -> None:
        """Delete what matches; see `HybridIndex.delete_where`."""
        self._index.delete_where(where)

    def count(self, where: Filter | None = None, /) -> int:
        """Count what matches; see `HybridIndex.count`."""
        return self._index.count(where)

    def flush(self) -> None:
        """Return when what was written is durable; see `HybridIndex.flush`."""
        self._index.flush()

    def _encoded(self, records: Sequence[Record]) -> list[Record]:
        vectors = self._colbert_of([record.document for record in records])
        return [
            Record(record.document, replace(record.output, colbert=colbert))
            for record, colbert in zip(records, vectors, strict=True)
        ]

    def _colbert_of(self, documents: Sequence[Document]) -> list[Floats]:
        """Make the ColBERT vectors of documents, in the form that an index would store."""
        texts = [document.text for document in documents]
        outputs = self._encoder.encode_documents(texts, ["colbert"])
        return [self._colbert.stored(require(output.colbert, "colbert")) for output in outputs]


@dataclass(frozen=True, slots=True)
class _Composed(Scorer):
    """The scorer behind a search: the index's own branches, and MaxSim over encoded texts."""

    index: HybridIndex
    colbert: Callable[[Sequence[Document]], list[Floats]]
    search: Search
    seen: dict[str, Document] = field(default_factory=dict)
    scanned: list[tuple[str, float]] = field(default_factory=list)
    """Every document that matches with its ColBERT score, once they were scanned."""

    def nearest(self, limits: Mapping[Rep, int]) -> Mapping[Rep, Ranking]:
        return {
            rep: self._scan()[:limit]
            if rep == "colbert"
            else self._searched(rep, limit, self.search.where)
            for rep, limit in limits.items()
        }

    def scores(self, ids_by_rep: Mapping[Rep, Sequence[str]]) -> Mapping[Rep, Mapping[str, float]]:
        return {
            rep: dict(
                self._maxsim(list(self.documents(ids).values()))
                if rep == "colbert"
                else self._searched(rep, len(ids), Ids(tuple(ids)))
            )
            for rep, ids in ids_by_rep.items()
        }

    def documents(self, ids: Sequence[str]) -> dict[str, Document]:
        """Return the documents of these ids that there are; those not seen yet are asked for."""
        new = [id_ for id_ in ids if id_ not in self.seen]
        records = self.index.get(new) if new else []
        self.seen.update({record.document.id: record.document for record in records})
        return {id_: self.seen[id_] for id_ in ids if id_ in self.seen}

    def _searched(self, rep: Rep, limit: int, where: Filter | None) -> Ranking:
        search = Search(
            query=self.search.query.only(rep), k=limit, where=where, exact=self.search.exact
        )
        hits = self.index.search(search)
        self.seen.update({hit.document.id: hit.document for hit in hits})
        return [(hit.document.id, hit.score) for hit in hits]

    def _scan(self) -> Ranking:
        if not self.scanned:
            for batch in batched(self.index.scan(self.search.where), _BATCH):
                self.scanned.extend(self._maxsim([record.document for record in batch]))
            self.scanned.sort(key=lambda pair: (-pair[1], pair[0]))
        return self.scanned

    def _maxsim(self, documents: Sequence[Document]) -> list[tuple[str, float]]:
        query = require(self.search.query.colbert, "colbert")
        scores = maxsim(query, self.colbert(documents))
        return [
            (document.id, score) for document, score in zip(documents, scores.tolist(), strict=True)
        ]


def _without_colbert(reps: Collection[Rep]) -> list[Rep]:
    return [rep for rep in reps if rep != "colbert"]
