"""The view that serves langchain-milvus: one forward pass for each text."""

from __future__ import annotations

from pathlib import Path

import pymilvus
from langchain_core.documents import Document
from langchain_milvus import Milvus
from tests.langchain.conftest import Counted

from m3kit import CachedEncoder
from m3kit.testing import ENCODER, TEXTS, HashEncoder
from m3kit_langchain import M3Embeddings
from m3kit_langchain.milvus import MilvusSparse

WEIGHTS = [output.sparse for output in ENCODER.encode_documents(TEXTS)]


def test_a_hybrid_milvus_store_encodes_each_text_once(tmp_path: Path) -> None:
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
    texts = TEXTS
    assert "" in texts
    store.add_documents([Document(page_content=text) for text in texts])
    assert counted.documents == texts
    hits = store.similarity_search(
        "the bear is growling",
        k=1,
        param=[{"metric_type": "IP"}, {"metric_type": "IP"}],
        reranker=pymilvus.Function(
            "rrf", pymilvus.FunctionType.RERANK, [], params={"reranker": "rrf"}
        ),
    )
    assert [hit.page_content for hit in hits] == ["the bear is growling"]
    assert counted.queries == ["the bear is growling"]
    store.client.close()


async def test_milvus_dicts_are_the_encoders_weights_and_cost_one_pass() -> None:
    counted = Counted(HashEncoder())
    encoder = CachedEncoder(counted, reps=("dense", "sparse"))
    dense, sparse = M3Embeddings(encoder=encoder), MilvusSparse(encoder)
    expected = [
        weights.to_dict() or {2**32 - 2: 1e-6} for weights in WEIGHTS if weights is not None
    ]
    dense.embed_documents(TEXTS)
    assert sparse.embed_documents(TEXTS) == await sparse.aembed_documents(TEXTS) == expected
    dense.embed_query(TEXTS[0])
    assert sparse.embed_query(TEXTS[0]) == await sparse.aembed_query(TEXTS[0]) == expected[0]
    assert all(type(key) is int and type(weight) is float for key, weight in expected[0].items())
    assert counted.documents == TEXTS
    assert counted.queries == TEXTS[:1]
