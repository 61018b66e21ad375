"""
The rank profiles: what Vespa computes.

    m3_dense, m3_sparse, m3_colbert   One representation's own score, as the first phase.
    m3_rrf        RRF of dense and sparse, exact, in the global phase.
    m3_weighted   The weighted sum of what the query carries, in the global phase.

Of a fusion, the first phase only chooses what the global phase sees: all that the dense branch
found, then the best of the sparse branch. There, a document has a rank in a branch only if it is
among its `candidates` best, as if the branch had been asked alone.

Vespa gives documents of equal scores any order. So each score is ranked twice, with a tiny share of
the document's salt added and taken away: where the ranks differ, documents tie, and where that may
change the answer, the score is above `TIE`. Who asks then breaks the tie itself.

All names begin with `m3_`: a function must not have a field's name. A comparison has the query's
input on its left: with a number there and an input on its right, Vespa's global phase compares the
wrong way round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vespa.package import Function, GlobalPhaseRanking, RankProfile

from m3kit.adapters.storage import INT8_SCALE
from m3kit.vectors import REPS, Rep
from m3kit_vespa.shape import Shape

SCORES: Mapping[Rep, str] = {rep: f"m3_{rep}_score" for rep in REPS}
"""The functions, and match features, that are a representation's own scores."""

INPUTS: Mapping[Rep, str] = {rep: f"m3_{rep}" for rep in REPS}
"""The inputs that take a query's vectors."""

PROFILES: Mapping[Rep, str] = INPUTS
"""The profiles that rank by one representation."""

TIE = 1e6
"""Above half of this, a score says that ties decide; below minus that, it is no candidate's."""

RERANKED = 1_000
"""How many documents a global phase sees unless a query says otherwise."""

