"""
A collection that LlamaIndex's Milvus store made; it asks for pymilvus 2, and has no place beside 3.

`tests/milvus/test_environments.py` runs these in an environment that has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymilvus import MilvusClient

from m3kit.filters import Contains, Eq, Not
from m3kit.index import DocumentError, Search
from m3kit.memory import MemoryIndex
from m3kit.records import Document, Record
from m3kit.testing import DIM, TEXTS, assert_same_hits, query, records
from m3kit_milvus import LLAMA_INDEX, MilvusIndex

milvus = pytest.importorskip(
    "llama_index.vector_stores.milvus", reason="LlamaIndex's Milvus store asks for pymilvus 2"
)
schema = pytest.importorskip("llama_index.core.schema")
types = pytest.importorskip("llama_index.core.vector_stores.types")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def _weights(text: str) -> dict[int, float]:
    sparse = query(text, "sparse").sparse
    assert sparse is not None
    return sparse.to_dict()


class Sparse(milvus.utils.BaseSparseEmbeddingFunction):  # type: ignore[misc, name-defined]  # Any
    def encode_queries(self, queries: list[str]) -> list[dict[int, float]]:
        return [_weights(text) for text in queries]

    encode_documents = encode_queries


@pytest.fixture
def store(file: Path, client: MilvusClient) -> Any:
    assert client  # it holds the file
    return milvus.MilvusVectorStore(
        uri=str(file),
        dim=DIM,
        enable_sparse=True,
        sparse_embedding_function=Sparse(),
        similarity_metric="IP",
        use_async_client=False,
    )


def _nodes() -> list[Any]:
    source = {schema.NodeRelationship.SOURCE: schema.RelatedNodeInfo(node_id="book")}
    return [
        schema.TextNode(
            id_=f"node {n}",
            text=text,
            metadata={"n": n, "tags": text.split()},
            embedding=query(text, "dense").dense.tolist(),  # type: ignore[union-attr]  # it has one
            relationships=source,
        )
        for n, text in enumerate(TEXTS)
        if text
    ]


def test_llama_indexs_collection_opens_searches_and_is_written(
    client: MilvusClient, store: Any
) -> None:
    nodes = _nodes()
    store.add(nodes)
    index = MilvusIndex(client, "llamacollection", fields=LLAMA_INDEX)
    documents = {entry.document.id: entry.document for entry in index.scan()}
    assert {id_: entry.text for id_, entry in documents.items()} == {
        node.node_id: node.text for node in nodes
    }
    first = dict(documents["node 0"].metadata)
    assert (first["n"], first["tags"], first["doc_id"]) == (0, TEXTS[0].split(), "book")
    oracle = MemoryIndex(DIM, reps=index.reps)
    oracle.upsert([Record(entry, records([entry])[0].output) for entry in documents.values()])
    for where in (None, Eq("n", 3), Not(Contains("tags", "the")), Eq("doc_id", "book")):
        encoded = query("the growling bear", "dense", "sparse")
        search = Search(query=encoded, k=5, where=where, with_scores=True)
        assert_same_hits(index.search(search), oracle.search(search))

    with pytest.raises(DocumentError, match="each row needs doc_id, and its metadata lacks it"):
        index.upsert(records([Document("new", "a new bear")]))
    new = Document("new", "a new bear", {"doc_id": "mine", "n": 99})
    index.upsert(records([new]))
    index.delete(["node 0"])
    answer = store.query(
        types.VectorStoreQuery(
            query_embedding=query("a new bear", "dense").dense.tolist(),  # type: ignore[union-attr]
            similarity_top_k=1,
            mode=types.VectorStoreQueryMode.DEFAULT,
        )
    )
    assert answer.ids == ["new"]
    assert answer.nodes[0].get_content() == "a new bear"
    assert index.count() == len(nodes)
