"""
Searches: one request each, several where documents tie.

A search by one representation is one request. So is a fusion, in the global phase of a rank
profile, unless `Relevance` says that documents of equal scores decide the answer: then each branch
is asked alone and `m3kit.adapters.ranking` fuses, which breaks ties by id. RRF with ColBERT asks
for all that the fusion brings, each with its ColBERT score, by which they are ordered here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from m3kit.adapters.ranking import BRANCHES, Ranked, to_hits
from m3kit.adapters.store import Searcher
from m3kit.fusion import RRF, Fusion, Ranking, WeightedSum
from m3kit.index import Search
from m3kit.records import Document, Hit
from m3kit.scoring import require
from m3kit.vectors import REPS, M3Output, Rep
from m3kit_vespa.client import SchemaClient
from m3kit_vespa.layout import Layout
from m3kit_vespa.profiles import INPUTS, PROFILES, SCORES, Relevance
from m3kit_vespa.vectors import colbert_value, dense_value, integer_weights, sparse_value
from m3kit_vespa.yql import EVERYTHING, NOTHING

SLACK = 8
"""How many more than needed are fetched, so that ties at the cut are seen."""

_SCORE_ERROR = 1e-6
"""How far, relatively, an engine's score may be from the exact one."""

_RRF_ERROR = 1e-14
"""The same of a score of RRF, which only ranks decide."""


@dataclass(frozen=True, slots=True)
class VespaSearcher(Searcher):
    """
    What Vespa answers about one query and one filter.

    Scores are read as 32-bit floats, as they are everywhere in `m3kit`: what Vespa adds up in
    another order, in 64 bits, is then equal again. Each hit brings its scores on all that the query
    carries, and its document, so that nothing is asked twice.

    Args:
        client: The schema.
        layout: Where documents lie in it.
        search: The request.
        where: The filter in YQL.
        hits: The fields of the hits so far, by their documents' ids.
    """

    client: SchemaClient
    layout: Layout
    search: Search
    where: str
    hits: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    score_error = _SCORE_ERROR
    slack = SLACK

    @property
    def query(self) -> M3Output:
        """The query's vectors."""
        return self.search.query

    def nearest(self, limits: Mapping[Rep, int], /) -> Mapping[Rep, Ranking]:
        """Return the nearest documents of each representation, a request for each."""
        return {rep: self._nearest(rep, limit) for rep, limit in limits.items()}

    def scores(self, wanted: Mapping[Rep, Sequence[str]], /) -> Mapping[Rep, Mapping[str, float]]:
        """Score documents, each of which is a hit already."""
        return {
            rep: {id_: _score(self.hits[id_], rep) for id_ in ids} for rep, ids in wanted.items()
        }

    def documents(self, names: Sequence[str], /) -> Mapping[str, Document]:
        """Return the documents of these ids, each of which is a hit already."""
        return {id_: self.layout.to_document(self.hits[id_]) for id_ in names}

    def answer(self, search: Search, /) -> list[Hit] | None:
        """
        Answer a fusion by one request.

        None for one representation, where ties decide, where the schema has no salts, and for an
        RRF with weights, which no rank profile has.
        """
        if len(self.query.reps) == 1 or not self.layout.is_native:
            return None
        match search.fusion:
            case RRF() as fusion if any(fusion.weight(rep) != 1 for rep in BRANCHES):
                return None
            case WeightedSum() as fusion:
                ranked = self._weighted(search, fusion)
            case RRF() if not {"dense", "sparse"} <= self.query.reps:  # one branch, rescored
                ranked = self._weighted(search, WeightedSum(dense=0, sparse=0, colbert=1))
            case RRF() as fusion if "colbert" in self.query.reps:
                ranked = self._fused(search, fusion, search.candidates)
                if ranked is not None:
                    rescored = [hit._replace(score=hit.scores["colbert"]) for hit in ranked]
                    ranked = sorted(rescored, key=_best_first)[: search.k]
            case RRF() as fusion:
                ranked = self._fused(search, fusion, search.k)
        if ranked is None:
            return None
        if search.min_score is not None:
            ranked = [hit for hit in ranked if hit.score >= search.min_score]
        return to_hits(ranked, self.documents([hit.name for hit in ranked]), search)

    def _nearest(self, rep: Rep, limit: int) -> Ranking:
        hits = self._search([rep], limit, {"ranking": PROFILES[rep], "hits": limit})
        fields = {self.layout.to_id(hit["fields"]): hit["fields"] for hit in hits}
        self.hits.update(fields)
        scored = [(id_, _score(of, rep)) for id_, of in fields.items()]
        return [pair for pair in scored if rep != "sparse" or pair[1] > 0]

    def _fused(self, search: Search, fusion: RRF, limit: int) -> list[Ranked] | None:
        inputs = {"ranking": "m3_rrf", "input.query(m3_k)": fusion.k}
        return self._ranked(search, limit, fusion, inputs, error=_RRF_ERROR)

    def _weighted(self, search: Search, fusion: WeightedSum) -> list[Ranked] | None:
        reps = self.query.reps
        total = sum(fusion.weight(rep) for rep in reps)
        weights = {
            f"input.query(m3_w_{rep})": fusion.weight(rep) / total if rep in reps else 0.0
            for rep in REPS
        }
        inputs = {"ranking": "m3_weighted", **weights}
        return self._ranked(search, search.k, fusion, inputs, error=_SCORE_ERROR)

    def _ranked(
        self,
        search: Search,
        limit: int,
        fusion: Fusion,
        parameters: Mapping[str, Any],
        *,
        error: float,
    ) -> list[Ranked] | None:
        """Return the best candidates by a profile that fuses, ties by id; None if ties decide."""
        branches = [rep for rep in BRANCHES if rep in self.query.reps]
        size = search.candidates + SLACK
        surplus = 2 if "colbert" in self.query.reps else 4  # MaxSim is what costs
        hits = self._search(
            branches,
            size,
            {
                "hits": limit + SLACK,
                "ranking.globalPhase.rerankCount": surplus * size,
                "input.query(m3_candidates)": search.candidates,
                "input.query(m3_by_dense)": float("dense" in branches),
                **parameters,
            },
        )
        ranked = []
        for hit in hits:
            relevance, fields = Relevance.decode(hit["relevance"]), hit["fields"]
            if relevance.is_tied:
                return None
            if relevance.is_candidate:
                scores = {rep: _score(fields, rep) for rep in REPS if rep in self.query.reps}
                score = relevance.score
                if isinstance(fusion, WeightedSum):
                    score = fusion.score(scores)
                ranked.append(Ranked(self.layout.to_id(fields), score, scores))
                self.hits[ranked[-1].name] = fields
        return _cut(ranked, limit, has_more=len(hits) == limit + SLACK, error=error)

    def _search(
        self, branches: Sequence[Rep], size: int, parameters: Mapping[str, Any]
    ) -> list[Any]:
        """Ask for what the branches find; nothing where the query has no word to say."""
        conditions = [
            _branch(self.layout, rep, self.query, size, exact=self.search.exact is True)
            for rep in branches
            if rep != "sparse" or len(require(self.query.sparse, rep))
        ]
        if not conditions or self.where == NOTHING:
            return []
        hits = self.client.search(
            f"({' or '.join(conditions)}) and ({self.where})",
            select=self.layout.selected(),
            **to_inputs(self.query),
            **parameters,
        )
        present = self.layout.id_fields[0]  # unless it was deleted meanwhile
        return [hit for hit in hits if present in hit["fields"]]


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


