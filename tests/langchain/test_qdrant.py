"""The view that serves langchain-qdrant: one forward pass for each text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from langchain_core.documents import Document
from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseVector
from qdrant_client import QdrantClient, models
from tests.langchain.conftest import Counted

from m3kit import CachedEncoder
from m3kit.backend.packing import Pack
from m3kit.testing import DIM, ENCODER, TEXTS, HashEncoder
from m3kit.torch import TorchEncoder
from m3kit.torch.backbone import Backbone
from m3kit_langchain import M3Embeddings
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
    hits = store.similarity_search("the bear is growling", k=1)
    assert [hit.page_content for hit in hits] == ["the bear is growling"]
    await store.asimilarity_search("the growling bear")
    assert counted.queries == ["the bear is growling", "the growling bear"]


async def test_qdrants_vectors_are_the_encoders_weights() -> None:
    view = QdrantSparse(HashEncoder())
    expected = [
        SparseVector(indices=weights.ids.tolist(), values=weights.weights.tolist())
        for weights in WEIGHTS
        if weights is not None
    ]
    assert view.embed_documents(TEXTS) == await view.aembed_documents(TEXTS) == expected
    assert view.embed_query(TEXTS[0]) == await view.aembed_query(TEXTS[0]) == expected[0]
    assert view.embed_query("") == SparseVector(indices=[], values=[])


def test_dense_and_sparse_are_one_pass_through_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    forward = Backbone.__call__

    def counted(backbone: Backbone, pack: Pack) -> torch.Tensor:
        lengths.extend(pack.lengths)
        return forward(backbone, pack)

    monkeypatch.setattr(Backbone, "__call__", counted)
    encoder = CachedEncoder(TorchEncoder.from_pretrained("tiny"), reps=("dense", "sparse"))
    dense, sparse = M3Embeddings(encoder=encoder), QdrantSparse(encoder)
    texts = ["a wolf", "two wolves", "a bear"]
    for view in (dense, sparse):
        assert len(view.embed_documents(texts)) == 3
        assert len(lengths) == 3
    for view in (dense, sparse):
        assert view.embed_query("wolf")
        assert len(lengths) == 4
