"""
The rank profiles: what Vespa computes.

    m3_dense, m3_sparse, m3_colbert   One representation's own score, as the first phase.
    m3_rrf        RRF of dense and sparse, exact, in the global phase.
    m3_weighted   The weighted sum of what the query carries, in the global phase.

Of a fusion, the first phase only chooses what the global phase sees: all that the dense branch
found, then the best of the sparse branch. There, a document has a rank in a branch only if it is
among its `candidates` best, as if the branch had been asked alone.

Vespa gives documents of equal scores any order, so the profiles detect ties: they rank with a tiny
salt added and again subtracted; where the two ranks differ, documents are tied. Where that may
change the answer, `Relevance` says so, and the caller breaks the tie.

All names begin with `m3_`: a function must not have a field's name. A comparison has the query's
input on its left: with a number there and an input on its right, Vespa's global phase compares the
wrong way round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from vespa.package import Function, GlobalPhaseRanking, RankProfile

from m3kit.adapters.manifest import Manifest
from m3kit.adapters.storage import INT8_SCALE
from m3kit.vectors import REPS, Rep

SCORES: Mapping[Rep, str] = {rep: f"m3_{rep}_score" for rep in REPS}
"""The functions, and match features, that are a representation's own scores."""

INPUTS: Mapping[Rep, str] = {rep: f"m3_{rep}" for rep in REPS}
"""The inputs that take a query's vectors."""

PROFILES: Mapping[Rep, str] = INPUTS
"""The profiles that rank by one representation."""

_MARK = 1e6
"""Far above any score: a fused profile gives it to tied documents, and minus it to no candidate."""

_RERANKED = 1_000
"""How many documents a global phase sees unless a query says otherwise."""

_SALTED = 1e-7
"""What a salt adds at most: less than scores differ, and more than the noise of adding up."""


class Relevance(NamedTuple):
    """
    What a fused profile says of a document.

    Args:
        score: The fused score; 0 unless it is a candidate and not tied.
        is_candidate: Whether it is among the best of a branch.
        is_tied: Whether documents of equal scores decide its rank.
    """

    score: float
    is_candidate: bool
    is_tied: bool

    @classmethod
    def decode(cls, relevance: float) -> Self:
        """Read the number that `_encoded` computes."""
        if abs(relevance) < _MARK / 2:
            return cls(relevance, is_candidate=True, is_tied=False)
        return cls(0.0, is_candidate=relevance > 0, is_tied=relevance > 0)


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


VECTORS: Mapping[Rep, Vectors] = {
    "dense": Vectors("dense", indexed="x"),
    "sparse": Vectors("sparse", mapped="token"),
    "colbert": Vectors("colbert", mapped="t", indexed="x"),
}
"""The fields of a schema that `m3_package` makes."""


def rank_profiles(manifest: Manifest) -> Iterator[RankProfile]:
    """Yield the rank profiles of a schema that `m3_package` makes."""
    yield from score_profiles(manifest, VECTORS)
    branches: list[Rep] = [rep for rep in ("dense", "sparse") if rep in manifest.reps]
    if len(branches) == 2:
        yield _fused("m3_rrf", branches, _rrf())
    if len(manifest.reps) > 1:
        reps = [rep for rep in REPS if rep in manifest.reps]
        yield _fused("m3_weighted", branches, _weighted(branches, reps))


def score_profiles(manifest: Manifest, fields: Mapping[Rep, Vectors]) -> Iterator[RankProfile]:
    """
    Yield the profiles that rank by one representation, and the one they inherit from.

    Args:
        manifest: What the schema holds.
        fields: The fields of its vectors.
    """
    reps = [rep for rep in REPS if rep in manifest.reps]
    yield RankProfile(
        "m3_scores",
        first_phase="0",
        inputs=[*_inputs(manifest, fields)],
        functions=[Function(SCORES[rep], _score(rep, manifest, fields[rep])) for rep in reps],
        match_features=[SCORES[rep] for rep in reps],
    )
    for rep in reps:
        yield RankProfile(PROFILES[rep], inherits="m3_scores", first_phase=SCORES[rep])


def _inputs(
    manifest: Manifest, fields: Mapping[Rep, Vectors]
) -> Iterator[tuple[str, str] | tuple[str, str, str]]:
    tensors = {
        "dense": "tensor<float>({0.indexed}[{1}])",
        "sparse": "tensor<float>({0.mapped}{{}})",
        "colbert": "tensor<float>(m3_q{{}}, {0.indexed}[{1}])",
    }
    for rep in REPS:
        if rep in manifest.reps:
            yield f"query({INPUTS[rep]})", tensors[rep].format(fields[rep], manifest.dim)
    numbers = {"tokens": "1.0", "k": "60.0", "candidates": "100.0", "by_dense": "1.0"}
    numbers |= {"w_dense": "1.0", "w_sparse": "0.3", "w_colbert": "1.0"}
    yield from ((f"query(m3_{name})", "double", default) for name, default in numbers.items())


