"""Indexes that are wrong on purpose, each in one way, to show that the suite sees it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from m3kit import (
    RRF,
    ColbertStorage,
    Document,
    Filter,
    Hit,
    MemoryIndex,
    Not,
    Record,
    Rep,
    Search,
    WeightedSum,
    matches,
)
from m3kit.filters import value_at
from m3kit.fusion import Ranking, by_score
from m3kit.grouping import group_hits


class ScoresAMissingBranchZero(MemoryIndex):
    """Sums what each branch found, as an engine's own weighted ranker does."""

    def search(self, search: Search, /) -> list[Hit]:
        fusion = search.fusion
        if not isinstance(fusion, WeightedSum) or len(search.query.reps) == 1:
            return super().search(search)
        total: dict[str, float] = {}
        documents: dict[str, Document] = {}
        for rep in search.query.reps:
            branch = replace(search, query=search.query.only(rep), k=search.candidates)
            for hit in super().search(branch):
                documents[hit.document.id] = hit.document
                weighted = fusion.weight(rep) * hit.score
                total[hit.document.id] = total.get(hit.document.id, 0.0) + weighted
        weights = sum(fusion.weight(rep) for rep in search.query.reps)
        best = sorted(total, key=lambda id_: (-total[id_], id_))[: search.k]
        return [Hit(documents[id_], total[id_] / weights) for id_ in best]


