"""
How M3 scores a query against documents, one function for each representation.

All are vectorised over the candidates, and a document's score does not depend on its place among
them: equal vectors score equal to the last bit, so that a tie is seen as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, assert_never

import numpy as np

from m3kit.vectors import Floats, M3Output, Rep, Sparse

_T = TypeVar("_T")

_ROWS = 64
"""Matrix products are padded to a multiple of this, away from the kernels' ragged edges."""


def dot(query: Floats, documents: Floats) -> Floats:
    """
    Score dense vectors by their inner product, the cosine of unit vectors.

    Args:
        query: Shape `(dim,)`.
        documents: Shape `(n, dim)`.

    Returns:
        Shape `(n,)`.
    """
    scores: Floats = np.vecdot(documents, query).astype(np.float32, copy=False)
    return scores


def overlap(query: Sparse, documents: Sequence[Sparse]) -> Floats:
    """
    Score lexical weights: the sum over shared tokens of the products of their weights.

    Returns:
        Shape `(n,)`; 0 where no token is shared.
    """
    lengths = [len(document) for document in documents]
    if not len(query) or not sum(lengths):
        return np.zeros(len(documents), dtype=np.float32)
    ids = np.concatenate([document.ids for document in documents])
    weights = np.concatenate([document.weights for document in documents])
    place = np.searchsorted(query.ids, ids).clip(max=len(query) - 1)
    shared = query.ids[place] == ids
    row = np.repeat(np.arange(len(documents)), lengths)
    products = query.weights[place[shared]].astype(np.float64) * weights[shared]
    return np.bincount(row[shared], products, minlength=len(documents)).astype(np.float32)


def maxsim(query: Floats, documents: Sequence[Floats]) -> Floats:
    """
    Score ColBERT vectors: the mean over query tokens of the best document token.

    The mean, where ColBERT itself sums, is M3's definition (paper, section 3.1; FlagEmbedding's
    `colbert_score`).

    Args:
        query: Shape `(query tokens, dim)`.
        documents: Each of shape `(tokens, dim)`, at least one token.

    Returns:
        Shape `(n,)`.
    """
    if not documents:
        return np.zeros(0, dtype=np.float32)
    lengths = np.array([len(document) for document in documents])
    total = int(lengths.sum())
    tokens = np.zeros((-(-total // _ROWS) * _ROWS, query.shape[1]), dtype=np.float32)
    np.concatenate(documents, out=tokens[:total])
    similarity = tokens @ query.T
    best = np.maximum.reduceat(similarity[:total], np.cumsum(lengths) - lengths, axis=0)
    scores: Floats = best.mean(axis=1, dtype=np.float64).astype(np.float32)
    return scores


def scores(rep: Rep, query: M3Output, documents: Sequence[M3Output]) -> Floats:
    """
    Score documents by one representation, which the query and all of them carry.

    Returns:
        Shape `(n,)`.

    Raises:
        ValueError: If the query or a document does not carry it.
    """
    match rep:
        case "dense":
            dense = [carried(document.dense, rep) for document in documents]
            vector = carried(query.dense, rep)
            return dot(vector, np.stack(dense) if dense else np.zeros((0, len(vector)), np.float32))
        case "sparse":
            sparse = [carried(document.sparse, rep) for document in documents]
            return overlap(carried(query.sparse, rep), sparse)
        case "colbert":
            colbert = [carried(document.colbert, rep) for document in documents]
            return maxsim(carried(query.colbert, rep), colbert)
        case _:
            assert_never(rep)


def carried(vectors: _T | None, rep: Rep) -> _T:
    """Return the vectors of `rep`, or refuse an output without them."""
    if vectors is None:
        raise ValueError(f"an output carries no {rep} vectors")
    return vectors
