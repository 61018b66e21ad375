"""
From an engine's answers to a final ranking: the rules of fusion, once for every store.

A document has a name here, which is its id or whatever else an engine knows it by. Ids are asked
for where they decide: where documents score the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple, Protocol, TypeAlias, assert_never

from m3kit.fusion import RRF, Ranking, WeightedSum
from m3kit.grouping import best_groups, group_key
from m3kit.index import Search
from m3kit.records import Document, Hit
from m3kit.vectors import REPS, Rep

BRANCHES: tuple[Rep, ...] = ("dense", "sparse")
"""What finds candidates; ColBERT scores what these found, or scans when it is alone."""

Verify: TypeAlias = Callable[[Sequence[str]], Collection[str]]
"""Tells which of the named documents match the filter."""

IdsOf: TypeAlias = Callable[[Sequence[str]], Mapping[str, str]]
"""Tells the ids of the documents of these names that there are."""

_score = itemgetter(1)


class Ranked(NamedTuple):
    """One document of a ranking, with its scores on the representations that were looked at."""

    name: str
    score: float
    scores: Mapping[Rep, float]


class Scorer(Protocol):
    """What an engine answers for a ranking: questions about one query and one filter."""

    score_error: float = 0.0
    """How far, relatively, the engine that orders may be from the scores that it returns."""

    slack: int = 2
    """How many more than needed are asked for at first, so that ties at the cut are seen."""

    def nearest(self, limits: Mapping[Rep, int], /) -> Mapping[Rep, Ranking]:
        """
        Return the nearest documents of each representation, as many as its limit, best first.

        Fewer are returned only if there are no more. Documents that tie may come in any order, also
        at the end: who asks sees to ties. A document that shares no token with the query has no
        place in the sparse ranking.
        """
        ...

    def scores(
        self, names_by_rep: Mapping[Rep, Sequence[str]], /
    ) -> Mapping[Rep, Mapping[str, float]]:
        """
        Score the named documents, all of which match the filter, on each representation.

        A document that shares no token with the query may be left out of the sparse scores.
        """
        ...

    def ids(self, names: Sequence[str], /) -> Mapping[str, str]:
        """Return the ids of documents; who names documents by their ids inherits this."""
        return dict(zip(names, names, strict=True))

    def documents(self, names: Sequence[str], /) -> Mapping[str, Document]:
        """Return the documents of these names that there are: a search that groups reads them."""
        raise TypeError(f"{type(self).__name__} has no documents to group {len(names)} names by")


def rank(scorer: Scorer, search: Search, *, verify: Verify | None = None) -> list[Ranked]:
    """
    Rank documents as `search` says.

    Each has the scores that were looked at, or all if the search asks for them. The vectors of the
    query and the filter are the scorer's own matter.

    Args:
        scorer: The engine.
        search: The request.
        verify: Which of the engine's documents match, where its own filter keeps too many.
    """
    sparse = search.query.sparse
    silent: frozenset[Rep] = frozenset({"sparse"} if sparse is not None and not len(sparse) else ())
    ranking = _Engine(scorer, silent, verify)
    ranked = _ranked(ranking, search)
    if search.min_score is not None:
        ranked = [document for document in ranked if document.score >= search.min_score]
    if search.group_by is not None:
        documents = scorer.documents([document.name for document in ranked])
        keyed = (
            (document, group_key(documents[document.name], search.group_by))
            for document in ranked
            if document.name in documents
        )
        ranked = best_groups(keyed, k=search.k, group_size=search.group_size)
    else:
        ranked = ranked[: search.k]
    return _with_all_scores(ranking, search.query.reps, ranked) if search.with_scores else ranked


def best(scores: Iterable[tuple[str, float]], limit: int, ids: IdsOf) -> Ranking:
    """Return the best `limit`, best first, ties by id."""
    candidates = _down_to_ties(scores, limit)
    if len(set(map(_score, candidates))) < len(candidates):
        ids_by_name = ids([name for name, _ in candidates])
        candidates.sort(key=lambda pair: (-pair[1], ids_by_name.get(pair[0], "")))
    return candidates[:limit]


def to_hits(
    ranked: Sequence[Ranked], documents: Mapping[str, Document], search: Search
) -> list[Hit]:
    """Put documents to a ranking; those that another thread has deleted meanwhile are left out."""
    return [
        Hit(documents[entry.name], entry.score, entry.scores if search.with_scores else {})
        for entry in ranked
        if entry.name in documents
    ]


@dataclass(frozen=True, slots=True)
class _Engine:
    """
    A scorer, asked until ties are settled.

    Args:
        scorer: The engine.
        silent: Representations in which the query says nothing: they are not asked for.
        verify: See `rank`.
        verified: The verdicts so far, by name.
    """

    scorer: Scorer
    silent: frozenset[Rep]
    verify: Verify | None
    verified: dict[str, bool] = field(default_factory=dict)

    def top(self, reps: Collection[Rep], limit: int) -> dict[Rep, Ranking]:
        """Return the best `limit` documents of each of `reps` that match, ties by id."""
        matching: dict[Rep, Ranking] = dict.fromkeys(reps, ())
        limits = {rep: limit + self.scorer.slack for rep in reps if rep not in self.silent}
        while limits:
            unsettled: dict[Rep, int] = {}
            for rep, answer in self.scorer.nearest(limits).items():
                ranking = _sorted(answer)
                matching[rep] = self._matching(ranking)
                if len(ranking) >= limits[rep] and not self._settled(matching[rep], ranking, limit):
                    unsettled[rep] = 2 * limits[rep]
            limits = unsettled
        return {rep: best(ranking, limit, self.ids) for rep, ranking in matching.items()}

    def scores(
        self, names_by_rep: Mapping[Rep, Sequence[str]]
    ) -> Mapping[Rep, Mapping[str, float]]:
        """Score documents; see `Scorer.scores`."""
        needed = {rep: names for rep, names in names_by_rep.items() if rep not in self.silent}
        scores = self.scorer.scores(needed) if needed else {}
        return {rep: scores.get(rep, {}) for rep in names_by_rep}

    def ids(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return the ids of documents; see `Scorer.ids`."""
        return self.scorer.ids(names)

    def _matching(self, ranking: Ranking) -> Ranking:
        if self.verify is None:
            return ranking
        unknown = [name for name, _ in ranking if name not in self.verified]
        matching = self.verify(unknown) if unknown else ()
        self.verified.update((name, name in matching) for name in unknown)
        return [pair for pair in ranking if self.verified[pair[0]]]

    def _settled(self, matching: Ranking, answer: Ranking, limit: int) -> bool:
        """Tell whether all that tie with the last of `limit` are in a ranking of more."""
        if len(matching) < limit:
            return False
        cut, last = _score(matching[limit - 1]), _score(answer[-1])
        return bool(last < cut - self.scorer.score_error * max(1.0, abs(cut)))


