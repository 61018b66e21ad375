"""The Scorer of `m3kit.adapters.ranking`: questions about one query and one filter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from m3kit._batching import batched
from m3kit.adapters.store import PAGE, Searcher
from m3kit.fusion import Ranking, by_score
from m3kit.index import Search
from m3kit.records import Document
from m3kit.scoring import scores
from m3kit.vectors import M3Output, Rep
from m3kit_milvus.client import CollectionClient, Key
from m3kit_milvus.layout import Layout
from m3kit_milvus.options import COMPLETE, is_approximate
from m3kit_milvus.vectors import to_output, to_query, to_score

_MAX_HITS = 16_384
"""How many hits a server returns; for more, every document is scored here."""

_TIE = 5e-7
"""How far apart, relatively, two scores of equal vectors may be: some roundings of float32."""


class MilvusSearcher(Searcher):
    """
    A search in one collection; documents are named by their ids.

    The engine finds and scores. What may tie is scored again by `m3kit.scoring`: engines sum in
    orders of their own, in which equal vectors need not be equal to the last bit. So is all that
    an index of less than the vectors has scored.

    Args:
        client: Calls the collection.
        layout: How documents lie in it.
        search: The request.
        where: The filter, in Milvus' words.
    """

    score_error = 1e-6

    def __init__(
        self, client: CollectionClient, layout: Layout, search: Search, where: str
    ) -> None:
        self._client = client
        self._layout = layout
        self._query: M3Output = search.query
        self._exact = search.exact is True
        self._where = where
        self._documents: dict[str, Document] = {}

    def nearest(self, limits: Mapping[Rep, int], /) -> Mapping[Rep, Ranking]:
        """Return the nearest of each representation; see `Scorer.nearest`."""
        return {
            rep: self._scan(rep, limit)
            if limit > _MAX_HITS or (self._exact and self._may_miss(rep))
            else self._nearest(rep, limit)
            for rep, limit in limits.items()
        }

    def scores(self, wanted: Mapping[Rep, Sequence[str]], /) -> Mapping[Rep, Mapping[str, float]]:
        """Score given documents; see `Scorer.scores`."""
        return {
            rep: self._maxsims(ids) if rep == "colbert" else dict(self._scores(rep, ids))
            for rep, ids in wanted.items()
        }

    def documents(self, names: Sequence[str], /) -> Mapping[str, Document]:
        """Return documents; those that a search has brought along are not read again."""
        unread = [name for name in names if name not in self._documents]
        for page in batched(self._layout.keys(unread), PAGE):
            where = self._layout.has_keys(page)
            self._keep(self._client.query(where, self._layout.document_fields))
        return {name: self._documents[name] for name in names if name in self._documents}

    def _may_miss(self, rep: Rep) -> bool:
        column = self._layout.columns[rep]
        return rep == "dense" and column.index_type not in COMPLETE

    def _keep(self, rows: Iterable[Mapping[str, object]]) -> None:
        documents = map(self._layout.to_document, rows)
        self._documents |= {document.id: document for document in documents}

    def _nearest(self, rep: Rep, limit: int) -> Ranking:
        """
        Search by the engine.

        A query of one representation brings its documents along, as does a filter that is verified.
        """
        verified = self._layout.has_terms and bool(self._where)
        documents = verified or len(self._query.reps) == 1
        return self._search(rep, self._where, limit, documents=documents)

    def _search(self, rep: Rep, where: str, limit: int, *, documents: bool = False) -> Ranking:
        """Search by the engine, and score again what it leaves unsure."""
        layout, dtype = self._layout, self._layout.manifest.colbert.dtype
        column = layout.columns[rep]
        answers = self._client.search(
            column.anns_field,
            to_query(self._query, rep, dtype),
            {"metric_type": column.metric, "params": dict(column.search_params)},
            where=where,
            limit=limit,
            fields=layout.document_fields if documents else layout.id_fields,
        )
        if documents:
            self._keep(row for _, row in answers)
        ranking = by_score(
            (layout.to_id(row), to_score(distance, column.metric, self._query, dtype))
            for distance, row in answers
        )
        approximate = is_approximate(column.index_type, column.search_params)
        unsure = [id_ for id_, _ in ranking] if approximate else _tied(ranking)
        exact = dict(self._scores(rep, unsure)) if unsure else {}
        scored = [(id_, exact.get(id_, score)) for id_, score in ranking]
        return [pair for pair in scored if rep != "sparse" or pair[1] > 0]

    def _maxsims(self, ids: Sequence[str]) -> Mapping[str, float]:
        """Score by the engine, which reads the many vectors where they are; the rest here."""
        where = self._layout.has_keys(self._layout.keys(ids))
        maxsims = dict(self._search("colbert", where, len(ids)))
        missing = [id_ for id_ in ids if id_ not in maxsims]
        return {**maxsims, **dict(self._scores("colbert", missing) if missing else ())}

    def _scan(self, rep: Rep, limit: int) -> Ranking:
        """Score every document that matches: for more hits than a server returns."""
        best: Ranking = []
        rows = self._client.stream(self._where, [self._layout.id_field])
        for page in batched((row[self._layout.id_field] for row in rows), PAGE):
            best = by_score([*best, *self._scores_of_keys(rep, page)])[:limit]
        return best

    def _scores(self, rep: Rep, ids: Sequence[str]) -> Iterator[tuple[str, float]]:
        for page in batched(self._layout.keys(ids), PAGE):
            yield from self._scores_of_keys(rep, page)

    def _scores_of_keys(self, rep: Rep, keys: Sequence[Key]) -> Iterator[tuple[str, float]]:
        layout = self._layout
        fields = [*layout.id_fields, layout.columns[rep].field]
        rows = self._client.query(layout.has_keys(keys), fields)
        dtype = layout.manifest.colbert.dtype
        outputs = [to_output(row, layout.columns, [rep], dtype) for row in rows]
        exact = scores(rep, self._query, outputs).tolist()
        for row, score in zip(rows, exact, strict=True):
            if rep != "sparse" or score:
                yield layout.to_id(row), score


def _tied(ranking: Ranking) -> list[str]:
    """Return those whose scores are too near to another's to tell which is higher."""
    near = {
        id_
        for (first, high), (second, low) in pairwise(ranking)
        if high - low <= _TIE * max(1.0, abs(high))
        for id_ in (first, second)
    }
    return [id_ for id_, _ in ranking if id_ in near]
