"""Expected results, computed by the definitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.records import Record
from m3kit.testing.samples import DOCUMENTS
from m3kit.vectors import M3Output, Rep


def plain_score(rep: Rep, encoded: M3Output, document: M3Output) -> float:
    """Score one document by the definition, without a vectorised step."""
    if rep == "dense":
        assert encoded.dense is not None
        assert document.dense is not None
        return float(np.dot(encoded.dense.astype(np.float64), document.dense))
    if rep == "sparse":
        assert encoded.sparse is not None
        assert document.sparse is not None
        weights = document.sparse.to_dict()
        tokens = encoded.sparse.to_dict().items()
        return sum(weight * weights.get(token, 0.0) for token, weight in tokens)
    assert encoded.colbert is not None
    assert document.colbert is not None
    nearest = [max(token @ other for other in document.colbert) for token in encoded.colbert]
    return float(np.mean(nearest))


def plain_ranking(rep: Rep, encoded: M3Output, among: Iterable[Record]) -> list[tuple[str, float]]:
    """Order documents by one representation: best first, ties by id, no sparse score of zero."""
    scores = [(record.document.id, plain_score(rep, encoded, record.output)) for record in among]
    ranked = [pair for pair in scores if rep != "sparse" or pair[1] > 0]
    return sorted(ranked, key=lambda pair: (-round(pair[1], 6), pair[0]))


def plain_rrf(
    encoded: M3Output, among: Sequence[Record], fusion: RRF, *, candidates: int
) -> list[tuple[str, float]]:
    """Fuse the rankings of dense and sparse, rank by rank."""
    scores: dict[str, float] = {}
    branches: tuple[Rep, ...] = ("dense", "sparse")
    for rep in (rep for rep in branches if rep in encoded.reps):
        weight = fusion.weights.get(rep, 1)
        for rank, (id_, _) in enumerate(plain_ranking(rep, encoded, among)[:candidates], start=1):
            scores[id_] = scores.get(id_, 0.0) + weight / (fusion.k + rank)
    return sorted(scores.items(), key=lambda pair: (-round(pair[1], 12), pair[0]))


def plain_weighted(
    encoded: M3Output, among: Sequence[Record], fusion: WeightedSum, *, candidates: int
) -> list[tuple[str, float]]:
    """Score every document that is among the best of a branch on all representations."""
    branches: list[Rep] = [rep for rep in ("dense", "sparse") if rep in encoded.reps]
    rankings = [plain_ranking(rep, encoded, among)[:candidates] for rep in branches]
    union = {id_ for ranking in rankings for id_, _ in ranking}
    weights = {rep: getattr(fusion, rep) for rep in encoded.reps}
    scores = {
        record.document.id: sum(
            weight * plain_score(rep, encoded, record.output) for rep, weight in weights.items()
        )
        / sum(weights.values())
        for record in among
        if record.document.id in union
    }
    return sorted(scores.items(), key=lambda pair: (-round(pair[1], 6), pair[0]))


def plain_candidates(
    encoded: M3Output, among: Sequence[Record], fusion: Fusion, *, candidates: int
) -> list[tuple[str, float]]:
    """Rank all candidates of a search."""
    if len(encoded.reps) == 1:
        (rep,) = encoded.reps
        return plain_ranking(rep, encoded, among)[:candidates]
    if isinstance(fusion, WeightedSum):
        return plain_weighted(encoded, among, fusion, candidates=candidates)
    branches = encoded.only(*(rep for rep in encoded.reps if rep != "colbert"))
    fused = plain_rrf(branches, among, fusion, candidates=candidates)
    if "colbert" not in encoded.reps:
        return fused
    best = {id_ for id_, _ in fused[:candidates]}
    return plain_ranking(
        "colbert", encoded, [record for record in among if record.document.id in best]
    )


def plain_groups(
    ranking: Sequence[tuple[str, float]], field: str, *, k: int, group_size: int
) -> list[tuple[str, float]]:
    """Take the hits of a ranking of `DOCUMENTS`, best first, to the groups of plain values."""
    values = {document.id: document.metadata.get(field) for document in DOCUMENTS}
    groups: list[tuple[Any, list[tuple[str, float]]]] = []
    for id_, score in ranking:
        value = id_ if values[id_] is None else values[id_]
        for known, group in groups:
            if known == value and type(known) is type(value):
                group.append((id_, score))
                break
        else:
            groups.append((value, [(id_, score)]))
    return [pair for _, group in groups[:k] for pair in group[:group_size]]


def same_json(value: object, other: object) -> bool:
    """Compare JSON: numbers by value, and True is not 1."""
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(
            same_json(value[key], other[key]) for key in value
        )
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(same_json, value, other))
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    if isinstance(value, int | float) and isinstance(other, int | float):
        return value == other
    return type(value) is type(other) and value == other
