"""
Optimizing a copy of an Edge index, in a process for itself: the binding holds the GIL meanwhile.

    python -m m3kit_qdrant.edge_build < request.json > result.json
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import qdrant_edge as edge

from m3kit.adapters.manifest import Manifest
from m3kit.optimization import Graph, Optimization
from m3kit_qdrant.edge_config import EXACT, approximate, shard_config

_TOP = 10
_QUERIES = 200
_SEARCHES = (
    (64, 2),
    (96, 2),
    (128, 2),
    (128, 4),
    (160, 2),
    (192, 2),
    (192, 4),
    (256, 2),
    (256, 4),
    (384, 4),
    (384, 8),
    (512, 8),
)
"""
How a graph is searched, from the fastest on; the first that finds enough is chosen.

Each is the width (`hnsw_ef`), and how many times as many documents as are wanted are scored by
their vectors (`oversampling`), each of which costs about as much as 4 more of width.
"""

_ROUNDING = 1e-6
"""Scores that differ by less are equal."""

_PR_SET_PDEATHSIG = 1


def build(folder: Path, manifest: Manifest, graph: Graph) -> Optimization | None:
    """
    Build the graph, vacuum, make the files durable, and measure the recall.

    Args:
        folder: A shard that no process has open.
        manifest: What it holds.
        graph: What to build.
    """
    shard = edge.EdgeShard.load(str(folder), shard_config(manifest, graph))
    try:
        shard.optimize()
        shard.flush()
        has_graph = "dense" in manifest.reps and shard.info().points_count >= graph.min_documents
        optimization = _measure(shard, graph.recall) if has_graph else None
    finally:
        shard.close()
    for path in (*folder.rglob("*"), folder):
        _make_durable(path)
    return optimization


def _measure(shard: edge.EdgeShard, wanted: float) -> Optimization:
    """
    Choose how to search, by the recall of documents as queries.

    The node of a document leads to its neighbours, as no node does a query. So a document is looked
    for without its node, which a filter keeps the search from visiting.
    """
    documents = _sample(shard)
    true = _nearest(shard, documents, EXACT)
    recall, search = 0.0, dict[str, int]()
    for width, oversampling in _SEARCHES:
        search = {"hnsw_ef": width, "oversampling": oversampling}
        answers = _nearest(shard, documents, approximate(search), visit_itself=False)
        recall = _recall(true, answers)
        if recall >= wanted:
            break
    return Optimization(shard.info().points_count, recall, len(documents), search)


def _sample(shard: edge.EdgeShard) -> Mapping[Any, Any]:
    """Draw documents, and return their vectors by their keys."""
    request = edge.QueryRequest(query=edge.Sample.Random, limit=_QUERIES, with_vector=["dense"])
    vectors: Any = {point.id: point.vector for point in shard.query(request)}
    return {key: named["dense"] for key, named in vectors.items()}


def _nearest(
    shard: edge.EdgeShard,
    documents: Mapping[Any, Any],
    params: edge.SearchParams,
    *,
    visit_itself: bool = True,
) -> list[list[float]]:
    """Return the scores of the nearest documents of each, other than itself."""
    requests = [
        edge.QueryRequest(
            query=edge.Query.Nearest(vector, using="dense"),
            limit=_TOP + visit_itself,
            params=params,
            filter=None if visit_itself else edge.Filter(must_not=[edge.HasIdCondition({key})]),
        )
        for key, vector in documents.items()
    ]
    answers = shard.query_batch(edge.QueryBatchRequest(requests))
    return [
        [point.score for point in points if point.id != key][:_TOP]
        for key, points in zip(documents, answers, strict=True)
    ]


def _recall(true: Sequence[Sequence[float]], answers: Sequence[Sequence[float]]) -> float:
    """
    Return the mean share of the nearest that answers have, less its standard error.

    Of documents that are equally near, any will do.
    """
    shares = [
        sum(score >= nearest[-1] - _ROUNDING for score in answer) / len(nearest)
        for nearest, answer in zip(true, answers, strict=True)
        if nearest
    ]
    if len(shares) < 2:
        return 0.0
    return fmean(shares) - stdev(shares) / sqrt(len(shares))


def _make_durable(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # which opens no folder
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _die_with_parent() -> None:
    """Have Linux end this process with its parent; elsewhere it ends when it has built."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Build what standard input asks for, and print what it made."""
    _die_with_parent()
    request: Mapping[str, Any] = json.load(sys.stdin)
    if os.getppid() != request["parent"]:
        sys.exit("the process that asked for this has ended")
    folder = Path(request["folder"])
    manifest = Manifest.from_json(request["manifest"], f"{folder}")
    optimization = build(folder, manifest, Graph(**request["graph"]))
    json.dump(None if optimization is None else optimization.to_json(), sys.stdout)


if __name__ == "__main__":
    main()
