"""M3's vectors by LlamaIndex's names, and a loop that runs on while they are made."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Collection, Sequence
from threading import Event
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding
from llama_index.core.schema import TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from pydantic import ValidationError
from qdrant_client import QdrantClient
from tests.llama_index.conftest import Call
from tests.llama_index.corpus import QUERY, Counting

from m3kit.encoder import CachedEncoder, Encoder
from m3kit.index import ModelMismatchError, RepresentationError
from m3kit.memory import MemoryIndex
from m3kit.scoring import overlap
from m3kit.testing import TEXTS, HashEncoder
from m3kit.torch import TorchEncoder
from m3kit.vectors import M3Output, Rep
from m3kit_llama_index import (
    M3Embedding,
    M3Retriever,
    M3SparseEmbedding,
    M3StoreEmbedding,
    M3VectorStore,
)
from m3kit_llama_index.embeddings import DeferredEmbedding

OUTPUTS = HashEncoder().encode_documents(TEXTS)


def test_dense(call: Call) -> None:
    embedding = M3Embedding(HashEncoder())
    assert isinstance(embedding, BaseEmbedding)
    assert embedding.model_name == "hash"
    assert embedding.class_name() == "M3Embedding"
    expected = [np.asarray(output.dense).tolist() for output in OUTPUTS]
    assert call(embedding, "get_text_embedding_batch", TEXTS) == expected
    assert call(embedding, "get_text_embedding", TEXTS[3]) == expected[3]
    assert call(embedding, "get_query_embedding", TEXTS[3]) == expected[3]
    assert type(expected[0][0]) is float


def test_sparse(call: Call) -> None:
    embedding = M3SparseEmbedding(HashEncoder())
    assert isinstance(embedding, BaseSparseEmbedding)
    assert embedding.model_name == "hash"
    assert embedding.class_name() == "M3SparseEmbedding"
    expected = [output.sparse.to_dict() for output in OUTPUTS if output.sparse is not None]
    assert call(embedding, "get_text_embedding_batch", TEXTS) == expected
    assert call(embedding, "get_text_embedding", TEXTS[3]) == expected[3]
    assert call(embedding, "get_query_embedding", TEXTS[3]) == expected[3]
    assert expected[TEXTS.index("")] == {}


def test_sparse_similarity_is_m3_s_score() -> None:
    embedding = M3SparseEmbedding(HashEncoder())
    query = embedding.get_query_embedding(QUERY)
    (asked,) = HashEncoder().encode_queries([QUERY])
    assert asked.sparse is not None
    held = [output.sparse for output in OUTPUTS if output.sparse is not None]
    for text, expected in zip(TEXTS, overlap(asked.sparse, held).tolist(), strict=True):
        score = embedding.similarity(query, embedding.get_text_embedding(text))
        assert score == pytest.approx(expected)
    assert embedding.similarity(query, {}) == 0


def test_queries_are_encoded_as_queries(counting: Counting) -> None:
    for embedding in (M3Embedding(counting), M3SparseEmbedding(counting)):
        embedding.get_query_embedding("q")
        embedding.get_text_embedding("t")
    assert (counting.queries, counting.documents) == (["q", "q"], ["t", "t"])


def test_a_shared_cache_encodes_each_text_once(
    encoder: CachedEncoder, counting: Counting, call: Call
) -> None:
    call(M3Embedding(encoder), "get_text_embedding_batch", TEXTS)
    call(M3SparseEmbedding(encoder), "get_text_embedding_batch", TEXTS)
    assert sorted(counting.documents) == sorted(TEXTS)


def test_what_the_model_cannot_say() -> None:
    class Dense(HashEncoder):
        reps: frozenset[Rep] = frozenset({"dense"})

    M3Embedding(Dense())
    with pytest.raises(RepresentationError, match="no sparse"):
        M3SparseEmbedding(Dense())


def test_texts_are_handed_over_in_batches() -> None:
    sizes: list[int] = []

    class Sizing(HashEncoder):
        def encode_documents(
            self, texts: Sequence[str], reps: Collection[Rep] | None = None
        ) -> list[M3Output]:
            sizes.append(len(texts))
            return super().encode_documents(texts, reps)

    M3Embedding(Sizing(), embed_batch_size=4).get_text_embedding_batch(TEXTS)
    M3SparseEmbedding(Sizing(), embed_batch_size=4).get_text_embedding_batch(TEXTS)
    assert sizes == [4, 4, 3] * 2


@pytest.mark.parametrize(
    "encoder", [HashEncoder(), CachedEncoder(HashEncoder())], ids=["plain", "cached"]
)
def test_it_takes_its_encoder_to_another_process(encoder: Encoder) -> None:
    copy = pickle.loads(pickle.dumps(M3Embedding(encoder)))  # noqa: S301  # our own
    assert copy.get_text_embedding(TEXTS[0]) == np.asarray(OUTPUTS[0].dense).tolist()


class Waiting(HashEncoder):
    """Encodes only when the loop, which it must therefore not block, says so."""

    def __init__(self) -> None:
        self.go = Event()

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        return self.encode_documents(texts, reps)

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        assert self.go.wait(10), "the loop was blocked"
        return super().encode_documents(texts, reps)


@pytest.mark.parametrize(
    "start",
    [
        lambda encoder: M3Embedding(encoder).aget_query_embedding("q"),
        lambda encoder: M3Embedding(encoder).aget_text_embedding("t"),
        lambda encoder: M3Embedding(encoder).aget_text_embedding_batch(["t", "u"]),
        lambda encoder: M3SparseEmbedding(encoder).aget_query_embedding("q"),
        lambda encoder: M3SparseEmbedding(encoder).aget_text_embedding("t"),
        lambda encoder: M3SparseEmbedding(encoder).aget_text_embedding_batch(["t", "u"]),
        lambda encoder: M3Retriever(encoder, MemoryIndex()).aretrieve("q"),
        lambda encoder: M3VectorStore(encoder, MemoryIndex()).aquery(_query()),
        lambda encoder: M3VectorStore(encoder, MemoryIndex()).async_add(_nodes()),
    ],
)
def test_the_loop_runs_on_meanwhile(start: Any) -> None:
    async def run() -> None:
        encoder = Waiting()
        task = asyncio.ensure_future(start(encoder))
        await asyncio.sleep(0.02)
        assert not task.done()
        encoder.go.set()
        await task

    asyncio.run(run())


def _query() -> Any:
    from llama_index.core.vector_stores.types import VectorStoreQuery

    return VectorStoreQuery(query_str="q")


def _nodes() -> Any:
    from tests.llama_index.corpus import make_nodes

    return make_nodes()


def test_a_model_is_loaded_by_its_name() -> None:
    embedding = M3Embedding(model_name="tiny", device="cpu")
    encoder = TorchEncoder.from_pretrained("tiny")
    (expected,) = encoder.encode_documents(["a bear"], ["dense"])
    assert embedding.get_text_embedding("a bear") == np.asarray(expected.dense).tolist()
    assert embedding.model_name == encoder.model
    with pytest.raises(TypeError, match="device would load a model"):
        M3Embedding(encoder, device="cpu")
    with pytest.raises(ModelMismatchError, match="BAAI/bge-m3@1"):
        M3Embedding(encoder, model_name="BAAI/bge-m3@1")
    with pytest.raises(ModelMismatchError, match="tiny@1"):
        M3SparseEmbedding(model_name="tiny@1")
    with pytest.raises(ValidationError, match="frozen"):
        embedding.model_name = "another"


def test_from_dict() -> None:
    embedding = M3Embedding(model_name="tiny", device="cpu", embed_batch_size=3)
    again = M3Embedding.from_dict(embedding.to_dict())
    assert again.to_dict() == embedding.to_dict()
    assert again.get_query_embedding(QUERY) == embedding.get_query_embedding(QUERY)
    own = M3Embedding(HashEncoder())
    assert M3Embedding.from_dict(own.to_dict(), encoder=HashEncoder()).to_dict() == own.to_dict()
    sparse = M3SparseEmbedding(model_name="tiny")
    copied = M3SparseEmbedding.from_dict(sparse.model_dump())
    assert copied.get_query_embedding(QUERY) == sparse.get_query_embedding(QUERY)
    stored = M3StoreEmbedding(embed_batch_size=7)
    assert M3StoreEmbedding.from_dict(stored.to_dict()).to_dict() == stored.to_dict()


def test_pickled() -> None:
    sparse = pickle.loads(pickle.dumps(M3SparseEmbedding(HashEncoder())))  # noqa: S301  # our own
    assert sparse.get_text_embedding(TEXTS[0]) == M3SparseEmbedding(
        HashEncoder()
    ).get_text_embedding(TEXTS[0])
    stored = pickle.loads(pickle.dumps(M3StoreEmbedding()))  # noqa: S301  # our own
    assert stored.to_dict() == M3StoreEmbedding().to_dict()


def test_the_store_s_embedding_passes_texts_on(call: Call) -> None:
    embedding = M3StoreEmbedding()
    for query in (
        call(embedding, "get_query_embedding", "a"),
        call(embedding, "get_agg_embedding_from_queries", ["a"]),
    ):
        assert isinstance(query, DeferredEmbedding)
        assert query.texts == ["a"]
    assert call(embedding, "get_text_embedding_batch", ["a", "b"]) == [[0.0], [0.0]]
    with pytest.raises(ValueError, match="agg_fn"):
        embedding.get_agg_embedding_from_queries(["a"], agg_fn=max)


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")
def test_sparse_vectors_fit_llama_index_s_qdrant_store() -> None:
    encoder = HashEncoder()
    sparse = M3SparseEmbedding(encoder)
    theirs = QdrantVectorStore(
        "papers",
        client=QdrantClient(":memory:"),
        enable_hybrid=True,
        sparse_doc_fn=sparse.sparse_doc_fn,
        sparse_query_fn=sparse.sparse_query_fn,
    )
    index = VectorStoreIndex.from_vector_store(theirs, embed_model=M3Embedding(encoder))
    index.insert_nodes([TextNode(id_=str(UUID(int=n)), text=text) for n, text in enumerate(TEXTS)])
    for mode in ("hybrid", "sparse"):
        retriever = index.as_retriever(vector_store_query_mode=mode, similarity_top_k=1)
        (found, *_) = retriever.retrieve("the salmon swims against the stream")
        assert found.node.get_content() == "the salmon swims against the stream"
