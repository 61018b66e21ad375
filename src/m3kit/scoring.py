"""
How M3 scores a query against documents, one function for each representation.

All are vectorised over the candidates. A document's score does not depend on its position among
them: equal vectors have equal scores to the last bit, so that ties are detected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from m3kit._batching import batched, chunked
from m3kit._products import SHARED_TOKENS, multiply, on_cores
from m3kit.vectors import Floats, Ints, M3Output, Rep, Sparse

_T = TypeVar("_T")

PADDING = _ROWS = 64
"""Matrix products are padded to a multiple of this, away from the kernels' ragged edges."""

_BLOCK = 2**14
"""Document tokens that a core scores at once."""

_CONVERTED = 2 * _ROWS
"""Rows of another type that are converted at once."""

_HALF_BITS = np.int32(-0x70002000)
"""Of a float16's bits in a float32: the sign, and the exponent and fraction below it."""

_HALF_RANGE = np.float32(2.0**112)

_CELLS = 2**22
"""The size of a matrix of lexical weights, to bound the memory."""


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
    Score the lexical weights of every query and every document, as `overlap` does for one query.

    This is a product of sparse matrices, restricted to the columns of the queries' tokens.

    Returns:
        Shape `(queries, documents)`.
    """
    if not queries or not documents:
        return np.zeros((len(queries), len(documents)), dtype=np.float32)
    ids, rows, weights = _entries(queries)
    known, columns = np.unique(ids, return_inverse=True)
    matrix = np.zeros((len(queries), len(known)), dtype=np.float32)
    matrix[rows, columns] = weights
    budget = max(1, _CELLS // max(1, len(known)))
    parts = [_product(matrix, known, batch) for batch in batched(documents, budget)]
    return np.concatenate(parts, axis=1)


def _product(queries: Floats, known: Ints, documents: Sequence[Sparse]) -> Floats:
    """Multiply queries, which have a column for each of the `known` ids, with documents."""
    ids, rows, weights = _entries(documents)
    width = len(known) + 1  # all other ids go to the last column, -1
    matrix = np.zeros((-(-len(documents) // _ROWS) * _ROWS, width), dtype=np.float32)
    matrix.reshape(-1)[rows * width + _places(known, ids)] = weights
    product = np.empty((len(matrix), len(queries)), dtype=np.float32)
    multiply(matrix[:, :-1], np.ascontiguousarray(queries.T), product)
    return product[: len(documents)].T


def _places(known: Ints, ids: Ints) -> NDArray[np.signedinteger[Any]]:
    """Return the position of each of `ids` in `known`, which is sorted; -1 if it is not there."""
    last = int(known[-1]) if len(known) else -1
    if last < _CELLS:  # true of every tokenizer: a table is faster than a search
        table = np.full(last + 2, -1, dtype=np.int32)
        table[known] = np.arange(len(known), dtype=np.int32)
        return table[np.minimum(ids, last + 1)]
    place = np.searchsorted(known, ids).clip(max=len(known) - 1)
    return np.where(known[place] == ids, place, -1)


def _entries(weights: Sequence[Sparse]) -> tuple[Ints, Ints, Floats]:
    """Return ids, rows and weights of a sparse matrix that has a row for each text."""
    ids = [sparse.ids for sparse in weights]
    rows = np.repeat(np.arange(len(weights)), list(map(len, ids)))
    return np.concatenate(ids), rows, np.concatenate([sparse.weights for sparse in weights])


@dataclass(frozen=True, slots=True)
class Stacked:
    """
    The ColBERT vectors of documents end to end, to be scored many times; see `maxsim`.

    Args:
        tokens: Shape `(rows, dim)`; 64 rows of zeros follow the last token. Of another type than
            float32, they are converted block by block.
        starts: The row of each document's first token, shape `(n,)`.
        total: How many rows are tokens.
        scale: What a stored number is multiplied by.
    """

    tokens: NDArray[Any]
    starts: Ints
    total: int
    scale: float = 1.0

    @classmethod
    def of(cls, documents: Sequence[Floats]) -> Stacked:
        """Copy documents, each of shape `(tokens, dim)`, at least one of them."""
        lengths = np.array([len(document) for document in documents], dtype=np.int64)
        total = int(lengths.sum())
        tokens = np.empty((total + _ROWS, documents[0].shape[1]), dtype=np.float32)
        np.concatenate(documents, out=tokens[:total])
        tokens[total:] = 0
        return cls(tokens, lengths.cumsum() - lengths, total)

    def __len__(self) -> int:
        return len(self.starts)


def maxsim(query: Floats, documents: Sequence[Floats] | Stacked) -> Floats:
    """
    Score ColBERT vectors: the mean over query tokens of the best document token.

    The mean, where ColBERT itself sums, is M3's definition (paper, section 3.1; FlagEmbedding's
    `colbert_score`). For documents that are scored more than once, `Stacked` is faster.

    Args:
        query: Shape `(query tokens, dim)`.
        documents: Each of shape `(tokens, dim)`, at least one token.

    Returns:
        Shape `(n,)`.
    """
    if not len(documents):
        return np.zeros(0, dtype=np.float32)
    columns = np.ascontiguousarray(query.T)
    if isinstance(documents, Stacked):
        columns = columns * np.float32(documents.scale)
        tokens, blocks = documents.total, _rows(documents)
    else:
        tokens, blocks = sum(map(len, documents)), _documents(documents)
    means = on_cores(partial(_block_scores, columns), blocks, shared=tokens >= SHARED_TOKENS)
    return np.concatenate(means)


@dataclass(frozen=True, slots=True)
class _Block:
    """Neighbouring documents: their vectors in one or more matrices, and the first row of each."""

    parts: Sequence[NDArray[Any]]
    starts: Ints
    total: int


def _documents(documents: Sequence[Floats]) -> Iterator[_Block]:
    """Yield documents without copying them; each is multiplied on its own."""
    for chunk in chunked(documents, size=len, budget=_BLOCK):
        ends = np.cumsum([len(document) for document in chunk])
        yield _Block(chunk, np.append(0, ends[:-1]), int(ends[-1]))


def _rows(stacked: Stacked) -> Iterator[_Block]:
    """Yield slices of stacked documents, padded by the 64 rows after the last token."""
    lengths = np.diff(stacked.starts, append=stacked.total).tolist()
    for chunk in chunked(range(len(lengths)), size=lengths.__getitem__, budget=_BLOCK):
        starts = stacked.starts[chunk[0] : chunk[-1] + 1]
        total = int(starts[-1] - starts[0]) + lengths[chunk[-1]]
        tokens = stacked.tokens[starts[0] :][: -(-total // _ROWS) * _ROWS]
        yield _Block([tokens], starts - starts[0], total)


def _block_scores(columns: Floats, block: _Block) -> Floats:
    """Score documents for a query whose token vectors are the columns."""
    rows = sum(map(len, block.parts))
    similarity = np.empty((rows, columns.shape[1]), dtype=np.float32)
    stop = 0
    for part in block.parts:
        for rows_of_part in _as_floats(part):
            start, stop = stop, stop + len(rows_of_part)
            multiply(rows_of_part, columns, similarity[start:stop])
    return mean_of_best(similarity[: block.total], block.starts)


def _as_floats(part: NDArray[Any]) -> Iterator[Floats]:
    """Yield the rows as float32; where that is a copy, so many at a time as stay in the cache."""
    if part.dtype == np.float32:
        yield part
        return
    convert = _from_half if part.dtype == np.float16 else _from_any
    for start in range(0, len(part), _CONVERTED):
        yield convert(part[start : start + _CONVERTED])


def _from_any(rows: NDArray[Any]) -> Floats:
    return rows.astype(np.float32)


def _from_half(rows: NDArray[np.float16]) -> Floats:
    """
    Convert finite numbers, twice as fast as NumPy does.

    The bits of a float16, in the places that they have in a float32, stand for its value in another
    range of exponents: for 2⁻¹¹² of it.
    """
    bits = rows.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= _HALF_BITS
    floats = bits.view(np.float32)
    floats *= _HALF_RANGE
    return floats


def mean_of_best(similarity: Floats, starts: Ints) -> Floats:
    """
    Average, over the query tokens, the similarity of each document's nearest token.

    Args:
        similarity: Of all tokens of documents, end to end, shape `(tokens, query tokens)`.
        starts: The row of each document's first token.

    Returns:
        Shape `(n,)`.
    """
    best = np.maximum.reduceat(similarity, starts, axis=0)
    mean: Floats = best.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mean


def scores(rep: Rep, query: M3Output, documents: Sequence[M3Output]) -> Floats:
    """
    Score documents by a representation that the query and all documents carry.

    Returns:
        Shape `(n,)`.

    Raises:
        ValueError: If the query or a document does not carry it.
    """
    match rep:
        case "dense":
            dense = [require(document.dense, rep) for document in documents]
            vector = require(query.dense, rep)
            return dot(vector, np.stack(dense) if dense else np.zeros((0, len(vector)), np.float32))
        case "sparse":
            sparse = [require(document.sparse, rep) for document in documents]
            return overlap(require(query.sparse, rep), sparse)
        case "colbert":
            colbert = [require(document.colbert, rep) for document in documents]
            return maxsim(require(query.colbert, rep), colbert)
        case _:
            assert_never(rep)


def require(vectors: _T | None, rep: Rep) -> _T:
    """Return the vectors of `rep`; raise `ValueError` if there are none."""
    if vectors is None:
        raise ValueError(f"an output carries no {rep} vectors")
    return vectors
