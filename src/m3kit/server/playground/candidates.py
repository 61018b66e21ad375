"""The candidates of a query with all their scores, from which a page ranks by any weights."""

from __future__ import annotations

from m3kit.adapters.ranking import BRANCHES
from m3kit.filters import Filter, Ids
from m3kit.index import HybridIndex, Search
from m3kit.records import Hit
from m3kit.vectors import M3Output


def find_candidates(
    index: HybridIndex, query: M3Output, *, where: Filter | None, candidates: int
) -> list[Hit]:
    """
    Return what the dense and the sparse branch bring together, scored on all representations.

    These are the documents among which `WeightedSum` chooses, whatever its weights.

    Args:
        index: Where to look.
        query: All that is to take part.
        where: What the candidates must match.
        candidates: How many each branch brings.
    """
    branches = [rep for rep in BRANCHES if rep in query.reps]
    if len(query.reps) == 1:
        search = Search(query=query, k=candidates, where=where, with_scores=True)
        return index.search(search)
    ids: dict[str, None] = {}
    for rep in branches:
        hits = index.search(Search(query=query.only(rep), k=candidates, where=where))
        ids.update((hit.document.id, None) for hit in hits)
    if not ids:
        return []
    union = Search(query=query, k=len(ids), where=Ids(tuple(ids)), with_scores=True)
    return index.search(union)
