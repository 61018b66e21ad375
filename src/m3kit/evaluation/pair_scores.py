"""Scores of many queries and many documents at once, the same bits as one query's at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from m3kit._batching import chunked
from m3kit._products import SHARED_TOKENS, multiply, on_cores
from m3kit.scoring import require
from m3kit.vectors import Floats, Ints, M3Output, Rep, Sparse

_CELLS = 2**21
"""How many numbers an intermediate array has at most, to bound the memory."""


@dataclass(frozen=True, slots=True)
class Block:
    """Documents that are scored together, by representation."""

    dense: Floats
    sparse: Sequence[Sparse]
    colbert: Sequence[Floats]
    count: int

    @classmethod
    def of(cls, outputs: Sequence[M3Output], reps: Collection[Rep]) -> Block:
        """Take `reps` of at least one document, all of which carry them."""
        dense = [require(output.dense, "dense") for output in outputs if "dense" in reps]
        return cls(
            np.stack(dense) if dense else np.zeros((0, 0), dtype=np.float32),
            [require(output.sparse, "sparse") for output in outputs if "sparse" in reps],
            [require(output.colbert, "colbert") for output in outputs if "colbert" in reps],
            len(outputs),
        )

    def __len__(self) -> int:
        return self.count


class PairScores:
    """Queries, to be scored against documents block by block."""

    def __init__(self, queries: Sequence[M3Output], reps: Collection[Rep]) -> None:
        self._dense = _Dense(queries) if "dense" in reps else None
        self._sparse = _Sparse(queries) if "sparse" in reps else None
        self._colbert = _Colbert(queries) if "colbert" in reps else None

    def table(self, rep: Rep, rows: slice, block: Block) -> Floats:
        """Score all documents for some queries; dense scores are rounded as a matrix product is."""
        match rep:
            case "dense":
                return require(self._dense, rep).table(rows, block.dense)
            case "sparse":
                return require(self._sparse, rep).table(rows, block.sparse)
            case "colbert":
                shape = (rows.stop - rows.start, len(block))
                places, columns = (axis.reshape(-1) for axis in np.indices(shape))
                return self.pairs(rep, rows.start + places, block, columns).reshape(shape)

    def pairs(
        self, rep: Literal["dense", "colbert"], rows: Ints, block: Block, columns: Ints
    ) -> Floats:
        """Score pairs of a query and a document as `m3kit.scoring.scores` does."""
        if rep == "dense":
            return require(self._dense, rep).scores(rows, block.dense, columns)
        return require(self._colbert, rep).scores(rows, block.colbert, columns)


class _Dense:
    """The dense vectors of queries."""

    def __init__(self, queries: Sequence[M3Output]) -> None:
        self._queries = np.stack([require(query.dense, "dense") for query in queries])

    def table(self, rows: slice, documents: Floats) -> Floats:
        """Score all documents for some queries by a matrix product, whose rounding differs."""
        product: Floats = self._queries[rows] @ documents.T
        return product

    def scores(self, rows: Ints, documents: Floats, columns: Ints) -> Floats:
        """Score pairs of a query and a document as `m3kit.scoring.dot` does."""
        result = np.empty(len(rows), dtype=np.float32)
        size = max(1, _CELLS // 8 // documents.shape[1])
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            result[part] = np.vecdot(documents[columns[part]], self._queries[rows[part]])
        return result


class _Sparse:
    """The lexical weights of queries."""

    def __init__(self, queries: Sequence[M3Output]) -> None:
        self._queries = [require(query.sparse, "sparse") for query in queries]

    def table(self, rows: slice, documents: Sequence[Sparse]) -> Floats:
        """
        Score all documents for some queries as `m3kit.scoring.overlap` does.

        Each query token is joined with the documents that have it, so that the work is that of
        the products other than zero. The sum runs over the tokens in their order, in float64, in
        which these products are exact.
        """
        queries = self._queries[rows]
        ids = np.concatenate([document.ids for document in documents])
        order = np.argsort(ids, kind="stable")
        posted = ids[order]
        numbers = np.repeat(np.arange(len(documents)), list(map(len, documents)))[order]
        weights = np.concatenate([document.weights for document in documents])[order]
        table = np.empty((len(queries), len(documents)), dtype=np.float32)
        starts = [np.searchsorted(posted, query.ids) for query in queries]
        ends = [np.searchsorted(posted, query.ids, side="right") for query in queries]
        work = np.array([(e - s).sum() for s, e in zip(starts, ends, strict=True)])
        for part in _parts(work + len(documents)):
            counts = np.concatenate(ends[part]) - np.concatenate(starts[part])
            place = np.repeat(np.concatenate(starts[part]), counts) + _within(counts)
            row = np.repeat(np.arange(part.stop - part.start), list(map(len, queries[part])))
            factors = np.concatenate([query.weights for query in queries[part]])
            cells = np.repeat(row * len(documents), counts) + numbers[place]
            sums = np.bincount(
                cells,
                np.repeat(factors, counts).astype(np.float64) * weights[place],
                minlength=(part.stop - part.start) * len(documents),
            )
            table[part] = sums.reshape(-1, len(documents))
        return table


class _Colbert:
    """The ColBERT vectors of queries; those of one length are multiplied together."""

    def __init__(self, queries: Sequence[M3Output]) -> None:
        vectors = [require(query.colbert, "colbert") for query in queries]
        self._lengths = np.array(list(map(len, vectors)), dtype=np.int64)
        self._place = np.zeros(len(vectors), dtype=np.int64)
        self._columns = {}
        for length in np.unique(self._lengths).tolist():
            members = np.flatnonzero(self._lengths == length)
            self._place[members] = np.arange(len(members))
            columns = np.swapaxes(np.stack([vectors[n] for n in members]), 1, 2)
            self._columns[length] = np.ascontiguousarray(columns)  # as `maxsim` has them

    def scores(self, rows: Ints, documents: Sequence[Floats], columns: Ints) -> Floats:
        """Score pairs of a query and a document as `m3kit.scoring.maxsim` does."""
        result = np.empty(len(rows), dtype=np.float32)
        lengths = self._lengths[rows]
        order = np.lexsort((lengths, columns))
        changes = np.diff(columns[order]).astype(bool) | np.diff(lengths[order]).astype(bool)
        runs = np.split(order, np.flatnonzero(changes) + 1) if len(order) else []
        tokens = sum(len(run) * len(documents[columns[run[0]]]) for run in runs)
        score = partial(self._run, rows, documents, columns, result)
        on_cores(score, runs, shared=len(runs) > 1 and tokens >= SHARED_TOKENS)
        return result

    def _run(
        self, rows: Ints, documents: Sequence[Floats], columns: Ints, result: Floats, run: Ints
    ) -> None:
        """Score pairs of one document and of queries of one length."""
        tokens, length = documents[columns[run[0]]], int(self._lengths[rows[run[0]]])
        size = max(1, _CELLS // 8 // (length * max(tokens.shape)))
        for start in range(0, len(run), size):
            part = run[start : start + size]
            queries = self._columns[length][self._place[rows[part]]]
            similarity = np.empty((len(part), len(tokens), length), dtype=np.float32)
            multiply(tokens, queries, similarity)
            result[part] = _best(similarity).mean(axis=1, dtype=np.float64)


def _best(similarity: Floats) -> Floats:
    """Return the maximum over the middle axis, halving it, so that whole rows are compared."""
    while (size := similarity.shape[1]) > 1:
        rest = size // 2
        upper = similarity[:, size - rest :]
        np.maximum(similarity[:, :rest], upper, out=similarity[:, :rest])
        similarity = similarity[:, : size - rest]
    return similarity[:, 0]


def query_slices(queries: int, documents: int) -> list[slice]:
    """Cut a table of queries and documents into rows of a bounded size."""
    return _parts(np.full(queries, max(1, documents)))


def _parts(sizes: Ints) -> list[slice]:
    """Cut a sequence so that the sizes of each part come to `_CELLS` at most."""
    chunks = chunked(range(len(sizes)), size=sizes.tolist().__getitem__, budget=_CELLS)
    return [slice(chunk[0], chunk[-1] + 1) for chunk in chunks]


def _within(counts: Ints) -> Ints:
    """Count from 0 within each run of so many."""
    ends = counts.cumsum()
    within: Ints = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
    return within
