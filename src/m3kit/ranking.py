"""
From an engine's answers to a final ranking: the rules of fusion, once for every store.

A document has a name here, which is its id or whatever else an engine knows it by. Ids are asked
for where they decide: where documents score the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Protocol, TypeAlias, assert_never

from m3kit.fusion import RRF, Ranking, WeightedSum
from m3kit.index import Search
from m3kit.records import Document, Hit
from m3kit.vectors import REPS, Rep

BRANCHES: tuple[Rep, ...] = ("dense", "sparse")
"""What finds candidates; ColBERT scores what these found, or scans when it is alone."""

_SLACK = 2
"""How many more than asked for are fetched, so that ties at the cut are seen."""


Ids: TypeAlias = Callable[[Sequence[str]], Mapping[str, str]]
"""Tells the ids of the documents of these names that there are."""

_score = itemgetter(1)


@dataclass(frozen=True, slots=True)
class Ranked:
    """One document of a ranking, with its scores on the representations that were looked at."""

    name: str
    score: float
    parts: Mapping[Rep, float]


class Scorer(Protocol):
    """What an engine answers for a ranking: questions about one query and one filter."""

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

    def ids(self, names: Sequence[str], /) -> Mapping[str, str]:
        """Return the ids of documents; who ranks by ids inherits this."""
        return dict(zip(names, names, strict=True))


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
    ids: Ids,
    noise: float = 0.0,
    slack: int = _SLACK,
) -> dict[Rep, Ranking]:
    """
    Find the best `limit` of each of `reps`, asking for more until all that tie at the cut are seen.

    Args:
        ask: Returns the best of each representation, as many as it is told; fewer if there are no
            more.
        reps: What to ask for.
        limit: How many are wanted.
        ids: As `Scorer.ids`.
        noise: How far, relatively, the engine that cuts may be from the scores that `ask` returns.
        slack: How many more than `limit` are asked for at first.
    """
    found: dict[Rep, Ranking] = {}
    sizes = dict.fromkeys(reps, limit + slack)
    while sizes:
        found |= {rep: _sorted(answer) for rep, answer in ask(sizes).items()}
        sizes = {
            rep: 2 * size
            for rep, size in sizes.items()
            if len(found[rep]) >= size and not _settled(found[rep], limit, noise)
        }
    return {rep: best(ranking, limit, ids) for rep, ranking in found.items()}


def best(scores: Iterable[tuple[str, float]], limit: int, ids: Ids) -> Ranking:
    """Return the best `limit`, best first, ties by id."""
    kept = _candidates(scores, limit)
    if any(_score(one) == _score(following) for one, following in pairwise(kept)):
        known = ids([name for name, _ in kept])
        kept.sort(key=lambda pair: (-pair[1], known.get(pair[0], "")))
    return kept[:limit]


def to_hits(
    ranked: Sequence[Ranked], documents: Mapping[str, Document], search: Search
) -> list[Hit]:
    """Put documents to a ranking; those that another thread has deleted meanwhile are left out."""
    return [
        Hit(documents[one.name], one.score, one.parts if search.parts else {})
        for one in ranked
        if one.name in documents
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
        asked = {rep: names for rep, names in wanted.items() if rep not in self.silent}
        found = self.scorer.scores(asked) if asked else {}
        return {rep: found.get(rep, {}) for rep in wanted}

    def ids(self, names: Sequence[str], /) -> Mapping[str, str]:
        return self.scorer.ids(names)


def _sorted(scores: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    return sorted(scores, key=_score, reverse=True)


def _candidates(scores: Iterable[tuple[str, float]], limit: int) -> list[tuple[str, float]]:
    """Return what can be among the best `limit`, and so all that tie at the cut."""
    ranking = _sorted(scores)
    end = limit
    while 0 < end < len(ranking) and _score(ranking[end]) == _score(ranking[limit - 1]):
        end += 1
    return ranking[:end]


def _settled(ranking: Ranking, limit: int, noise: float) -> bool:
    """Tell whether all that tie with the last of `limit` are in a ranking of more."""
    (_, cut), (_, last) = ranking[limit - 1], ranking[-1]
    return last < cut - noise * max(1.0, abs(cut))


def _ranked(scorer: Scorer, search: Search) -> list[Ranked]:
    reps = search.query.reps
    if len(reps) == 1:
        rankings = scorer.nearest(reps, search.k)
        return [Ranked(name, score, {rep: score}) for rep in reps for name, score in rankings[rep]]
    rankings = scorer.nearest([rep for rep in BRANCHES if rep in reps], search.depth)
    match search.fusion:
        case WeightedSum():
            return _weighted(scorer, search, rankings, search.fusion)
        case RRF():
            fused = search.fusion.fuse(rankings.values()).items()
            if "colbert" in reps:
                kept = _kept(fused, search.depth, scorer.ids)
                return _rescored(scorer, _parts(rankings, kept), search.k)
            ranking = best(fused, search.k, scorer.ids)
            parts = _parts(rankings, [name for name, _ in ranking])
            return [Ranked(name, score, parts[name]) for name, score in ranking]
        case _:
            assert_never(search.fusion)


def _kept(scores: Iterable[tuple[str, float]], limit: int, ids: Ids) -> list[str]:
    """Name the best `limit` in any order, so that ids decide at the cut alone."""
    ranking = _candidates(scores, limit)
    if len(ranking) <= limit:
        return [name for name, _ in ranking]
    cut = _score(ranking[-1])
    sure = [name for name, score in ranking if score > cut]
    at_the_cut = [pair for pair in ranking if _score(pair) == cut]
    return sure + [name for name, _ in best(at_the_cut, limit - len(sure), ids)]


def _rescored(scorer: Scorer, parts: Mapping[str, Mapping[Rep, float]], limit: int) -> list[Ranked]:
    scores = scorer.scores({"colbert": list(parts)})["colbert"] if parts else {}
    return [
        Ranked(name, score, {**parts[name], "colbert": score})
        for name, score in best(scores.items(), limit, scorer.ids)
    ]


def _weighted(
    scorer: Scorer, search: Search, rankings: Mapping[Rep, Ranking], fusion: WeightedSum
) -> list[Ranked]:
    names = dict.fromkeys(name for ranking in rankings.values() for name, _ in ranking)
    candidates = [Ranked(name, 0.0, parts) for name, parts in _parts(rankings, names).items()]
    parts = {one.name: one.parts for one in _completed(scorer, search.query.reps, candidates)}
    scores = [(name, fusion.score(own)) for name, own in parts.items()]
    ranking = best(scores, search.k, scorer.ids)
    return [Ranked(name, score, parts[name]) for name, score in ranking]


def _parts(rankings: Mapping[Rep, Ranking], names: Iterable[str]) -> dict[str, Mapping[Rep, float]]:
    """Tell what each document scored in the branches that found it."""
    scores = {rep: dict(ranking) for rep, ranking in rankings.items()}
    return {name: {rep: own[name] for rep, own in scores.items() if name in own} for name in names}


def _completed(scorer: Scorer, reps: Collection[Rep], ranked: Sequence[Ranked]) -> list[Ranked]:
    """Score every document on every representation that no branch told yet."""
    ordered = [rep for rep in REPS if rep in reps]
    wanted = {rep: [one.name for one in ranked if rep not in one.parts] for rep in ordered}
    scores = scorer.scores({rep: names for rep, names in wanted.items() if names})

    def part(one: Ranked, rep: Rep) -> float:
        return one.parts[rep] if rep in one.parts else scores[rep].get(one.name, 0.0)

    return [Ranked(one.name, one.score, {rep: part(one, rep) for rep in ordered}) for one in ranked]