def _branch(layout: Layout, rep: Rep, query: M3Output, size: int, *, exact: bool) -> str:
    """Write in YQL what finds the best `size` documents of a representation, or more."""
    if rep == "dense":
        exactly = ", approximate: false" if exact else ""
        how = f"{{targetHits: {size}{exactly}}}"
        return f"({how}nearestNeighbor({layout.names.dense}, {INPUTS['dense']}))"
    if rep == "colbert" or layout.retrieval is None:
        return EVERYTHING
    sparse = require(query.sparse, rep)
    if layout.retrieval == "exact":
        return f"token_ids in ({', '.join(map(str, sparse.ids.tolist()))})"
    weights = ", ".join(f'"{id_}": {weight}' for id_, weight in integer_weights(sparse).items())
    return f"({{targetHits: {size}}}wand(tokens, {{{weights}}}))"


def _cut(
    ranked: Sequence[Ranked], limit: int, *, has_more: bool, error: float
) -> list[Ranked] | None:
    """Return the best, ties by id; None if what was not fetched may tie with the last of them."""
    best = sorted(ranked, key=_best_first)
    if has_more and len(best) > limit:
        cut = best[limit - 1].score
        if best[-1].score >= cut - error * max(1.0, abs(cut)):
            return None
    return best[:limit]


def _best_first(hit: Ranked) -> tuple[float, str]:
    return -hit.score, hit.name


def _score(fields: Mapping[str, Any], rep: Rep) -> float:
    return float(np.float32(fields["matchfeatures"][SCORES[rep]]))
