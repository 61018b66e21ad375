"""The views that serve the stores people have: one forward pass for each text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_milvus import Milvus
from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseVector
from qdrant_client import QdrantClient, models
from tests.langchain.conftest import Counted

from m3kit import CachedEncoder
from m3kit.testing import DIM, ENCODER, TEXTS, HashEncoder
from m3kit_langchain import M3Embeddings
from m3kit_langchain.milvus import MilvusSparse
from m3kit_langchain.qdrant import QdrantSparse

WEIGHTS = [output.sparse for output in ENCODER.encode_documents(TEXTS)]


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    client.create_collection(
        "papers",
        {"": models.VectorParams(size=DIM, distance=models.Distance.COSINE)},
        {"langchain-sparse": models.SparseVectorParams()},
    )
    yield client
    client.close()


async def test_a_hybrid_qdrant_store_encodes_each_text_once(client: QdrantClient) -> None:
    counted = Counted(HashEncoder())
    encoder = CachedEncoder(counted, reps=("dense", "sparse"))
    store = QdrantVectorStore(
        client,
        "papers",
        embedding=M3Embeddings(encoder=encoder),
        sparse_embedding=QdrantSparse(encoder),
        retrieval_mode=RetrievalMode.HYBRID,
    )
    asked_by_the_store = len(counted.documents)  # it embeds a word to learn the width
    store.add_documents([Document(page_content=text) for text in TEXTS])
    assert counted.documents[asked_by_the_store:] == TEXTS
    found = store.similarity_search("the bear is growling", k=1)
    assert [one.page_content for one in found] == ["the bear is growling"]
    await store.asimilarity_search("the growling bear")
    assert counted.queries == ["the bear is growling", "the growling bear"]


async def test_qdrants_vectors_are_the_encoders_weights() -> None:
    view = QdrantSparse(HashEncoder())
    expected = [
        SparseVector(indices=own.ids.tolist(), values=own.weights.tolist())
        for own in WEIGHTS
        if own is not None
    ]
    assert view.embed_documents(TEXTS) == await view.aembed_documents(TEXTS) == expected
    assert view.embed_query(TEXTS[0]) == await view.aembed_query(TEXTS[0]) == expected[0]
    assert view.embed_query("") == SparseVector(indices=[], values=[])


def test_a_hybrid_milvus_store_encodes_each_text_once(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    pymilvus = pytest.importorskip("pymilvus")
    counted = Counted(HashEncoder())
    encoder = CachedEncoder(counted, reps=("dense", "sparse"))
    store = Milvus(
        [M3Embeddings(encoder=encoder), MilvusSparse(encoder)],
        vector_field=["dense", "sparse"],
        connection_args={"uri": str(tmp_path / "milvus.db")},
        index_params=[
            {"metric_type": "IP", "index_type": "FLAT"},
            {"metric_type": "IP", "index_type": "SPARSE_INVERTED_INDEX"},
        ],
        auto_id=True,
    )
    texts = [text for text in TEXTS if text]  # Milvus takes no empty sparse vector
    store.add_documents([Document(page_content=text) for text in texts])
    assert counted.documents == texts
    found = store.similarity_search(
        "the bear is growling",
        k=1,
        param=[{"metric_type": "IP"}, {"metric_type": "IP"}],
        reranker=pymilvus.Function(
            "rrf", pymilvus.FunctionType.RERANK, [], params={"reranker": "rrf"}
        ),
    )
    assert [one.page_content for one in found] == ["the bear is growling"]
    assert counted.queries == ["the bear is growling"]
    store.client.close()


async def test_milvus_dicts_are_the_encoders_weights_and_cost_one_pass() -> None:
    counted = Counted(HashEncoder())
    encoder = CachedEncoder(counted, reps=("dense", "sparse"))
    dense, sparse = M3Embeddings(encoder=encoder), MilvusSparse(encoder)
    expected = [own.to_dict() for own in WEIGHTS if own is not None]
    dense.embed_documents(TEXTS)
    assert sparse.embed_documents(TEXTS) == await sparse.aembed_documents(TEXTS) == expected
    dense.embed_query(TEXTS[0])
    assert sparse.embed_query(TEXTS[0]) == await sparse.aembed_query(TEXTS[0]) == expected[0]
    assert all(type(key) is int and type(one) is float for key, one in expected[0].items())
    assert counted.documents == TEXTS
    assert counted.queries == TEXTS[:1]