def _score(rep: Rep, manifest: Manifest, vectors: Vectors) -> str:
    product = f"query({INPUTS[rep]}) * attribute({vectors.field})"
    if rep != "colbert":
        return f"sum({product})"
    best = f"reduce(sum({product}, {vectors.indexed}), max, {vectors.mapped})"
    match manifest.colbert.dtype:
        case "int8":
            return f"sum({best}, m3_q) / (query(m3_tokens) * {INT8_SCALE})"
        case "binary":  # bits are 0 and 1, and stand for -1 and 1 over the root of the width
            attribute = f"attribute({vectors.field})"
            best = best.replace(attribute, f"unpack_bits({attribute})")
            signed = f"2 * {best} - sum(query(m3_colbert), {vectors.indexed})"
            return f"sum({signed}, m3_q) / (query(m3_tokens) * sqrt({manifest.dim}))"
        case _:
            return f"sum({best}, m3_q) / query(m3_tokens)"


def _fused(name: str, branches: Sequence[Rep], expression: str) -> RankProfile:
    return RankProfile(
        name,
        inherits="m3_scores",
        first_phase=_first_phase(branches),
        functions=[function for rep in branches for function in _salted(rep)],
        global_phase=GlobalPhaseRanking(expression, rerank_count=_RERANKED),
    )


def _first_phase(branches: Sequence[Rep]) -> str:
    """Put what the dense branch found before the rest, which goes by its sparse score."""
    dense, sparse = SCORES["dense"], SCORES["sparse"]
    if "sparse" not in branches:
        return dense
    rest = f"{sparse} / (1 + {sparse})"
    return f"if (rawScore(dense) > 0, 2 + {dense}, {rest})" if "dense" in branches else rest


def _salted(rep: Rep) -> Iterator[Function]:
    """Detect ties: rank with a tiny salt added and again subtracted."""
    for direction, sign in (("up", "+"), ("down", "-")):
        salted = f"{SCORES[rep]} {sign} attribute(salt) * {_SALTED / 2**31:.17g}"
        if rep == "sparse":  # what shares no token has no rank, and so no tie
            salted = f"if ({SCORES[rep]} > 0, {salted}, -1)"
        yield Function(f"m3_{rep}_{direction}", salted)


def _rank(rep: Rep, direction: str) -> str:
    """Rank from 1; the normalizer itself gives 1 / (1 + rank)."""
    return f"floor(1 / reciprocal_rank(m3_{rep}_{direction}, 1.0) - 0.5)"


def _is_among(rep: Rep) -> str:
    """Tell whether a document is among the best of a branch."""
    counts = "query(m3_by_dense)" if rep == "dense" else f"({SCORES[rep]} > 0)"
    return f"{counts} * (query(m3_candidates) >= {_rank(rep, 'up')})"


def _rrf() -> str:
    """A tie decides where a document of the branch has two ranks."""
    branches: tuple[Rep, ...] = ("dense", "sparse")
    ranks = [
        f"if ({_is_among(rep)} > 0, 1 / (query(m3_k) + {_rank(rep, 'up')}), 0)" for rep in branches
    ]
    ties = [
        f"if (query(m3_candidates) >= min({_rank(rep, 'up')}, {_rank(rep, 'down')}), "
        f"{_rank(rep, 'up')} != {_rank(rep, 'down')}, 0)"
        for rep in branches
    ]
    return _encoded(_max(ties), _max([*map(_is_among, branches)]), " + ".join(ranks))


def _weighted(branches: Sequence[Rep], reps: Sequence[Rep]) -> str:
    """A tie decides where one rank of a document is among the best and the other is not."""
    counts = {"dense": "query(m3_by_dense) * ", "sparse": ""}
    ties = [
        f"{counts[rep]}((query(m3_candidates) >= {_rank(rep, 'up')}) != "
        f"(query(m3_candidates) >= {_rank(rep, 'down')}))"
        for rep in branches
    ]
    score = " + ".join(f"query(m3_w_{rep}) * {SCORES[rep]}" for rep in reps)
    return _encoded(_max(ties), _max([*map(_is_among, branches)]), score)


def _encoded(tied: str, is_candidate: str, score: str) -> str:
    """Put a `Relevance` into one number."""
    return f"if ({tied} > 0, {_MARK:.0f}, if ({is_candidate} > 0, {score}, -{_MARK:.0f}))"


def _max(terms: Sequence[str]) -> str:
    return terms[0] if len(terms) == 1 else f"max({', '.join(terms)})"
