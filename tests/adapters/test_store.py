"""`StoreIndex` over a store whose engine knows no filter but ids: everything else is verified."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from m3kit import (
    Document,
    Eq,
    Filter,
    HybridIndex,
    Ids,
    M3Output,
    MemoryIndex,
    Not,
    Record,
    Rep,
    Search,
)
from m3kit._batching import batched
from m3kit.adapters.filter_translation import FilterExpression, translate
from m3kit.adapters.manifest import Manifest
from m3kit.adapters.store import Searcher, StoreIndex
from m3kit.filters import And, Leaf, Or
from m3kit.fusion import Ranking
from m3kit.testing import DIM, IndexConformance, query, records
from m3kit.vectors import REPS


class CoarseStore:
    """An engine over `MemoryIndex`, which is given no filter but `Ids`, and writes in pairs."""

    manifest = Manifest(DIM, frozenset(REPS), None)
    token_id_limit = 2**31

    def __init__(self) -> None:
        self.memory = MemoryIndex(DIM)
        self.fails_at: str | None = None

    def write(self, records: Sequence[Record], /) -> None:
        for batch in batched(records, 2):
            if self.fails_at in {record.document.id for record in batch}:
                raise OSError("the engine is gone")
            self.memory.upsert(batch)

    def translate(self, where: Filter, /) -> FilterExpression[Filter]:
        def leaf(part: Leaf) -> FilterExpression[Filter]:
            if isinstance(part, Ids):
                return FilterExpression(part)
            return FilterExpression(And(()), exact=False)

        return translate(
            where,
            leaf=leaf,
            all_of=lambda parts: And(tuple(parts)),
            any_of=lambda parts: Or(tuple(parts)),
            negate=Not,
        )

    def check(self, document: Document, /) -> None:
        """Every document fits into memory."""

    def prepare_search(self, search: Search, where: Filter | None, /) -> Searcher:
        return _CoarseSearcher(self.memory, search.query, where)

    def read(self, ids: Sequence[str], reps: Collection[Rep], /) -> Mapping[str, Record]:
        return {record.document.id: record for record in self.memory.get(ids, reps)}

    def scan(self, where: Filter | None, reps: Collection[Rep], /) -> Iterator[Record]:
        return self.memory.scan(where, reps)

    def delete(self, where: Filter, /) -> None:
        self.memory.delete_where(where)

    def count(self, where: Filter | None, /) -> int:
        return self.memory.count(where)

    def flush(self) -> None:
        """Nothing to do."""


@dataclass
class _CoarseSearcher(Searcher):
    memory: MemoryIndex
    query: M3Output
    where: Filter | None
    limits: list[int] = field(default_factory=list)

    def nearest(self, limits: Mapping[Rep, int], /) -> Mapping[Rep, Ranking]:
        return {rep: self._search(rep, limit, self.where) for rep, limit in limits.items()}

    def scores(
        self, names_by_rep: Mapping[Rep, Sequence[str]], /
    ) -> Mapping[Rep, Mapping[str, float]]:
        return {
            rep: dict(self._search(rep, len(names) or 1, Ids(tuple(names))))
            for rep, names in names_by_rep.items()
        }

    def documents(self, names: Sequence[str], /) -> Mapping[str, Document]:
        return {record.document.id: record.document for record in self.memory.get(names)}

    def _search(self, rep: Rep, limit: int, where: Filter | None) -> Ranking:
        hits = self.memory.search(Search(query=self.query.only(rep), k=limit, where=where))
        return [(hit.document.id, hit.score) for hit in hits]


class TestCoarseStore(IndexConformance):
    @pytest.fixture
    def index(self) -> HybridIndex:
        return StoreIndex(CoarseStore())


def test_what_is_refused_writes_nothing_and_what_fails_midway_is_completed_by_the_same_call() -> (
    None
):
    store = CoarseStore()
    index = StoreIndex(store)
    documents = records(Document(f"{n}", "the bear", {"n": n}) for n in range(5))
    with pytest.raises(TypeError, match="takes records"):
        index.upsert([*documents, "the sixth"])  # type: ignore[list-item]  # wrong on purpose
    assert index.count() == 0
    store.fails_at = "3"
    with pytest.raises(OSError, match="the engine is gone"):
        index.upsert(documents)
    assert sorted(record.document.id for record in index.scan()) == ["0", "1"]
    store.fails_at = None
    index.upsert(documents)
    assert index.count() == 5


def test_deletions_and_counts_go_by_what_is_verified() -> None:
    index = StoreIndex(CoarseStore())
    index.upsert(records(Document(f"{n}", "the bear", {"odd": bool(n % 2)}) for n in range(600)))
    assert index.count(Eq("odd", value=True)) == 300
    index.delete_where(Eq("odd", 1))
    assert index.count() == 600
    index.delete_where(Not(Eq("odd", value=True)))
    assert index.count() == 300
    hits = index.search(Search(query=query("bear"), where=Eq("odd", value=True), k=5))
    assert [hit.document.id for hit in hits] == ["1", "101", "103", "105", "107"]
