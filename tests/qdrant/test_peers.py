"""Collections made by the stores of LangChain and LlamaIndex, read and written by both sides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from qdrant_client import QdrantClient

from m3kit import FieldNames, MemoryIndex
from m3kit.filters import Contains, Eq, Filter, Not, Range
from m3kit.index import DocumentError, Search
from m3kit.records import Document
from m3kit.scoring import require
from m3kit.testing import DIM, ENCODER, TEXTS, assert_same_hits, query, records, typed
from m3kit.vectors import Rep
from m3kit_qdrant import QdrantIndex

IDS = [str(UUID(int=n + 2**100)) for n in range(len(TEXTS))]
METADATA: list[dict[str, Any]] = [
    {"n": n, "share": n / 8, "tags": text.split(), "nested": {"a": [n, None]}}
    for n, text in enumerate(TEXTS)
]
DOCUMENTS = [Document(*one) for one in zip(IDS, TEXTS, METADATA, strict=True)]
NEW = Document(str(UUID(int=5)), "the bear is new", {"n": 50, "tags": ["new"]})


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    yield client
    client.close()


def dense(texts: list[str]) -> list[list[float]]:
    outputs = ENCODER.encode_documents(texts)
    return [require(one.dense, "dense").tolist() for one in outputs]


def weights(texts: list[str]) -> tuple[list[list[int]], list[list[float]]]:
    outputs = [require(one.sparse, "sparse") for one in ENCODER.encode_documents(texts)]
    return [one.ids.tolist() for one in outputs], [one.weights.tolist() for one in outputs]


def assert_answers(index: QdrantIndex, some: list[Document]) -> None:
    oracle = MemoryIndex(DIM, reps=index.reps)
    oracle.upsert(records(some))
    every: list[tuple[Rep, ...]] = [("dense",)]
    if "sparse" in index.reps:
        every += [("sparse",), ("dense", "sparse")]
    where: list[Filter | None] = [None, Range("n", gt=2), Not(Contains("tags", "bear"))]
    for reps in every:
        for one in where:
            search = Search(query=query("the growling bear", *reps), k=4, where=one)
            assert_same_hits(index.search(search), oracle.search(search))
    for record in index.scan():
        (true,) = oracle.get([record.document.id])
        assert typed(dict(record.document.metadata)) == typed(dict(true.document.metadata))
    assert index.count() == len(some)


def change(index: QdrantIndex, some: list[Document]) -> list[Document]:
    """Write a new document and another version of an old one, and delete two."""
    changed = Document(some[1].id, "the dog is asleep", some[1].metadata)
    index.upsert(records([NEW, changed]))
    index.delete([some[2].id])
    index.delete_where(Eq("n", 3))
    return [some[0], changed, *some[4:], NEW]


# LangChain


@pytest.mark.parametrize("mode", ["DENSE", "HYBRID"])
@pytest.mark.parametrize("vector_name", ["", "text"])
def test_langchains_collection(mode: str, vector_name: str) -> None:
    langchain_qdrant = pytest.importorskip("langchain_qdrant")
    from langchain_core.embeddings import Embeddings

    class Dense(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return dense(texts)

        def embed_query(self, text: str) -> list[float]:
            return dense([text])[0]

    class Lexical(langchain_qdrant.SparseEmbeddings):  # type: ignore[misc,name-defined]  # it may be missing
        def embed_documents(self, texts: list[str]) -> list[Any]:
            pairs = zip(*weights(texts), strict=True)
            return [
                langchain_qdrant.SparseVector(indices=ids, values=values) for ids, values in pairs
            ]

        def embed_query(self, text: str) -> Any:
            return self.embed_documents([text])[0]

    store = langchain_qdrant.QdrantVectorStore.construct_instance(
        embedding=Dense(),
        sparse_embedding=Lexical(),
        retrieval_mode=langchain_qdrant.RetrievalMode[mode],
        client_options={"location": ":memory:"},
        collection_name="papers",
        vector_name=vector_name,
    )
    store.add_texts(TEXTS, METADATA, ids=IDS)
    own = {} if mode == "DENSE" else {"sparse": "langchain-sparse"}
    fields = FieldNames(dense=vector_name, text="page_content", metadata="metadata", **own)
    index = QdrantIndex(store.client, "papers", fields=fields)
    assert_answers(index, DOCUMENTS)
    left = change(index, DOCUMENTS)
    assert_answers(index, left)
    found = {one.metadata["_id"]: one for one in store.similarity_search("the bear", k=100)}
    assert found.keys() == {one.id for one in left}
    for one in left:
        theirs = dict(found[one.id].metadata)
        assert found[one.id].page_content == one.text
        assert theirs.pop("_id") == one.id
        assert theirs.pop("_collection_name") == "papers"
        assert theirs == one.metadata
    store.client.close()


def test_langchains_texts_without_metadata() -> None:
    langchain_qdrant = pytest.importorskip("langchain_qdrant")
    from langchain_core.embeddings import DeterministicFakeEmbedding

    store = langchain_qdrant.QdrantVectorStore.construct_instance(
        embedding=DeterministicFakeEmbedding(size=DIM),
        client_options={"location": ":memory:"},
        collection_name="papers",
    )
    store.add_texts(["a", "b"])
    fields = FieldNames(dense="", text="page_content", metadata="metadata")
    index = QdrantIndex(store.client, "papers", fields=fields)
    assert sorted((one.document.text, dict(one.document.metadata)) for one in index.scan()) == [
        ("a", {}),
        ("b", {}),
    ]
    store.client.close()


# LlamaIndex


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")
@pytest.mark.parametrize("hybrid", [False, True])
def test_llama_indexs_collection(client: QdrantClient, *, hybrid: bool) -> None:
    llama_index_qdrant = pytest.importorskip("llama_index.vector_stores.qdrant")
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
    from llama_index.core.vector_stores import VectorStoreQuery

    store = llama_index_qdrant.QdrantVectorStore(
        "papers",
        client=client,
        enable_hybrid=hybrid,
        sparse_doc_fn=weights,
        sparse_query_fn=weights,
    )
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="the source")}
    nodes = [
        TextNode(id_=id_, text=text, metadata=metadata, relationships=source if n % 2 else {})
        for n, (id_, text, metadata) in enumerate(zip(IDS, TEXTS, METADATA, strict=True))
    ]
    for node, vector in zip(nodes, dense(TEXTS), strict=True):
        node.embedding = vector
    store.add(nodes)
    fields = FieldNames(dense="", text="_node_content")
    if hybrid:
        fields = FieldNames(dense="text-dense", sparse="text-sparse-new", text="_node_content")
        # the store's lexical weights are made of the text with its metadata; ours of the text
        index = QdrantIndex(client, "papers", fields=fields)
        index.upsert(records([one.document for one in index.scan()]))
    index = QdrantIndex(client, "papers", fields=fields)
    told = [
        Document(
            one.id,
            one.text,
            {
                **one.metadata,
                **dict.fromkeys(
                    ("document_id", "doc_id", "ref_doc_id"), "the source" if n % 2 else "None"
                ),
            },
        )
        for n, one in enumerate(DOCUMENTS)
    ]
    assert_answers(index, told)
    assert index.count(Eq("ref_doc_id", "the source")) == 5
    left = change(index, told)
    assert_answers(index, left)
    asked = VectorStoreQuery(query_embedding=dense(["the bear"])[0], similarity_top_k=100)
    answer = store.query(asked)
    found = {node.node_id: node for node in answer.nodes}
    assert found.keys() == {one.id for one in left}
    for one in left:
        node = found[one.id]
        sources = {"document_id", "doc_id", "ref_doc_id"}
        assert node.text == one.text
        assert node.metadata == {
            name: value for name, value in one.metadata.items() if name not in sources
        }
        ours = one.metadata.get("ref_doc_id", "None")
        assert node.ref_doc_id == (None if ours == "None" else ours)
    store.delete("the source")
    assert index.count() == len([one for one in left if one.metadata.get("doc_id") != "the source"])


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")
def test_a_field_of_llama_indexs_own_is_no_metadata(client: QdrantClient) -> None:
    llama_index_qdrant = pytest.importorskip("llama_index.vector_stores.qdrant")
    from llama_index.core.schema import ImageNode

    store = llama_index_qdrant.QdrantVectorStore("papers", client=client)
    node = ImageNode(id_=IDS[0], image_url="http://x/y.png", metadata={"n": 1})
    node.embedding = dense([""])[0]
    store.add([node])
    index = QdrantIndex(client, "papers", fields=FieldNames(dense="", text="_node_content"))
    (record,) = index.scan()
    assert record.document.text == ""
    assert index.count(Eq("_node_type", "ImageNode")) == 0
    assert json.loads((client.retrieve("papers", [IDS[0]])[0].payload or {})["_node_content"])
    with pytest.raises(DocumentError, match="the field '_node_type'"):
        index.upsert(records([Document(IDS[1], "", {"_node_type": "x"})]))
