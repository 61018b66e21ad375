"""Exact search of a corpus that is read once and never held: the oracle for a stream."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from m3kit.adapters.ranking import Ranked, Scorer, rank
from m3kit.evaluation.dataset import EvaluationError
from m3kit.fusion import Ranking
from m3kit.index import Search
from m3kit.scoring import lexical_scores, maxsim, require, scores
from m3kit.vectors import REPS, Floats, M3Output, Rep

_MARGIN = 1e-4
"""How far a score of a matrix product may be from the one that decides."""


class ExactSearch:
    """
    Answers as `m3kit.MemoryIndex` does, to the last bit, over documents that are shown once.

    For each query it holds what is among the best `depth` of a representation so far, with the
    scores on all of them: a document that leaves these is in no answer. So memory grows with the
    queries and `depth`, and not with the documents.

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
        self._pools = [_Pool(width=len(self.reps)) for _ in queries]
        self._cuts = np.full((len(self.branches), len(queries)), -np.inf, dtype=np.float32)
        self._dense = (
            np.stack([require(query.dense, "dense") for query in queries])
            if "dense" in self.branches
            else np.zeros((len(queries), 0), dtype=np.float32)
        )

    def add(self, ids: Sequence[str], outputs: Sequence[M3Output]) -> None:
        """Show the next documents; no id may come twice."""
        if not ids:
            return
        near = np.zeros((len(self.queries), len(ids)), dtype=bool)
        for place, rep in enumerate(self.branches):
            approximate = self._approximate(rep, outputs)
            cut = self._cuts[place][:, None]
            near |= (approximate > cut - _MARGIN * np.maximum(1, np.abs(cut))) & (
                (approximate > 0) | (rep != "sparse")
            )
        for position in np.flatnonzero(near.any(axis=1)).tolist():
            chosen = np.flatnonzero(near[position]).tolist()
            self._take(position, [ids[n] for n in chosen], [outputs[n] for n in chosen])

    def rank(self, position: int, search: Search) -> list[Ranked]:
        """Answer for the query at a position, which `search` carries some representations of."""
        if max(search.k, search.candidates) > self._depth:
            raise EvaluationError(f"only the best {self._depth} are held, not {search.candidates}")
        pool = self._pools[position]
        self._prune(position)
        return rank(_PoolScorer(self.reps, pool.ids, pool.scores), search)

    def save(self, path: Path, **more: Any) -> None:
        """Write what was found so far, and arrays beside it, as NumPy's `npz`."""
        encoded = [id_.encode() for pool in self._pools for id_ in pool.ids]
        np.savez(
            path,
            sizes=np.array([len(pool.ids) for pool in self._pools], dtype=np.int64),
            lengths=np.array(list(map(len, encoded)), dtype=np.int64),
            ids=np.frombuffer(b"".join(encoded), dtype=np.uint8),
            scores=np.concatenate([pool.scores for pool in self._pools]),
            **more,
        )

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `save` wrote."""
        blob, ends = state["ids"].tobytes(), np.cumsum(state["lengths"])
        starts = ends - state["lengths"]
        ids = [blob[start:end].decode() for start, end in zip(starts, ends, strict=True)]
        stop = 0
        for position, size in enumerate(state["sizes"].tolist()):
            start, stop = stop, stop + size
            self._pools[position] = _Pool(
                len(self.reps), ids[start:stop], np.array(state["scores"][start:stop])
            )
            self._prune(position)

    def _approximate(self, rep: Rep, outputs: Sequence[M3Output]) -> Floats:
        """Score all queries against a few documents, almost as exactly as it is decided by."""
        match rep:
            case "dense":
                dense = np.stack([require(output.dense, rep) for output in outputs])
                product: Floats = self._dense @ dense.T
                return product
            case "sparse":
                sparse = [require(output.sparse, rep) for output in outputs]
                return lexical_scores([require(q.sparse, rep) for q in self.queries], sparse)
            case "colbert":
                colbert = [require(output.colbert, rep) for output in outputs]
                return np.stack([maxsim(require(q.colbert, rep), colbert) for q in self.queries])

    def _take(self, position: int, ids: list[str], outputs: list[M3Output]) -> None:
        pool = self._pools[position]
        query = self.queries[position]
        exact = np.stack([scores(rep, query, outputs) for rep in self.reps], axis=1)
        pool.ids.extend(ids)
        pool.scores = np.concatenate([pool.scores, exact])
        pool.pruned = False
        if (
            len(pool.ids) > 2 * self._depth * len(self.branches)
            or self._cuts[0, position] == -np.inf
        ):
            self._prune(position)

    def _prune(self, position: int) -> None:
        """Let go of what is no longer among the best of any representation."""
        pool = self._pools[position]
        if pool.pruned:
            return
        best: set[int] = set()
        for place, rep in enumerate(self.branches):
            column = pool.scores[:, self.reps.index(rep)]
            places = [n for n in range(len(pool.ids)) if rep != "sparse" or column[n] > 0]
            if len(places) > self._depth:
                places.sort(key=lambda n: (-column[n], pool.ids[n]))
                del places[self._depth :]
            if len(places) == self._depth:
                self._cuts[place, position] = column[places].min()
            best.update(places)
        order = sorted(best)
        pool.ids = [pool.ids[n] for n in order]
        pool.scores = pool.scores[order]
        pool.pruned = True


@dataclass(slots=True)
class _Pool:
    """
    The documents that are held for one query, and a column of scores for each representation.

    `pruned` says that no document can be left out.
    """

    width: int
    ids: list[str] = field(default_factory=list)
    scores: Floats = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))
    pruned: bool = False

    def __post_init__(self) -> None:
        if not self.ids:
            self.scores = np.zeros((0, self.width), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _PoolScorer(Scorer):
    """What was held of a stream, as an engine that is asked for a ranking."""

    reps: tuple[Rep, ...]
    names: Sequence[str]
    table: Floats
    slack: int = 0

    def nearest(self, limits: Mapping[Rep, int]) -> Mapping[Rep, Ranking]:
        return {
            rep: sorted(
                (pair for pair in self._column(rep).items() if rep != "sparse" or pair[1]),
                key=lambda pair: (-pair[1], pair[0]),
            )[:limit]
            for rep, limit in limits.items()
        }

    def scores(
        self, names_by_rep: Mapping[Rep, Sequence[str]]
    ) -> Mapping[Rep, Mapping[str, float]]:
        columns = {rep: self._column(rep) for rep in names_by_rep}
        return {
            rep: {name: columns[rep][name] for name in names} for rep, names in names_by_rep.items()
        }

    def _column(self, rep: Rep) -> dict[str, float]:
        return dict(zip(self.names, self.table[:, self.reps.index(rep)].tolist(), strict=True))
