"""
Searches: one request each, several where documents tie.

A search by one representation is one request. So is a fusion, in the global phase of a rank
profile, unless it says that documents of equal scores decide the answer (`TIE`): then each branch
is asked alone and `m3kit.adapters.ranking` fuses, which breaks ties by id. RRF with ColBERT asks for all
that the fusion keeps, each with its ColBERT score, by which they are ordered here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np

from m3kit.adapters import ranking
from m3kit.adapters.ranking import BRANCHES, Scorer
from m3kit.fusion import Ranking, WeightedSum
from m3kit.index import Search
from m3kit.records import Document, Hit
from m3kit.scoring import require
from m3kit.vectors import REPS, M3Output, Rep
from m3kit_vespa.answers import Application
from m3kit_vespa.filters import NOTHING
from m3kit_vespa.profiles import INPUTS, PROFILES, SCORES, TIE
from m3kit_vespa.tensors import colbert_value, dense_value, sparse_value

SLACK = 8
"""How many more than asked for are fetched, so that ties at the cut are seen."""

_NOISE = 1e-6
"""How far, relatively, an engine's score may be from the exact one."""

_NO_NOISE = 1e-14
"""The same of a score of RRF, which only ranks decide."""


class Plan(Protocol):
    """How a schema is asked, and how its hits are read."""

    @property
    def fields(self) -> Sequence[str]:
        """What a document is read from."""
        ...

    @property
    def id_fields(self) -> Sequence[str]:
        """What an id is read from."""
        ...

    def branch(self, rep: Rep, query: M3Output, size: int) -> str:
        """Say in YQL what finds the best `size` documents of a representation, or more."""
        ...

    def id(self, hit: Any) -> str:
        """Read the id of a hit's document."""
        ...

    def document(self, hit: Any) -> Document:
        """Read a hit's document."""
        ...


_Found: TypeAlias = tuple[str, float, Any]
"""An id, its score, and the hit."""


