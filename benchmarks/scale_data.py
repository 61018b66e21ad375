"""
Vectors of documents and queries by the million, for `benchmarks.scale`.

Two sets of dense vectors, 1,024 wide, of unit length. `tiny`: Gaussian, with the spectrum that the
shipped model's vectors of the sample corpus have (`fit` measures it): the i-th largest variance is
in proportion to i^-0.39 exp(-i / 42), along axes at random, and the mean vector has 0.17 of the
squared length. `islands`: 2,000 centres at right angles, nearly, and documents around them, which
is hard for a graph. Lexical weights: 14 of a document and 6 of a query, whose tokens are
distributed by Zipf's law.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from m3kit import M3Output, Sparse
from m3kit.vectors import Floats

Data: TypeAlias = Literal["tiny", "islands"]

DIM = 1024
_ISLANDS = 2_000
_VOCABULARY = 30_000
_TOKENS = {"document": 14, "query": 6}
_QUERY_SEED = 10**9


class Generator:
    """
    Vectors of documents or of queries, batch by batch; the seed decides them.

    Args:
        data: Which of the two sets.
    """

    def __init__(self, data: Data) -> None:
        rng = np.random.default_rng(0)
        self._data = data
        ranks = np.arange(1, DIM + 1)
        deviations = np.sqrt(ranks**-0.39 * np.exp(-ranks / 42))
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
        return list(self._outputs(count, _TOKENS["document"], first))

    def queries(self, count: int, seed: int = 0) -> list[M3Output]:
        """Return the vectors of queries, which are drawn as documents are."""
        return list(self._outputs(count, _TOKENS["query"], _QUERY_SEED + seed))

    def _outputs(self, count: int, tokens: int, seed: int) -> Iterator[M3Output]:
        dense = self._dense(count, seed)
        for row, sparse in zip(dense, self._sparse(count, tokens, seed), strict=True):
            yield M3Output(dense=row, sparse=sparse)

    def _dense(self, count: int, seed: int) -> Floats:
        rng = np.random.default_rng([1, seed])
        vectors = rng.standard_normal((count, DIM), dtype=np.float32)
        if self._data == "tiny":
            vectors = vectors @ self._axes + self._mean
        else:
            vectors *= 0.5 / np.sqrt(DIM)
            vectors += self._centres[rng.integers(0, _ISLANDS, count)]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _sparse(self, count: int, tokens: int, seed: int) -> Iterator[Sparse]:
        rng = np.random.default_rng([2, seed])
        draws = np.searchsorted(self._frequencies, rng.random((count, tokens)))
        weights = rng.uniform(0.05, 0.4, (count, tokens)).astype(np.float32)
        for row, values in zip(draws, weights, strict=True):
            ids = np.unique(row)
            yield Sparse(ids.astype(np.int64), values[: len(ids)])


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


def fit() -> dict[str, Any]:
    """Measure the spectrum of the shipped model's vectors of the sample corpus."""
    from m3kit.torch import TorchEncoder

    corpus = Path(__file__).parents[1] / "examples" / "data" / "corpus.jsonl"
    lines = corpus.read_text(encoding="utf-8").splitlines()
    encoder = TorchEncoder.from_pretrained("tiny")
    outputs = encoder.encode_documents([json.loads(line)["text"] for line in lines], ["dense"])
    vectors = np.stack([output.dense for output in outputs if output.dense is not None])
    mean = vectors.mean(axis=0)
    variances = np.linalg.eigvalsh(np.cov((vectors - mean).T))[::-1]
    ranks = np.arange(1, len(variances) + 1)
    features = np.stack([np.ones(100), np.log(ranks[:100]), ranks[:100]], axis=1)
    (_, exponent, decay), *_ = np.linalg.lstsq(features, np.log(variances[:100]), rcond=None)
    return {
        "mean": round(float(mean @ mean), 3),
        "exponent": round(float(exponent), 2),
        "decay": round(float(-1 / decay), 1),
    }
