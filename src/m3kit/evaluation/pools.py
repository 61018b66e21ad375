"""The documents that are among the best of a stream so far, for many queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m3kit.vectors import Floats, Ints

MANY = 1024
"""So many ids are not worth looking through."""


@dataclass(frozen=True, slots=True)
class Entries:
    """
    Documents with the queries that they are held for.

    Args:
        rows: The queries' positions, shape `(n,)`.
        numbers: The documents' numbers, shape `(n,)`.
        scores: A column for each representation, NaN where it is not scored yet.
    """

    rows: Ints
    numbers: Ints
    scores: Floats

    @classmethod
    def empty(cls, width: int) -> Entries:
        """Hold nothing."""
        nothing = np.zeros(0, dtype=np.int64)
        return cls(nothing, nothing, np.zeros((0, width), dtype=np.float32))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: Ints | slice | NDArray[np.bool_]) -> Entries:
        return Entries(self.rows[places], self.numbers[places], self.scores[places])

    def __add__(self, other: Entries) -> Entries:
        return Entries(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.numbers, other.numbers]),
            np.concatenate([self.scores, other.scores]),
        )

    def by_query(self) -> Entries:
        """Order by query, and otherwise as before."""
        return self[np.argsort(self.rows, kind="stable")]


@dataclass(slots=True)
class Pool:
    """
    What is held for neighbouring queries.

    Args:
        queries: How many there are.
        branches: The columns of scores that a document is held for, and whether it must score
            above 0 there.
        depth: How many documents each branch holds.
        entries: What is held, ordered by query.
        pending: What was added since, in any order.
        cuts: The score that a document needs in each column and for each query; -inf where fewer
            than `depth` are held.
    """

    queries: int
    branches: Mapping[int, bool]
    depth: int
    entries: Entries
    pending: Entries
    cuts: Floats

    @classmethod
    def of(cls, queries: int, width: int, branches: Mapping[int, bool], depth: int) -> Pool:
        """Hold nothing yet."""
        cuts = np.full((width, queries), -np.inf, dtype=np.float32)
        return cls(queries, branches, depth, Entries.empty(width), Entries.empty(width), cuts)

    @property
    def is_due(self) -> bool:
        """Whether so much is pending that pruning it pays."""
        return len(self.pending) > len(self.entries) // 8

    def prune(self, names: Mapping[int, str]) -> None:
        """Let go of what is not among the best of any branch; of equal scores, ids decide."""
        if not len(self.pending):
            return
        entries = (self.entries + self.pending).by_query()
        counts = np.bincount(entries.rows, minlength=self.queries)
        starts = counts.cumsum() - counts
        place = np.arange(len(entries)) - starts[entries.rows]
        best = np.zeros(len(entries), dtype=bool)
        for column, above_zero in self.branches.items():
            scores = entries.scores[:, column]
            if above_zero:
                scores = np.where(scores > 0, scores, np.float32(-np.inf))
            table = np.full((self.queries, max(counts.max(), self.depth)), -np.inf, np.float32)
            table[entries.rows, place] = scores
            cut = np.partition(table, -self.depth, axis=1)[:, -self.depth]
            self.cuts[column] = cut
            chosen = (scores >= cut[entries.rows]) & (scores > -np.inf)
            taken = np.bincount(entries.rows[chosen], minlength=self.queries)
            for row in np.flatnonzero(taken > self.depth).tolist():
                span = slice(starts[row], starts[row] + counts[row])
                tied = starts[row] + np.flatnonzero(scores[span] == cut[row])
                tied = sorted(tied.tolist(), key=lambda n: names[int(entries.numbers[n])])
                chosen[tied[len(tied) - (taken[row] - self.depth) :]] = False
            best |= chosen
        self.entries, self.pending = entries[best], self.pending[:0]

    def of_query(self, row: int) -> Entries:
        """Return what is held for a query, once it is pruned."""
        return self.entries[slice(*np.searchsorted(self.entries.rows, [row, row + 1]).tolist())]


class Names:
    """The ids of documents by number: those that a pool holds, and others until these are many."""

    def __init__(self) -> None:
        self.by_number: dict[int, str] = {}
        self._limit = MANY

    def drop_all_but(self, pools: Sequence[Pool]) -> None:
        """Let go of ids that no pool holds, if there may be many."""
        if len(self.by_number) < self._limit:
            return
        numbers = [part.numbers for pool in pools for part in (pool.entries, pool.pending)]
        alive = np.unique(np.concatenate(numbers)).tolist()
        self.by_number = {number: self.by_number[number] for number in alive}
        self._limit = max(MANY, 2 * len(alive))
