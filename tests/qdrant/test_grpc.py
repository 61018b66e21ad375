"""`QdrantIndex` over gRPC: the client's whole way, before Qdrant's engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from qdrant_client import QdrantClient
from tests.qdrant.grpc_server import served

from m3kit import MemoryIndex, open_index
from m3kit.filters import Contains, Eq, Filter, Ids, Not, Range, Substring
from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.index import HybridIndex, Search
from m3kit.records import DEEPEST, Document, Json
from m3kit.testing import (
    DIM,
    DOCUMENTS,
    IndexConformance,
    assert_same_hits,
    assert_same_vectors,
    query,
    records,
)
from m3kit.vectors import REPS, Rep
from m3kit_qdrant import QdrantIndex


@pytest.fixture(scope="module")
def port(shared_server: Any) -> Iterator[int]:
    with served(f"http://{shared_server.address}") as port:
        yield port


@pytest.fixture(scope="module")
def client(port: int) -> Iterator[QdrantClient]:
    client = QdrantClient(
        "http://127.0.0.1:1", grpc_port=port, prefer_grpc=True, check_compatibility=False
    )
    yield client
    client.close()


@pytest.mark.slow
class TestServer(IndexConformance):
    @pytest.fixture
    def index(self, client: QdrantClient) -> HybridIndex:
        return QdrantIndex(client, uuid4().hex, dim=DIM)


WHERE: list[Filter] = [
    Eq("lang", "de"),
    Not(Range("n", gt=2, le=7)),
    Contains("tags", "bear"),
    Substring("lang", "e"),
    Ids((DOCUMENTS[2].id, "unknown")),
]


@pytest.mark.parametrize("fusion", [RRF(), WeightedSum()], ids=repr)
@pytest.mark.parametrize("reps", [*((rep,) for rep in REPS), REPS], ids="+".join)
def test_answers_are_those_of_the_oracle(
    client: QdrantClient, reps: tuple[Rep, ...], fusion: Fusion
) -> None:
    index, oracle = QdrantIndex(client, uuid4().hex, dim=DIM), MemoryIndex(DIM)
    for record in (index, oracle):
        record.upsert(records(DOCUMENTS))
        record.delete([DOCUMENTS[1].id])
        record.delete_where(Eq("n", 4))
    for where in (None, *WHERE):
        encoded = query("the growling bear", *reps)
        search = Search(
            query=encoded, where=where, fusion=fusion, k=4, candidates=6, with_scores=True
        )
        assert_same_hits(index.search(search), oracle.search(search))
        expected = {record.document.id for record in oracle.scan(where)}
        assert {record.document.id for record in index.scan(where)} == expected
        assert index.count(where) == len(expected)
    (mine,) = index.get([DOCUMENTS[3].id], REPS)
    (true,) = oracle.get([DOCUMENTS[3].id], REPS)
    assert mine.document == true.document
    assert_same_vectors(mine.output, true.output, REPS)


def test_metadata_that_messages_cannot_hold_comes_back(client: QdrantClient) -> None:
    deep: Json = 0.1 + 0.2
    for n in range(DEEPEST - 1):
        deep = [deep] if n % 2 else {"a": deep}
    document = Document("deep one", "x", {"deep": deep, "lang": "de", "n": 2**62 + 1, "f": 1e300})
    index = QdrantIndex(client, uuid4().hex, dim=DIM)
    index.upsert(records([document]))
    assert index.get(["deep one"])[0].document == document
    where = Eq("lang", "de") & Eq("n", 2**62 + 1) & Eq("f", 1e300) & Substring("lang", "d")
    (hit,) = index.search(Search(query=query("x"), where=where))
    assert hit.document == document


def test_an_address_with_a_port_is_grpc(shared_server: Any, port: int) -> None:
    name = uuid4().hex
    shared_server.bodies.clear()
    with open_index(f"qdrant://127.0.0.1:1/{name}?grpc_port={port}", dim=DIM) as index:
        index.upsert(records(DOCUMENTS))
        assert index.count() == len(DOCUMENTS)
    with open_index(f"qdrant://{shared_server.address}/{name}") as index:
        assert index.count() == len(DOCUMENTS)
