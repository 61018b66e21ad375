"""An index may hold any of the representations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from m3kit import MemoryIndex
from m3kit.filters import Range
from m3kit.index import HybridIndex, RepresentationError, Search
from m3kit.testing import DIM, DOCUMENTS, assert_same_hits, assert_same_vectors, query, records
from m3kit.vectors import REPS, Rep
from m3kit_qdrant import EdgeIndex, QdrantIndex

SHAPES = [shape for n in (1, 2) for shape in combinations(REPS, n)]


@pytest.fixture(params=["edge", "local"])
def index(
    request: pytest.FixtureRequest, reps: tuple[Rep, ...], directory: Path
) -> Iterator[HybridIndex]:
    if request.param == "edge":
        with EdgeIndex(directory, dim=DIM, reps=reps) as edge:
            yield edge
        return
    client = QdrantClient(":memory:")
    yield QdrantIndex(client, "papers", dim=DIM, reps=reps)
    client.close()


@pytest.mark.parametrize("reps", SHAPES, ids="+".join)
def test_what_an_index_holds_is_what_it_keeps_and_answers(
    index: HybridIndex, reps: tuple[Rep, ...]
) -> None:
    oracle = MemoryIndex(DIM, reps=reps)
    for store in (index, oracle):
        store.upsert(records(DOCUMENTS))
    search = Search(query=query("the growling bear", *reps), where=Range("n", le=8), k=5)
    assert_same_hits(index.search(search), oracle.search(search))
    for record in records(DOCUMENTS):
        (stored,) = index.get([record.document.id], reps)
        assert_same_vectors(stored.output, record.output, reps)
    with pytest.raises(RepresentationError, match="ask for those"):
        index.search(Search(query=query("bear")))


def test_colbert_is_stored_without_a_graph_in_a_directory(directory: Path) -> None:
    EdgeIndex(directory, dim=DIM).close()
    config = json.loads((directory / "edge" / "edge_config.json").read_text())
    assert config["vectors"]["colbert"]["hnsw_config"]["m"] == 0
    assert "hnsw_config" not in config["vectors"]["dense"]


@pytest.mark.parametrize("where", ["local", "server"])
def test_colbert_is_stored_without_a_graph_in_a_collection(server: Any, where: str) -> None:
    url = ":memory:" if where == "local" else f"http://{server.address}"
    client = QdrantClient(url, check_compatibility=False)
    QdrantIndex(client, "papers", dim=DIM)
    vectors = client.get_collection("papers").config.params.vectors
    client.close()
    assert isinstance(vectors, dict)
    assert vectors["colbert"].hnsw_config is not None
    assert vectors["colbert"].hnsw_config.m == 0
    assert vectors["dense"].hnsw_config is None
