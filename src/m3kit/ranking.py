"""From an engine's answers to a final ranking: the rules of fusion, once for every store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

from m3kit.fusion import RRF, Ranking, WeightedSum, by_score
from m3kit.index import Search
from m3kit.records import Document, Hit
from m3kit.vectors import REPS, Rep

BRANCHES: tuple[Rep, ...] = ("dense", "sparse")
"""What finds candidates; ColBERT scores what these found, or scans when it is alone."""

_SLACK = 8
"""How many more than asked for are fetched, so that ties at the cut are seen."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One id of a ranking, with its scores on the representations that were looked at."""

    id: str
    score: float
    parts: Mapping[Rep, float]


class Scorer(Protocol):
    """What an engine answers for a ranking: two questions about one query and one filter."""

    def nearest(self, reps: Collection[Rep], limit: int) -> Mapping[Rep, Ranking]:
        """
        Return the best `limit` documents of each of `reps`, ties by id.

        A document that shares no token with the query has no place in the sparse ranking.
        """
        ...

    def scores(self, wanted: Mapping[Rep, Sequence[str]]) -> Mapping[Rep, Mapping[str, float]]:
        """
        Score given documents, which match the filter, on the representation they are wanted for.

        A document that shares no token with the query may be left out of the sparse scores.
        """
        ...


def rank(scorer: Scorer, search: Search) -> list[Ranked]:
    """
    Rank documents as `search` says; `parts` holds what was looked at, or all if it asks for them.

    The vectors of the query and the filter are the scorer's own matter. It is not asked for what
    the query has nothing to say in: one without a token finds nothing by sparse vectors.
    """
    sparse = search.query.sparse
    scorer = _Asking(
        scorer, frozenset({"sparse"} if sparse is not None and not len(sparse) else ())
    )
    ranked = _ranked(scorer, search)
    if search.min_score is not None:
        ranked = [one for one in ranked if one.score >= search.min_score]
    ranked = ranked[: search.k]
    return _completed(scorer, search.query.reps, ranked) if search.parts else ranked


def nearest(
    ask: Callable[[Mapping[Rep, int]], Mapping[Rep, Ranking]],
    reps: Collection[Rep],
    limit: int,
    *,
    noise: float = 0.0,
) -> dict[Rep, Ranking]:
    """
    Find the best `limit` of each of `reps`, asking for more until all that tie at the cut are seen.

    Args:
        ask: Returns the best of each representation, as many as it is told, ordered by `by_score`;
            fewer if there are no more.
        reps: What to ask for.
        limit: How many are wanted.
        noise: How far, relatively, the engine that cuts may be from the scores that `ask` returns.
    """
    found: dict[Rep, Ranking] = {}
    sizes = dict.fromkeys(reps, limit + _SLACK)
    while sizes:
        found |= ask(sizes)
        sizes = {
            rep: 2 * size
            for rep, size in sizes.items()
            if len(found[rep]) >= size and not _settled(found[rep], limit, noise)
        }
    return {rep: ranking[:limit] for rep, ranking in found.items()}


def to_hits(
    ranked: Sequence[Ranked], documents: Mapping[str, Document], search: Search
) -> list[Hit]:
    """Put documents to a ranking; those that another thread has deleted meanwhile are left out."""
    return [
        Hit(documents[one.id], one.score, one.parts if search.parts else {})
        for one in ranked
        if one.id in documents
    ]


@dataclass(frozen=True, slots=True)
class _Asking:
    """A scorer that is not asked for the `silent` representations, which find nothing."""

    scorer: Scorer
    silent: frozenset[Rep]

    def nearest(self, reps: Collection[Rep], limit: int) -> Mapping[Rep, Ranking]:
        asked = [rep for rep in reps if rep not in self.silent]
        found = self.scorer.nearest(asked, limit) if asked else {}
        return {rep: found.get(rep, ()) for rep in reps}

    def scores(self, wanted: Mapping[Rep, Sequence[str]]) -> Mapping[Rep, Mapping[str, float]]:
        asked = {rep: ids for rep, ids in wanted.items() if rep not in self.silent}
        found = self.scorer.scores(asked) if asked else {}
        return {rep: found.get(rep, {}) for rep in wanted}


def _settled(ranking: Ranking, limit: int, noise: float) -> bool:
    """Tell whether all that tie with the last of `limit` are in a ranking of more."""
    (_, cut), (_, last) = ranking[limit - 1], ranking[-1]
    return last < cut - noise * max(1.0, abs(cut))


def _ranked(scorer: Scorer, search: Search) -> list[Ranked]:
    reps = search.query.reps
    if len(reps) == 1:
        rankings = scorer.nearest(reps, search.k)
        return [Ranked(id_, score, {rep: score}) for rep in reps for id_, score in rankings[rep]]
    rankings = scorer.nearest([rep for rep in BRANCHES if rep in reps], search.depth)
    match search.fusion:
        case WeightedSum():
            return _weighted(scorer, reps, rankings, search.fusion)
        case RRF():
            parts = _parts(rankings)
            fused = search.fusion.fuse(rankings.values())
            if "colbert" not in reps:
                return [Ranked(id_, score, parts[id_]) for id_, score in fused[: search.k]]
            return _rescored(scorer, {id_: parts[id_] for id_, _ in fused[: search.depth]})
        case _:
            assert_never(search.fusion)


def _rescored(scorer: Scorer, parts: Mapping[str, Mapping[Rep, float]]) -> list[Ranked]:
    scores = scorer.scores({"colbert": list(parts)})["colbert"] if parts else {}
    return [
        Ranked(id_, score, {**parts[id_], "colbert": score})
        for id_, score in by_score(scores.items())
    ]


def _weighted(
    scorer: Scorer, reps: Collection[Rep], rankings: Mapping[Rep, Ranking], fusion: WeightedSum
) -> list[Ranked]:
    candidates = [Ranked(id_, 0.0, parts) for id_, parts in _parts(rankings).items()]
    parts = {one.id: one.parts for one in _completed(scorer, reps, candidates)}
    scores = by_score((id_, fusion.score(own)) for id_, own in parts.items())
    return [Ranked(id_, score, parts[id_]) for id_, score in scores]


def _parts(rankings: Mapping[Rep, Ranking]) -> dict[str, dict[Rep, float]]:
    """Turn rankings around: what each document scored in the branches that found it."""
    parts: dict[str, dict[Rep, float]] = defaultdict(dict)
    for rep, ranking in rankings.items():
        for id_, score in ranking:
            parts[id_][rep] = score
    return parts


def _completed(scorer: Scorer, reps: Collection[Rep], ranked: Sequence[Ranked]) -> list[Ranked]:
    """Score every document on every representation that no branch told yet."""
    ordered = [rep for rep in REPS if rep in reps]
    wanted = {rep: [one.id for one in ranked if rep not in one.parts] for rep in ordered}
    scores = scorer.scores({rep: ids for rep, ids in wanted.items() if ids})

    def part(one: Ranked, rep: Rep) -> float:
        return one.parts[rep] if rep in one.parts else scores[rep].get(one.id, 0.0)

    return [Ranked(one.id, one.score, {rep: part(one, rep) for rep in ordered}) for one in ranked]