def _sorted(scores: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    return sorted(scores, key=_score, reverse=True)


def _down_to_ties(scores: Iterable[tuple[str, float]], limit: int) -> list[tuple[str, float]]:
    """Return what can be among the best `limit`, and so all that tie at the cut."""
    ranking = _sorted(scores)
    if len(ranking) <= limit:
        return ranking
    end = limit
    while 0 < end < len(ranking) and _score(ranking[end]) == _score(ranking[limit - 1]):
        end += 1
    return ranking[:end]


def _ranked(engine: _Engine, search: Search) -> list[Ranked]:
    """Return the best `k`, or all candidates if they are to be grouped."""
    reps, is_grouped = search.query.reps, search.group_by is not None
    limit = len(BRANCHES) * search.candidates if is_grouped else search.k
    if len(reps) == 1:
        rankings = engine.top(reps, search.candidates if is_grouped else limit)
        return [Ranked(name, score, {rep: score}) for rep in reps for name, score in rankings[rep]]
    rankings = engine.top([rep for rep in BRANCHES if rep in reps], search.candidates)
    match search.fusion:
        case WeightedSum():
            return _weighted(engine, search.query.reps, rankings, search.fusion, limit)
        case RRF():
            fused = search.fusion.fuse(rankings).items()
            if "colbert" in reps:
                names = _best_unordered(fused, search.candidates, engine.ids)
                return _rescored(engine, _branch_scores(rankings, names), limit)
            ranking = best(fused, limit, engine.ids)
            scores = _branch_scores(rankings, [name for name, _ in ranking])
            return [Ranked(name, score, scores[name]) for name, score in ranking]
        case _:
            assert_never(search.fusion)


def _best_unordered(scores: Iterable[tuple[str, float]], limit: int, ids: IdsOf) -> list[str]:
    """Name the best `limit` in any order, so that ids decide at the cut alone."""
    ranking = _down_to_ties(scores, limit)
    if len(ranking) <= limit:
        return [name for name, _ in ranking]
    cut = _score(ranking[-1])
    above = [name for name, score in ranking if score > cut]
    tied = [pair for pair in ranking if _score(pair) == cut]
    return above + [name for name, _ in best(tied, limit - len(above), ids)]


def _rescored(
    engine: _Engine, branch_scores: Mapping[str, Mapping[Rep, float]], limit: int
) -> list[Ranked]:
    names = list(branch_scores)
    scores = engine.scores({"colbert": names})["colbert"] if names else {}
    return [
        Ranked(name, score, {**branch_scores[name], "colbert": score})
        for name, score in best(scores.items(), limit, engine.ids)
    ]


def _weighted(
    engine: _Engine,
    reps: Collection[Rep],
    rankings: Mapping[Rep, Ranking],
    fusion: WeightedSum,
    limit: int,
) -> list[Ranked]:
    union = dict.fromkeys(name for ranking in rankings.values() for name, _ in ranking)
    scores = _completed(engine, reps, _by_rep(rankings), union)
    ranking = best(fusion.fuse(scores).items(), limit, engine.ids)
    return [
        Ranked(name, score, {rep: by_name[name] for rep, by_name in scores.items()})
        for name, score in ranking
    ]


def _by_rep(rankings: Mapping[Rep, Ranking]) -> dict[Rep, dict[str, float]]:
    return {rep: dict(ranking) for rep, ranking in rankings.items()}


def _branch_scores(
    rankings: Mapping[Rep, Ranking], names: Iterable[str]
) -> dict[str, Mapping[Rep, float]]:
    """Tell what each document scored in the branches that found it."""
    scores = _by_rep(rankings)
    return {
        name: {rep: by_name[name] for rep, by_name in scores.items() if name in by_name}
        for name in names
    }


def _with_all_scores(
    engine: _Engine, reps: Collection[Rep], ranked: Sequence[Ranked]
) -> list[Ranked]:
    """Score every document on every representation that no branch has scored yet."""
    known: dict[Rep, dict[str, float]] = {
        rep: {entry.name: entry.scores[rep] for entry in ranked if rep in entry.scores}
        for rep in reps
    }
    scores = _completed(engine, reps, known, [entry.name for entry in ranked])
    return [
        Ranked(entry.name, entry.score, {rep: scores[rep][entry.name] for rep in scores})
        for entry in ranked
    ]


def _completed(
    engine: _Engine,
    reps: Collection[Rep],
    known: Mapping[Rep, Mapping[str, float]],
    names: Collection[str],
) -> dict[Rep, Mapping[str, float]]:
    """Score the named documents on the representations on which their scores are not known yet."""
    ordered = [rep for rep in REPS if rep in reps]
    missing = {rep: [name for name in names if name not in known.get(rep, {})] for rep in ordered}
    scores = engine.scores({rep: unscored for rep, unscored in missing.items() if unscored})
    return {
        rep: {**dict.fromkeys(missing[rep], 0.0), **known.get(rep, {}), **scores.get(rep, {})}
        for rep in ordered
    }
