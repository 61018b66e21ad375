"""`MilvusIndex` over TCP, in the words that it speaks to servers; Milvus Lite understands them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from pymilvus import DataType, MilvusClient

from m3kit.filters import All
from m3kit.index import HybridIndex
from m3kit.testing import DIM, DOCUMENTS, IndexConformance, records
from m3kit_milvus import MilvusIndex, collection, making


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[MilvusClient]:
    client = MilvusClient(f"http://{server}")
    yield client
    client.close()


@pytest.fixture
def as_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take Milvus Lite for a server: terms in arrays, no lock, the query iterator."""
    monkeypatch.setattr(collection, "engine_of", lambda *_: "server")
    monkeypatch.setattr(making, "SERVER_INDEXES", {})  # it has none for arrays


class TestServer(IndexConformance):
    @pytest.fixture
    def index(self, client: MilvusClient, as_server: None) -> HybridIndex:  # noqa: ARG002
        index = MilvusIndex(client, "papers", dim=DIM)
        index.delete_where(All())
        return index


@pytest.mark.usefixtures("as_server")
def test_a_server_keeps_terms_where_it_can_index_them(client: MilvusClient) -> None:
    name = f"c{uuid4().hex}"
    MilvusIndex(client, name, dim=DIM)
    types = {field["name"]: field["type"] for field in client.describe_collection(name)["fields"]}
    assert types["terms"] == DataType.ARRAY


def test_many_workers_make_one_collection(client: MilvusClient) -> None:
    name = f"c{uuid4().hex}"
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(MilvusIndex, client, name, dim=DIM) for _ in range(8)]
        indexes = [future.result() for future in made]
    indexes[0].upsert(records(DOCUMENTS))
    assert indexes[7].count() == len(DOCUMENTS)


@pytest.mark.usefixtures("as_server")
def test_many_workers_make_one_collection_without_a_lock(client: MilvusClient) -> None:
    test_many_workers_make_one_collection(client)


def test_the_client_stays_the_callers(client: MilvusClient) -> None:
    name = f"c{uuid4().hex}"
    index = MilvusIndex(client, name, dim=DIM)
    assert not hasattr(index, "close")
    del index
    assert client.has_collection(name)
