"""
Vectors of documents and queries by the million, for `benchmarks.scale`.

Two sets of dense vectors, 1,024 wide, of unit length. `tiny` is fitted to the shipped model's
vectors of 10,000 sections in three languages; `benchmarks.scale_fit` measures both. The i-th
largest variance is in proportion to i^-0.31 exp(-i / 100), along axes at random, and the mean
vector has 0.17 of the squared length. As sections resemble others of their page, documents share
parts of their variance by twos, eights and so on: the nearest of 10,000 has a median cosine of .81
with a query, the tenth .59, the hundredth .41 (the model's: .81, .59, .44). `islands`: 2,000
centres at right angles, nearly, and documents around them, which is hard for a graph. Lexical
weights: 14 of a document and 6 of a query, whose tokens are distributed by Zipf's law.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import numpy as np

from m3kit import M3Output, Sparse
from m3kit.scoring import require
from m3kit.vectors import Floats, Ints

Data: TypeAlias = Literal["tiny", "islands"]

DIM = 1024
_ISLANDS = 2_000
_VOCABULARY = 30_000
_TOKENS = {"document": 14, "query": 6}
_QUERY_SEED = 10**9
_GROUPS = (2, 8, 32, 128)
"""How many documents that follow each other share a part of their variance, from the least on."""

_SHARED, _DECLINE = 0.76, 0.21
"""What groups of 2 share of the variance, and the power by which larger ones share less."""

_DENSE, _SPARSE, _GROUP, _CHOSEN = 1, 2, 4, 5
"""What a seed is for."""


class Generator:
    """
    Vectors of documents or of queries, batch by batch; the seed decides them.

    Args:
        data: Which of the two sets.
        documents: How many there are; each query is like one of them.
    """

    def __init__(self, data: Data, documents: int) -> None:
        rng = np.random.default_rng(0)
        self._data = data
        self._documents = documents
        ranks = np.arange(1, DIM + 1)
        deviations = np.sqrt(ranks**-0.31 * np.exp(-ranks / 100))
        deviations /= np.linalg.norm(deviations)
        axes, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((DIM, DIM)))
        self._axes = (deviations[:, None] * axes).astype(np.float32)
        mean = rng.standard_normal(DIM)
        mean *= np.sqrt(0.17 / 0.83) / np.linalg.norm(mean)
        self._mean = mean.astype(np.float32)
        self._centres = rng.standard_normal((_ISLANDS, DIM)).astype(np.float32)
        self._centres /= np.linalg.norm(self._centres, axis=1, keepdims=True)
        weights = 1 / np.arange(10, _VOCABULARY + 10)
        self._frequencies = np.cumsum(weights / weights.sum())

    def documents(self, first: int, count: int) -> list[M3Output]:
        """Return the vectors of documents, from the first of a batch."""
        return list(self._outputs(np.arange(first, first + count), _TOKENS["document"], first))

    def queries(self, count: int, seed: int = 0) -> list[M3Output]:
        """Return the vectors of queries, which are drawn as documents are."""
        like = np.random.default_rng([_CHOSEN, seed]).integers(0, self._documents, count)
        return list(self._outputs(like, _TOKENS["query"], _QUERY_SEED + seed))

    def _outputs(self, numbers: Ints, tokens: int, seed: int) -> Iterator[M3Output]:
        dense = self._dense(numbers, seed)
        for row, sparse in zip(dense, self._sparse(len(numbers), tokens, seed), strict=True):
            yield M3Output(dense=row, sparse=sparse)

    def _dense(self, numbers: Ints, seed: int) -> Floats:
        """Draw vectors of the groups that these documents belong to."""
        rng = np.random.default_rng([_DENSE, seed])
        vectors = rng.standard_normal((len(numbers), DIM), dtype=np.float32)
        if self._data == "tiny":
            vectors *= np.sqrt(np.float32(1 - _SHARED))
            shares = [_SHARED * (size / _GROUPS[0]) ** -_DECLINE for size in _GROUPS]
            for size, share, larger in zip(_GROUPS, shares, [*shares[1:], 0.0], strict=True):
                groups, places = np.unique(numbers // size, return_inverse=True)
                draws = [np.random.default_rng([_GROUP, size, group]) for group in groups]
                common = np.stack([draw.standard_normal(DIM, dtype=np.float32) for draw in draws])
                vectors += np.sqrt(np.float32(share - larger)) * common[places]
            vectors = vectors @ self._axes + self._mean
        else:
            vectors *= 0.5 / np.sqrt(DIM)
            vectors += self._centres[rng.integers(0, _ISLANDS, len(numbers))]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _sparse(self, count: int, tokens: int, seed: int) -> Iterator[Sparse]:
        rng = np.random.default_rng([_SPARSE, seed])
        draws = np.searchsorted(self._frequencies, rng.random((count, tokens)))
        weights = rng.uniform(0.05, 0.4, (count, tokens)).astype(np.float32)
        for row, values in zip(draws, weights, strict=True):
            ids = np.unique(row)
            yield Sparse(ids.astype(np.int64), values[: len(ids)])


def dense_of(outputs: Sequence[M3Output]) -> Floats:
    """Return the dense vectors of outputs, shape `(outputs, dim)`."""
    return np.stack([require(output.dense, "dense") for output in outputs])


class Nearest:
    """
    The true nearest documents of queries, of all that were added.

    Args:
        queries: Dense vectors, shape `(queries, dim)`.
        k: How many.
    """

    def __init__(self, queries: Floats, k: int) -> None:
        self._queries = queries
        self._k = k
        self._scores = np.empty((len(queries), 0), np.float32)
        self._numbers = np.empty((len(queries), 0), np.int64)

    def add(self, first: int, documents: Floats) -> None:
        """Compare with documents, shape `(documents, dim)`, which are numbered from `first`."""
        numbers = np.broadcast_to(
            np.arange(first, first + len(documents)), (len(self._queries), len(documents))
        )
        scores = np.hstack([self._scores, self._queries @ documents.T])
        best = np.argpartition(-scores, self._k - 1, axis=1)[:, : self._k]
        self._scores = np.take_along_axis(scores, best, axis=1)
        self._numbers = np.take_along_axis(np.hstack([self._numbers, numbers]), best, axis=1)

    def ids(self) -> list[list[str]]:
        """Return the ids of the nearest, for each query."""
        return [[str(number) for number in row] for row in self._numbers.tolist()]
