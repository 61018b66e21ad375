"""
How M3 scores a query against documents, one function for each representation.

All are vectorised over the candidates, and a document's score does not depend on its place among
them: equal vectors score equal to the last bit, so that a tie is seen as one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from m3kit.batches import batched, chunked
from m3kit.vectors import Floats, Ints, M3Output, Rep, Sparse

_T = TypeVar("_T")
_Item = TypeVar("_Item")

_ROWS = 64
"""Matrix products are padded to a multiple of this, away from the kernels' ragged edges."""

_SMALL = 10**6
"""Multiplications up to which OpenBLAS takes its small-matrix kernel, which copies nothing."""

_BLOCK = 1024
"""Document tokens that are laid end to end at once: few enough to stay in a core's cache."""

_CELLS = 2**22
"""Numbers of a matrix of lexical weights that are held at once."""

_SHARED = 2**14
"""Document tokens from which on the cores share the work."""


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


def lexical_scores(queries: Sequence[Sparse], documents: Sequence[Sparse]) -> Floats:
    """
    Score every query's lexical weights against every document's, as `overlap` scores one's.

    A product of sparse matrices, of which only the columns of the queries' tokens are made.

    Returns:
        Shape `(queries, documents)`.
    """
    if not queries or not documents:
        return np.zeros((len(queries), len(documents)), dtype=np.float32)
    asked, rows, weights = _entries(queries)
    known, columns = np.unique(asked, return_inverse=True)
    matrix = np.zeros((len(queries), len(known)), dtype=np.float32)
    matrix[rows, columns] = weights
    budget = max(1, _CELLS // max(1, len(known)))
    parts = [_product(matrix, known, some) for some in batched(documents, budget)]
    return np.concatenate(parts, axis=1)


def _product(queries: Floats, known: Ints, documents: Sequence[Sparse]) -> Floats:
    """Multiply queries, with a column for each id that is `known`, with documents."""
    ids, rows, weights = _entries(documents)
    width = len(known) + 1  # what nobody asks for lands in a last column, which -1 means
    held = np.zeros((-(-len(documents) // _ROWS) * _ROWS, width), dtype=np.float32)
    held.reshape(-1)[rows * width + _places(known, ids)] = weights
    product: Floats = (held[:, :-1] @ queries.T)[: len(documents)].T
    return product


def _places(known: Ints, ids: Ints) -> NDArray[np.signedinteger[Any]]:
    """Return where each of `ids` stands among `known`, which are sorted; -1 where it does not."""
    last = int(known[-1]) if len(known) else -1
    if last < _CELLS:  # as for every tokenizer: looking up beats searching
        table = np.full(last + 2, -1, dtype=np.int32)
        table[known] = np.arange(len(known), dtype=np.int32)
        return table[np.minimum(ids, last + 1)]
    place = np.searchsorted(known, ids).clip(max=len(known) - 1)
    return np.where(known[place] == ids, place, -1)


def _entries(weights: Sequence[Sparse]) -> tuple[Ints, Ints, Floats]:
    """Return ids, rows and weights of a sparse matrix that has a row for each text."""
    ids = [one.ids for one in weights]
    rows = np.repeat(np.arange(len(weights)), list(map(len, ids)))
    return np.concatenate(ids), rows, np.concatenate([one.weights for one in weights])


@dataclass(frozen=True, slots=True)
class Stacked:
    """
    The ColBERT vectors of documents end to end, to be scored many times; see `maxsim`.

    Args:
        tokens: Shape `(rows, dim)`, padded to a multiple of 64 rows.
        starts: The row of each document's first token, shape `(n,)`.
        total: How many rows are tokens.
    """

    tokens: Floats
    starts: Ints
    total: int

    @classmethod
    def of(cls, documents: Sequence[Floats]) -> Stacked:
        """Copy documents, each of shape `(tokens, dim)`, at least one of them."""
        lengths = np.array([len(document) for document in documents], dtype=np.int64)
        total = int(lengths.sum())
        rows = -(-total // _ROWS) * _ROWS
        tokens = np.empty((rows, documents[0].shape[1]), dtype=np.float32)
        np.concatenate(documents, out=tokens[:total])
        tokens[total:] = 0
        return cls(tokens, lengths.cumsum() - lengths, total)

    def __len__(self) -> int:
        return len(self.starts)


def maxsim(query: Floats, documents: Sequence[Floats] | Stacked) -> Floats:
    """
    Score ColBERT vectors: the mean over query tokens of the best document token.

    The mean, where ColBERT itself sums, is M3's definition (paper, section 3.1; FlagEmbedding's
    `colbert_score`). Documents that are scored more than once are best kept `Stacked`.

    Args:
        query: Shape `(query tokens, dim)`.
        documents: Each of shape `(tokens, dim)`, at least one token.

    Returns:
        Shape `(n,)`.
    """
    if not len(documents):
        return np.zeros(0, dtype=np.float32)
    if isinstance(documents, Stacked):
        best = np.maximum.reduceat(_similarity(query, documents), documents.starts, axis=0)
        return _mean(best)
    blocks = list(chunked(documents, size=len, budget=_BLOCK))

    def score(block: Sequence[Floats]) -> Floats:
        return maxsim(query, Stacked.of(block))

    return np.concatenate(_each(score, blocks, shared=sum(map(len, documents)) >= _SHARED))


def _similarity(query: Floats, documents: Stacked) -> Floats:
    """
    Multiply all tokens with all query tokens, shape `(total, query tokens)`.

    A matrix product with few columns is bound by memory: in small steps nothing is copied.
    """
    tokens, columns = documents.tokens, np.ascontiguousarray(query.T)
    step = next((n for n in (64, 32, 16) if n * query.size <= _SMALL), 0)
    if not step:
        product: Floats = tokens @ columns
        return product[: documents.total]
    similarity = np.empty((len(tokens), len(query)), dtype=np.float32)

    def multiply(start: int) -> None:
        part = slice(start, start + _SHARED // 4)
        rows = tokens[part].reshape(-1, step, tokens.shape[1])
        np.matmul(rows, columns, out=similarity[part].reshape(-1, step, len(query)))

    starts = range(0, len(tokens), _SHARED // 4)
    _each(multiply, starts, shared=len(tokens) >= _SHARED)
    return similarity[: documents.total]


def _each(work: Callable[[_Item], _T], items: Iterable[_Item], *, shared: bool) -> list[_T]:
    """Do some work for each item, on all cores if it is `shared` among them."""
    if not shared:
        return list(map(work, items))
    from concurrent.futures import ThreadPoolExecutor  # a tenth of what importing m3kit takes

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))


def _mean(best: Floats) -> Floats:
    mean: Floats = best.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mean


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
