"""Ties go by id, however the engine orders them and however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient

from m3kit.index import HybridIndex, Search
from m3kit.records import Document, Record
from m3kit.vectors import REPS, M3Output, Rep, Sparse
from m3kit_qdrant import EdgeIndex, QdrantIndex

DIM = 1024  # the model's own, where NumPy's matrix products depend on a row's place


@pytest.fixture(params=["edge", "local"])
def index(request: pytest.FixtureRequest, directory: Path) -> Iterator[HybridIndex]:
    if request.param == "edge":
        with EdgeIndex(directory, dim=DIM) as edge:
            yield edge
        return
    client = QdrantClient(":memory:")
    yield QdrantIndex(client, "papers", dim=DIM)
    client.close()


@pytest.mark.parametrize("n", [3, 11, 101])
@pytest.mark.parametrize("rep", REPS)
def test_equal_vectors_tie_wherever_they_lie(index: HybridIndex, n: int, rep: Rep) -> None:
    rng = np.random.default_rng(n)
    rows = rng.standard_normal((4, DIM)).astype(np.float32)
    output = M3Output(dense=rows[0], sparse=Sparse.from_dict({1: 0.3, 2: 0.7}), colbert=rows)
    ids = [f"{i:03}" for i in range(n)]
    index.upsert([Record(Document(ids[i], ""), output) for i in rng.permutation(n)])
    encoded = M3Output(
        dense=rows[1], sparse=Sparse.from_dict({1: 0.1, 2: 0.2}), colbert=rows[1:]
    ).only(rep)
    for k in (1, 2, n):
        hits = index.search(Search(query=encoded, k=k))
        assert [hit.document.id for hit in hits] == ids[:k]
        assert len({hit.score for hit in hits}) == 1