class CountsRanksFromZero(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        match search.fusion:
            case RRF(k) if k > 1:
                return super().search(replace(search, fusion=RRF(k - 1)))
            case _:
                return super().search(search)


class IgnoresTheWeightsOfRrf(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        match search.fusion:
            case RRF(k):
                return super().search(replace(search, fusion=RRF(k)))
            case _:
                return super().search(search)


class SumsMaxsim(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        hits = super().search(search)
        is_weighted = len(search.query.reps) > 1 and isinstance(search.fusion, WeightedSum)
        if search.query.colbert is None or is_weighted:
            return hits
        return [replace(hit, score=hit.score * len(search.query.colbert)) for hit in hits]


class MakesColbertAThirdRanking(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        if len(search.query.reps) == 1 or not isinstance(search.fusion, RRF):
            return super().search(search)
        documents: dict[str, Document] = {}
        rankings: dict[Rep, Ranking] = {}
        for rep in search.query.reps:
            hits = super().search(
                replace(search, query=search.query.only(rep), k=search.candidates)
            )
            documents |= {hit.document.id: hit.document for hit in hits}
            rankings[rep] = [(hit.document.id, hit.score) for hit in hits]
        fused = by_score(search.fusion.fuse(rankings).items())[: search.k]
        return [Hit(documents[id_], score) for id_, score in fused]


class RoundsColbertUnasked(MemoryIndex):
    def __init__(self, dim: int) -> None:
        super().__init__(dim, colbert=ColbertStorage("float16"))


class FiltersAfterTheCut(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        hits = super().search(replace(search, where=None))
        return [h for h in hits if search.where is None or matches(search.where, h.document)]


class IgnoresTheFilter(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        return super().search(replace(search, where=None))


class IgnoresTheFilterOfAScan(MemoryIndex):
    def scan(self, where: Filter | None = None, /, reps: Collection[Rep] = ()) -> Iterator[Record]:
        return super().scan(None if isinstance(where, Not) else where, reps)


class KeepsTheOldVersion(MemoryIndex):
    def upsert(self, records: Sequence[Record], /) -> None:
        known = {record.document.id for record in self.scan()}
        super().upsert([record for record in records if record.document.id not in known])


class KeepsTheFirstOfABatch(MemoryIndex):
    def upsert(self, records: Sequence[Record], /) -> None:
        super().upsert(list(reversed(records)))


class WritesBeforeItChecks(MemoryIndex):
    def upsert(self, records: Sequence[Record], /) -> None:
        for record in records:
            super().upsert([record])


class LosesAType(MemoryIndex):
    def upsert(self, records: Sequence[Record], /) -> None:
        super().upsert([replace(record, document=_loosened(record.document)) for record in records])


def _loosened(document: Document) -> Document:
    def number(value: Any) -> Any:
        return int(value) if isinstance(value, float) and value.is_integer() else value

    metadata = {key: number(value) for key, value in document.metadata.items()}
    return Document(document.id, document.text, metadata)


class BreaksTiesByArrival(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        place = {record.document.id: n for n, record in enumerate(self.scan())}
        hits = super().search(replace(search, k=len(place) or 1))
        return sorted(hits, key=lambda h: (-h.score, place[h.document.id]))[: search.k]


class KeepsTheCallersArrays(MemoryIndex):
    def upsert(self, records: Sequence[Record], /) -> None:
        super().upsert(records)
        self._records |= {record.document.id: record for record in records}


class ForgetsToNormaliseTheWeights(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        hits = super().search(search)
        match search.fusion:
            case WeightedSum() as fusion if len(search.query.reps) > 1:
                total = sum(fusion.weight(rep) for rep in search.query.reps)
                return [replace(hit, score=hit.score * total) for hit in hits]
            case _:
                return hits


class GivesScoresOnlyWhereABranchFoundThem(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        hits = super().search(search)
        return [replace(h, scores={r: s for r, s in h.scores.items() if s}) for h in hits]


class FindsZeroOverlap(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        hits = super().search(search)
        if search.query.reps != {"sparse"}:
            return hits
        ids = {hit.document.id for hit in hits}
        others = [
            record.document for record in self.scan(search.where) if record.document.id not in ids
        ]
        return [*hits, *(Hit(document, 0.0) for document in others)][: search.k]


class ConfusesIdsByCase(MemoryIndex):
    def upsert(self, records: Sequence[Record], /) -> None:
        known = {record.document.id.lower(): record.document.id for record in self.scan()}
        self.delete([known.get(record.document.id.lower(), "") for record in records])
        last = {record.document.id.lower(): record for record in records}
        super().upsert(list(last.values()))


class GetsInItsOwnOrder(MemoryIndex):
    def get(self, ids: Sequence[str], /, reps: Collection[Rep] = ()) -> list[Record]:
        return super().get(sorted(set(ids)), reps)


class GroupsAfterTheCut(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        if search.group_by is None:
            return super().search(search)
        hits = super().search(replace(search, group_by=None, group_size=1))
        return group_hits(hits, search.group_by, k=search.k, group_size=search.group_size)


class LooksForMoreGroupsThanTheCandidatesForm(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        if search.group_by is None:
            return super().search(search)
        return super().search(replace(search, candidates=10_000))


class OrdersHitsOfGroupsByTheirScores(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        return sorted(super().search(search), key=lambda hit: (-hit.score, hit.document.id))


class PutsWhatLacksTheFieldIntoOneGroup(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        hits = super().search(search)
        if search.group_by is None:
            return hits
        lacking = [h for h in hits if value_at(h.document.metadata, search.group_by) is None]
        return [hit for hit in hits if hit not in lacking[1:]]


class LeavesOutWhatLacksTheField(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        hits = super().search(search)
        if search.group_by is None:
            return hits
        return [h for h in hits if value_at(h.document.metadata, search.group_by) is not None]


class GroupsByPythonsEquality(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        if search.group_by is None or search.group_size > 1:
            return super().search(search)
        first: list[Hit] = []
        values: list[Any] = []
        for hit in super().search(replace(search, k=10_000, group_by=None)):
            value = value_at(hit.document.metadata, search.group_by)
            if value in (None, []) or value not in values:
                first.append(hit)
                values.append(value)
        return first[: search.k]


class FiltersAfterItGroups(MemoryIndex):
    def search(self, search: Search, /) -> list[Hit]:
        if search.group_by is None:
            return super().search(search)
        hits = super().search(replace(search, where=None))
        return [h for h in hits if search.where is None or matches(search.where, h.document)]
