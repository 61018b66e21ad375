"""Exact search of a corpus that is read once and never held: the oracle for a stream."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from m3kit.adapters.ranking import Ranked, Scorer, rank
from m3kit.evaluation.dataset import EvaluationError
from m3kit.evaluation.pair_scores import Block, PairScores, query_slices
from m3kit.evaluation.pools import Entries, Names, Pool
from m3kit.fusion import Ranking
from m3kit.index import Search
from m3kit.vectors import REPS, Floats, Ints, M3Output, Rep

_MARGIN = 1e-4
"""How far a score of a matrix product may be from the one that decides."""

_BLOCK = 2**10
"""How many documents are scored at once, at most."""

_BLOCK_BYTES = 2**25
"""How large their vectors are, at most."""


class ExactSearch:
    """
    Answers as `m3kit.MemoryIndex` does, to the last bit, over documents that are shown once.

    For each query it holds what is among the best `depth` of a representation so far, with the
    scores on all of them: a document that leaves these is in no answer. So memory grows with the
    queries and `depth`, and not with the documents. These are scored in blocks, for all queries
    at once; the vectors of a block, 32 MB, wait until it is full.

    Args:
        queries: What is looked for; all carry `reps`.
        reps: The representations that are scored.
        depth: How many documents of each are held: the largest `k` and `candidates`.
        scan_colbert: Whether ColBERT alone is to be searched, which compares every document.

    Raises:
        EvaluationError: If `reps` are ColBERT alone and `scan_colbert` is not set.
    """

    def __init__(
        self, queries: Sequence[M3Output], *, reps: Collection[Rep], depth: int, scan_colbert: bool
    ) -> None:
        self.reps = tuple(rep for rep in REPS if rep in reps)
        self.branches = tuple(rep for rep in self.reps if rep != "colbert" or scan_colbert)
        if not self.branches:
            raise EvaluationError("ColBERT alone scans; set scan_colbert")
        self.queries = queries
        self._depth = depth
        self._scores = PairScores(queries, self.reps)
        self._slices = query_slices(len(queries), _BLOCK)
        branches = {self.reps.index(rep): rep == "sparse" for rep in self.branches}
        self._pools = [
            Pool.of(part.stop - part.start, len(self.reps), branches, depth)
            for part in self._slices
        ]
        self._names = Names()
        self._count = 0
        self._waiting: list[tuple[str, M3Output]] = []
        self._bytes = 0

    def add(self, ids: Sequence[str], outputs: Sequence[M3Output]) -> None:
        """Show the next documents; no id may come twice."""
        for id_, output in zip(ids, outputs, strict=True):
            self._waiting.append((id_, output))
            self._bytes += output.nbytes
            if len(self._waiting) == _BLOCK or self._bytes >= _BLOCK_BYTES:
                self._take()

    def rank(self, position: int, search: Search) -> list[Ranked]:
        """Answer for the query at a position, which `search` carries some representations of."""
        if max(search.k, search.candidates) > self._depth:
            raise EvaluationError(f"only the best {self._depth} are held, not {search.candidates}")
        self._take()
        place, row = divmod(position, self._slices[0].stop)
        pool = self._pools[place]
        pool.prune(self._names.by_number)
        entries = pool.of_query(row)
        names = [self._names.by_number[number] for number in entries.numbers.tolist()]
        return rank(_PoolScorer(self.reps, names, entries.scores), search)

    def save(self, path: Path, **more: Any) -> None:
        """Write what was found so far, and arrays beside it, as NumPy's `npz`."""
        self._take()
        for pool in self._pools:
            pool.prune(self._names.by_number)
        pruned = [pool.entries for pool in self._pools]
        numbers = np.concatenate([entries.numbers for entries in pruned]).tolist()
        encoded = [self._names.by_number[number].encode() for number in numbers]
        sizes = [np.bincount(pool.entries.rows, minlength=pool.queries) for pool in self._pools]
        np.savez(
            path,
            sizes=np.concatenate(sizes),
            lengths=np.array(list(map(len, encoded)), dtype=np.int64),
            ids=np.frombuffer(b"".join(encoded), dtype=np.uint8),
            scores=np.concatenate([entries.scores for entries in pruned]),
            **more,
        )

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `save` wrote."""
        blob, ends = state["ids"].tobytes(), np.cumsum(state["lengths"])
        starts = ends - state["lengths"]
        ids = [blob[start:end].decode() for start, end in zip(starts, ends, strict=True)]
        number_by_id = {id_: number for number, id_ in enumerate(dict.fromkeys(ids))}
        self._names.by_number = {number: id_ for id_, number in number_by_id.items()}
        self._count = len(number_by_id)
        numbers = np.array([number_by_id[id_] for id_ in ids], dtype=np.int64)
        positions = np.repeat(np.arange(len(self.queries)), state["sizes"])
        for part, pool in zip(self._slices, self._pools, strict=True):
            here = slice(*np.searchsorted(positions, [part.start, part.stop]).tolist())
            pool.pending = Entries(
                positions[here] - part.start, numbers[here], state["scores"][here]
            )
            pool.prune(self._names.by_number)

    def _take(self) -> None:
        """Score the documents that wait, and hold those that are among the best so far."""
        if not self._waiting:
            return
        ids, outputs = zip(*self._waiting, strict=True)
        self._waiting, self._bytes = [], 0
        block = Block.of(outputs, self.reps)
        for part, pool in zip(self._slices, self._pools, strict=True):
            rows, columns, scores = self._near(part, pool, block)
            for column in np.unique(columns).tolist():
                self._names.by_number[self._count + column] = ids[column]
            pool.pending += Entries(rows, self._count + columns, scores)
            if pool.is_due:
                pool.prune(self._names.by_number)
            self._complete(part, pool, block)
        self._count += len(ids)
        self._names.drop_all_but(self._pools)

    def _near(self, part: slice, pool: Pool, block: Block) -> tuple[Ints, Ints, Floats]:
        """Return pairs of a query and a document that may be among the best, and their scores."""
        tables = {rep: self._scores.table(rep, part, block) for rep in self.branches}
        near = np.zeros((pool.queries, len(block)), dtype=bool)
        for rep, table in tables.items():
            cut = pool.cuts[self.reps.index(rep)][:, None]
            near |= (table > cut - _MARGIN * np.maximum(1, np.abs(cut))) & (
                (table > 0) | (rep != "sparse")
            )
        rows, columns = np.nonzero(near)
        scores = np.full((len(rows), len(self.reps)), np.nan, dtype=np.float32)
        for rep, table in tables.items():
            scores[:, self.reps.index(rep)] = (
                self._scores.pairs(rep, part.start + rows, block, columns)
                if rep == "dense"
                else table[rows, columns]
            )
        return rows, columns, scores

    def _complete(self, part: slice, pool: Pool, block: Block) -> None:
        """Score by ColBERT the documents of a block that are held, where no branch has done it."""
        if "colbert" in self.branches or "colbert" not in self.reps:
            return
        for entries in (pool.entries, pool.pending):
            new = np.flatnonzero(entries.numbers >= self._count)
            rows, columns = part.start + entries.rows[new], entries.numbers[new] - self._count
            scores = self._scores.pairs("colbert", rows, block, columns)
            entries.scores[new, self.reps.index("colbert")] = scores


class _PoolScorer(Scorer):
    """What was held of a stream for one query, as an engine that is asked for a ranking."""

    slack = 0

    def __init__(self, reps: Sequence[Rep], names: Sequence[str], scores: Floats) -> None:
        order = sorted(range(len(names)), key=names.__getitem__)
        self._names = [names[place] for place in order]
        self._columns = {rep: scores[order, column] for column, rep in enumerate(reps)}

    @cached_property
    def _by_name(self) -> dict[Rep, dict[str, float]]:
        return {
            rep: dict(zip(self._names, column.tolist(), strict=True))
            for rep, column in self._columns.items()
        }

    def nearest(self, limits: Mapping[Rep, int]) -> Mapping[Rep, Ranking]:
        """Return the best of each representation, ties by id."""
        rankings: dict[Rep, Ranking] = {}
        for rep, limit in limits.items():
            column = self._columns[rep]
            order = np.argsort(-column, kind="stable")
            if rep == "sparse":
                order = order[: np.count_nonzero(column)]
            scores = column[order[:limit]].tolist()
            rankings[rep] = list(
                zip([self._names[n] for n in order[:limit].tolist()], scores, strict=True)
            )
        return rankings

    def scores(
        self, names_by_rep: Mapping[Rep, Sequence[str]]
    ) -> Mapping[Rep, Mapping[str, float]]:
        """Look the scores up."""
        return {
            rep: {name: self._by_name[rep][name] for name in names}
            for rep, names in names_by_rep.items()
        }
