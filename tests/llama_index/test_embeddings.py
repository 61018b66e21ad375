"""M3's vectors by LlamaIndex's names, and a loop that runs on while they are made."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Collection, Sequence
from threading import Event
from typing import Any

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding
from tests.llama_index.conftest import Call
from tests.llama_index.corpus import QUERY, Counting

from m3kit.encoder import CachedEncoder
from m3kit.index import RepresentationError
from m3kit.memory import MemoryIndex
from m3kit.scoring import overlap
from m3kit.testing import TEXTS, HashEncoder
from m3kit.vectors import M3Output, Rep
from m3kit_llama_index import M3Embedding, M3Retriever, M3SparseEmbedding, M3VectorStore

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


def test_it_takes_its_encoder_to_another_process_or_stays() -> None:
    there = pickle.loads(pickle.dumps(M3Embedding(HashEncoder())))  # noqa: S301  # our own
    assert there.get_text_embedding(TEXTS[0]) == np.asarray(OUTPUTS[0].dense).tolist()
    with pytest.raises(TypeError, match="without num_workers"):
        pickle.dumps(M3Embedding(CachedEncoder(HashEncoder())))


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