_SALTED = 1e-7
"""What a salt adds at most: less than scores differ, and more than the noise of adding up."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """
    A field of tensors.

    Args:
        field: Its name.
        mapped: The name of its mapped dimension, the tokens, where it has one.
        indexed: The name of its indexed dimension, where it has one.
    """

    field: str
    mapped: str = ""
    indexed: str = ""


OWN: Mapping[Rep, Vectors] = {
    "dense": Vectors("dense", indexed="x"),
    "sparse": Vectors("sparse", mapped="token"),
    "colbert": Vectors("colbert", mapped="t", indexed="x"),
}
"""The fields of a schema that `m3_package` makes."""


def rank_profiles(shape: Shape) -> Iterator[RankProfile]:
    """Yield the rank profiles of a schema that `m3_package` makes."""
    yield from score_profiles(shape, OWN)
    if {"dense", "sparse"} <= shape.reps:
        yield _fused("m3_rrf", shape, _rrf())
    if len(shape.reps) > 1:
        yield _fused("m3_weighted", shape, _weighted(shape))


def score_profiles(shape: Shape, fields: Mapping[Rep, Vectors]) -> Iterator[RankProfile]:
    """
    Yield the profiles that rank by one representation, and the one they inherit from.

    Args:
        shape: What the schema holds.
        fields: The fields of its vectors.
    """
    held = [rep for rep in REPS if rep in shape.reps]
    yield RankProfile(
        "m3_scores",
        first_phase="0",
        inputs=[*_inputs(shape, fields)],
        functions=[Function(SCORES[rep], _score(rep, shape, fields[rep])) for rep in held],
        match_features=[SCORES[rep] for rep in held],
    )
    for rep in held:
        yield RankProfile(PROFILES[rep], inherits="m3_scores", first_phase=SCORES[rep])


def _inputs(
    shape: Shape, fields: Mapping[Rep, Vectors]
) -> Iterator[tuple[str, str] | tuple[str, str, str]]:
    tensors = {
        "dense": "tensor<float>({0.indexed}[{1}])",
        "sparse": "tensor<float>({0.mapped}{{}})",
        "colbert": "tensor<float>(m3_q{{}}, {0.indexed}[{1}])",
    }
    for rep in REPS:
        if rep in shape.reps:
            yield f"query({INPUTS[rep]})", tensors[rep].format(fields[rep], shape.dim)
    numbers = {"tokens": "1.0", "k": "60.0", "candidates": "100.0", "by_dense": "1.0"}
    numbers |= {"w_dense": "1.0", "w_sparse": "0.3", "w_colbert": "1.0"}
    yield from ((f"query(m3_{name})", "double", default) for name, default in numbers.items())


def _score(rep: Rep, shape: Shape, of: Vectors) -> str:
    product = f"query({INPUTS[rep]}) * attribute({of.field})"
    if rep != "colbert":
        return f"sum({product})"
    best = f"reduce(sum({product}, {of.indexed}), max, {of.mapped})"
    match shape.colbert.dtype:
        case "int8":
            return f"sum({best}, m3_q) / (query(m3_tokens) * {INT8_SCALE})"
        case "binary":  # bits are 0 and 1, and stand for -1 and 1 over the root of the width
            best = best.replace(f"attribute({of.field})", f"unpack_bits(attribute({of.field}))")
            signed = f"2 * {best} - sum(query(m3_colbert), {of.indexed})"
            return f"sum({signed}, m3_q) / (query(m3_tokens) * sqrt({shape.dim}))"
        case _:
            return f"sum({best}, m3_q) / query(m3_tokens)"


def _fused(name: str, shape: Shape, expression: str) -> RankProfile:
    return RankProfile(
        name,
        inherits="m3_scores",
        first_phase=_found(shape),
        functions=[*_salted(shape)],
        global_phase=GlobalPhaseRanking(expression, rerank_count=RERANKED),
    )


def _found(shape: Shape) -> str:
    """Put what the dense branch found before the rest, which goes by its sparse score."""
    dense, sparse = SCORES["dense"], SCORES["sparse"]
    if "sparse" not in shape.reps:
        return dense
    rest = f"{sparse} / (1 + {sparse})"
    if "dense" not in shape.reps:
        return rest
    return f"if (rawScore(dense) > 0, 2 + {dense}, {rest})"


def _salted(shape: Shape) -> Iterator[Function]:
    """Of two that tie, the one with the more salt is first upwards and second downwards."""
    salt = f"attribute(salt) * {_SALTED / 2**31:.17g}"
    for rep in ("dense", "sparse"):
        if rep not in shape.reps:
            continue
        for way, sign in (("up", "+"), ("down", "-")):
            salted = f"{SCORES[rep]} {sign} {salt}"
            if rep == "sparse":  # what shares no token has no rank, and so no tie
                salted = f"if ({SCORES[rep]} > 0, {salted}, -1)"
            yield Function(f"m3_{rep}_{way}", salted)


def _rank(rep: Rep, way: str) -> str:
    """Rank from 1; the normalizer itself gives 1 / (1 + rank)."""
    return f"floor(1 / reciprocal_rank(m3_{rep}_{way}, 1.0) - 0.5)"


def _is_among(rep: Rep) -> str:
    """Tell whether a document is among the best of a branch."""
    counts = "query(m3_by_dense)" if rep == "dense" else f"({SCORES[rep]} > 0)"
    return f"{counts} * (query(m3_depth) >= {_rank(rep, 'up')})"


def _rrf() -> str:
    ranks = [
        f"if ({_is_among(rep)} > 0, 1 / (query(m3_k) + {_rank(rep, 'up')}), 0)"
        for rep in ("dense", "sparse")
    ]
    ties = [
        f"if (query(m3_depth) >= min({_rank(rep, 'up')}, {_rank(rep, 'down')}), "
        f"{_rank(rep, 'up')} != {_rank(rep, 'down')}, 0)"
        for rep in ("dense", "sparse")
    ]
    return f"if (max({', '.join(ties)}) > 0, {TIE:.0f}, 0) + {' + '.join(ranks)}"


def _weighted(shape: Shape) -> str:
    branches: list[Rep] = [rep for rep in ("dense", "sparse") if rep in shape.reps]
    counts = {"dense": "query(m3_by_dense) * ", "sparse": ""}
    ties = [
        f"{counts[rep]}((query(m3_depth) >= {_rank(rep, 'up')}) != "
        f"(query(m3_depth) >= {_rank(rep, 'down')}))"
        for rep in branches
    ]
    score = " + ".join(f"query(m3_w_{rep}) * {SCORES[rep]}" for rep in REPS if rep in shape.reps)
    among = _max([_is_among(rep) for rep in branches])
    return f"if ({_max(ties)} > 0, {TIE:.0f}, 0) + if ({among} > 0, {score}, -{TIE:.0f})"


def _max(terms: list[str]) -> str:
    return terms[0] if len(terms) == 1 else f"max({', '.join(terms)})"