@dataclass(frozen=True, slots=True)
class Searcher(Scorer):
    """
    What Vespa answers about one query and one filter.

    Scores are read as 32-bit floats, as they are everywhere in `m3kit`: what Vespa adds up in
    another order, in 64 bits, is then equal again. Each hit says its scores on all that the query
    carries, and its document, so that nothing is asked twice.
    """

    app: Application
    plan: Plan
    query: M3Output
    where: str
    seen: dict[str, Any] = field(default_factory=dict)
    """The hits so far, by their documents' ids."""

    def nearest(self, reps: Collection[Rep], limit: int) -> Mapping[Rep, Ranking]:
        """Return the best of each representation; see `m3kit.adapters.ranking.Scorer`."""

        def ask(sizes: Mapping[Rep, int]) -> Mapping[Rep, Ranking]:
            return {rep: self._found(rep, size) for rep, size in sizes.items()}

        return ranking.nearest(ask, reps, limit, ids=self.ids, noise=_NOISE, slack=SLACK)

    def scores(self, wanted: Mapping[Rep, Sequence[str]]) -> Mapping[Rep, Mapping[str, float]]:
        """Score documents, each of which a branch has found; see `m3kit.adapters.ranking.Scorer`."""
        return {
            rep: {id_: _part(self.seen[id_], rep) for id_ in ids} for rep, ids in wanted.items()
        }

    def documents(self, ids: Sequence[str], /) -> Mapping[str, Document]:
        """Return the documents of these ids, each of which a branch has found."""
        return {id_: self.plan.document(self.seen[id_]) for id_ in ids}

    def at_once(self, search: Search) -> list[Hit] | None:
        """
        Answer a fusion by one request; None where ties decide.

        The query carries at least two representations.
        """
        reps = self.query.reps
        if isinstance(search.fusion, WeightedSum):
            return self._weighted(search, search.fusion)
        if not {"dense", "sparse"} <= reps:
            return self._weighted(search, WeightedSum(dense=0, sparse=0, colbert=1))
        if "colbert" not in reps:
            found = self._fused(search, search.k)
            return None if found is None else self._hits(search, found)
        found = self._fused(search, search.candidates)
        if found is None:
            return None
        rescored = sorted(
            ((id_, _part(hit, "colbert"), hit) for id_, _, hit in found),
            key=lambda one: (-one[1], one[0]),
        )
        return self._hits(search, rescored[: search.k])

    def _found(self, rep: Rep, size: int) -> Ranking:
        carried_ = [one for one in REPS if one in self.query.reps]
        hits = self._ask(
            self._branches([rep], size), PROFILES[rep], carried_, size, self.plan.fields
        )
        found = {self.plan.id(hit): hit for hit in hits}
        self.seen.update(found)
        scored = [(id_, _part(hit, rep)) for id_, hit in found.items()]
        return [pair for pair in scored if rep != "sparse" or pair[1] > 0]

    def _fused(self, search: Search, k: int) -> list[_Found] | None:
        reps = [rep for rep in REPS if rep in self.query.reps]
        hits = self._global("m3_rrf", search, reps, k, m3_k=search.fusion.k)  # type: ignore[union-attr]  # RRF's
        found = [(self.plan.id(hit), hit["relevance"], hit) for hit in hits if hit["relevance"] > 0]
        return _cut(found, k, more=len(hits) == k + SLACK, noise=_NO_NOISE)

    def _weighted(self, search: Search, fusion: WeightedSum) -> list[Hit] | None:
        reps = [rep for rep in REPS if rep in self.query.reps]
        total = sum(fusion.weight(rep) for rep in reps)
        weights = {
            f"m3_w_{rep}": fusion.weight(rep) / total if rep in reps else 0.0 for rep in REPS
        }
        hits = self._global("m3_weighted", search, reps, search.k, **weights)
        found = [
            (self.plan.id(hit), fusion.score({rep: _part(hit, rep) for rep in reps}), hit)
            if abs(hit["relevance"]) < TIE / 2
            else (self.plan.id(hit), TIE, hit)
            for hit in hits
            if hit["relevance"] > -TIE / 2
        ]
        cut = _cut(found, search.k, more=len(hits) == search.k + SLACK)
        return None if cut is None else self._hits(search, cut)

    def _global(
        self,
        profile: str,
        search: Search,
        reps: Sequence[Rep],
        k: int,
        **inputs: float,
    ) -> list[Any]:
        """Ask a profile that fuses; `reps` are those of the query that it needs."""
        branches = [rep for rep in BRANCHES if rep in reps]
        size = search.candidates + SLACK
        inputs |= {"m3_depth": search.candidates, "m3_by_dense": float("dense" in branches)}
        surplus = 2 if "colbert" in reps else 4  # what MaxSim costs, nothing else does
        return self._ask(
            self._branches(branches, size),
            profile,
            reps,
            k + SLACK,
            self.plan.fields,
            **{f"input.query({name})": value for name, value in inputs.items()},
            **{"ranking.globalPhase.rerankCount": surplus * size},
        )

    def _branches(self, reps: Sequence[Rep], size: int) -> str:
        """Say what finds the candidates: nothing where the query has no word to say."""
        able = [rep for rep in reps if rep != "sparse" or len(require(self.query.sparse, rep))]
        found = [self.plan.branch(rep, self.query, size) for rep in able]
        if not found or self.where == NOTHING:
            return NOTHING
        return f"({' or '.join(found)}) and ({self.where})"

    def _ask(
        self,
        where: str,
        profile: str,
        reps: Sequence[Rep],
        hits: int,
        fields: Sequence[str],
        **how: Any,
    ) -> list[Any]:
        if where == NOTHING:
            return []
        found = self.app.ask(
            where,
            select=fields,
            ranking=profile,
            hits=hits,
            **to_inputs(self.query.only(*reps)),
            **how,
        )
        there = self.plan.id_fields[0]  # unless it was deleted meanwhile
        return [hit for hit in found if there in hit["fields"]]

    def _hits(self, search: Search, found: Sequence[_Found]) -> list[Hit]:
        reps = [rep for rep in REPS if rep in self.query.reps]
        least = -np.inf if search.min_score is None else search.min_score
        return [
            Hit(
                self.plan.document(hit),
                score,
                {rep: _part(hit, rep) for rep in reps} if search.parts else {},
            )
            for _, score, hit in found
            if score >= least
        ]


def to_inputs(query: M3Output) -> dict[str, Any]:
    """Write a query's vectors as inputs of a rank profile."""
    inputs: dict[str, Any] = {}
    if query.dense is not None:
        inputs[f"input.query({INPUTS['dense']})"] = dense_value(query.dense)
    if query.sparse is not None and len(query.sparse):
        inputs[f"input.query({INPUTS['sparse']})"] = sparse_value(query.sparse)
    if query.colbert is not None:
        inputs[f"input.query({INPUTS['colbert']})"] = colbert_value(query.colbert, "float32")
        inputs["input.query(m3_tokens)"] = len(query.colbert)
    return inputs


def nearest(field_: str, size: int) -> str:
    """Say what finds the nearest neighbours of a query's dense vector."""
    return f"({{targetHits: {size}}}nearestNeighbor({field_}, {INPUTS['dense']}))"


def _cut(found: list[_Found], k: int, *, more: bool, noise: float = _NOISE) -> list[_Found] | None:
    """Keep the best, ties by id; None if documents tie, in a branch or at the cut."""
    if any(score > TIE / 2 for _, score, _ in found):
        return None
    best = sorted(found, key=lambda one: (-one[1], one[0]))
    if more and len(best) > k and best[-1][1] >= _below(best[k - 1][1], noise):
        return None
    return best[:k]


def _part(hit: Any, rep: Rep) -> float:
    return float(np.float32(hit["fields"]["matchfeatures"][SCORES[rep]]))


def _below(score: float, noise: float = _NOISE) -> float:
    """Return what is below a score whichever way an engine has rounded it."""
    return score - noise * max(1.0, abs(score))
