"""Collections of LangChain's and LlamaIndex's stores and of m3kit, used by both sides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from qdrant_client import QdrantClient, models

from m3kit import RRF, FieldNames, MemoryIndex, WeightedSum, WithColbert
from m3kit.filters import Contains, Eq, Filter, Not, Range
from m3kit.index import DocumentError, IndexNotFoundError, Search
from m3kit.records import Document
from m3kit.scoring import require
from m3kit.testing import DIM, ENCODER, TEXTS, assert_same_hits, query, records, typed
from m3kit.vectors import Rep
from m3kit_qdrant import LANGCHAIN, LLAMA_INDEX, M3KIT, QdrantIndex

IDS = [str(UUID(int=n + 2**100)) for n in range(len(TEXTS))]
METADATA: list[dict[str, Any]] = [
    {"n": n, "share": n / 8, "tags": text.split(), "nested": {"a": [n, None]}}
    for n, text in enumerate(TEXTS)
]
DOCUMENTS = [Document(*fields) for fields in zip(IDS, TEXTS, METADATA, strict=True)]
NEW = Document(str(UUID(int=5)), "the bear is new", {"n": 50, "tags": ["new"]})


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    yield client
    client.close()


def dense(texts: list[str]) -> list[list[float]]:
    outputs = ENCODER.encode_documents(texts)
    return [require(output.dense, "dense").tolist() for output in outputs]


def weights(texts: list[str]) -> tuple[list[list[int]], list[list[float]]]:
    sparse = [require(output.sparse, "sparse") for output in ENCODER.encode_documents(texts)]
    return [row.ids.tolist() for row in sparse], [row.weights.tolist() for row in sparse]


def assert_answers(index: QdrantIndex, documents: list[Document]) -> None:
    oracle = MemoryIndex(DIM, reps=index.reps)
    oracle.upsert(records(documents))
    every: list[tuple[Rep, ...]] = [("dense",)]
    if "sparse" in index.reps:
        every += [("sparse",), ("dense", "sparse")]
    where: list[Filter | None] = [None, Range("n", gt=2), Not(Contains("tags", "bear"))]
    for reps in every:
        for condition in where:
            search = Search(query=query("the growling bear", *reps), k=4, where=condition)
            assert_same_hits(index.search(search), oracle.search(search))
    for record in index.scan():
        (true,) = oracle.get([record.document.id])
        assert typed(dict(record.document.metadata)) == typed(dict(true.document.metadata))
    assert index.count() == len(documents)


def change(index: QdrantIndex, documents: list[Document]) -> list[Document]:
    """Write a new document and another version of an old one, and delete two."""
    changed = Document(documents[1].id, "the dog is asleep", documents[1].metadata)
    index.upsert(records([NEW, changed]))
    index.delete([documents[2].id])
    index.delete_where(Eq("n", 3))
    return [documents[0], changed, *documents[4:], NEW]


# LangChain


def embeddings() -> tuple[Any, Any]:
    """Return the dense and the lexical side as LangChain knows them."""
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

    return Dense(), Lexical()


@pytest.mark.parametrize("mode", ["DENSE", "HYBRID"])
@pytest.mark.parametrize("vector_name", ["", "text"])
def test_langchains_collection(mode: str, vector_name: str) -> None:
    langchain_qdrant = pytest.importorskip("langchain_qdrant")
    embedding, sparse_embedding = embeddings()
    store = langchain_qdrant.QdrantVectorStore.construct_instance(
        embedding=embedding,
        sparse_embedding=sparse_embedding,
        retrieval_mode=langchain_qdrant.RetrievalMode[mode],
        client_options={"location": ":memory:"},
        collection_name="papers",
        vector_name=vector_name,
    )
    store.add_texts(TEXTS, METADATA, ids=IDS)
    fields = replace(LANGCHAIN, dense=vector_name)
    if mode == "DENSE":
        fields = replace(fields, sparse=None)
    index = QdrantIndex(store.client, "papers", fields=fields)
    assert_answers(index, DOCUMENTS)
    left = change(index, DOCUMENTS)
    assert_answers(index, left)
    by_id = {
        document.metadata["_id"]: document
        for document in store.similarity_search("the bear", k=100)
    }
    assert by_id.keys() == {document.id for document in left}
    for document in left:
        metadata = dict(by_id[document.id].metadata)
        assert by_id[document.id].page_content == document.text
        assert metadata.pop("_id") == document.id
        assert metadata.pop("_collection_name") == "papers"
        assert metadata == document.metadata
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
    index = QdrantIndex(store.client, "papers", fields=replace(LANGCHAIN, sparse=None))
    assert sorted(
        (record.document.text, dict(record.document.metadata)) for record in index.scan()
    ) == [
        ("a", {}),
        ("b", {}),
    ]
    store.client.close()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (FieldNames(dense=""), r"keys 'metadata', 'page_content', and none is 'text'"),
        (replace(LANGCHAIN, text="content"), r"none is 'content'; pass its name as .*text="),
        (replace(LANGCHAIN, metadata="meta"), r"none is 'meta'; pass its name as .*metadata="),
        (replace(LANGCHAIN, metadata=None), r"pass FieldNames\(metadata='metadata'\)"),
        (replace(LANGCHAIN, dense="dense"), r"no dense vector 'dense', only ''"),
        (None, r"not created by m3kit; pass fields=FieldNames\(…\).* keys 'metadata', 'page_cont"),
    ],
)
def test_a_wrong_or_forgotten_name_is_refused_with_the_keys_that_there_are(
    fields: FieldNames | None, message: str
) -> None:
    langchain_qdrant = pytest.importorskip("langchain_qdrant")
    embedding, sparse_embedding = embeddings()
    store = langchain_qdrant.QdrantVectorStore.construct_instance(
        embedding=embedding,
        sparse_embedding=sparse_embedding,
        retrieval_mode=langchain_qdrant.RetrievalMode.HYBRID,
        client_options={"location": ":memory:"},
        collection_name="papers",
    )
    store.add_texts(TEXTS, METADATA, ids=IDS)
    with pytest.raises(IndexNotFoundError, match=message):
        QdrantIndex(store.client, "papers", fields=fields, dim=DIM)
    assert store.client.count("papers").count == len(TEXTS)
    index = QdrantIndex(store.client, "papers", fields=LANGCHAIN)  # and so ColBERT reads texts
    encoded = query("the growling bear")
    hits = WithColbert(index, ENCODER).search(Search(query=encoded, k=3))
    oracle = MemoryIndex(DIM)
    oracle.upsert(records(DOCUMENTS))
    assert_same_hits(hits, oracle.search(Search(query=encoded, k=3)))
    store.client.close()


def test_langchains_store_searches_and_extends_what_m3kit_made(client: QdrantClient) -> None:
    langchain_qdrant = pytest.importorskip("langchain_qdrant")
    index = QdrantIndex(client, "papers", dim=DIM)
    index.upsert(records(DOCUMENTS[:8]))
    embedding, sparse_embedding = embeddings()
    store = langchain_qdrant.QdrantVectorStore(
        client,
        "papers",
        embedding=embedding,
        sparse_embedding=sparse_embedding,
        retrieval_mode=langchain_qdrant.RetrievalMode.HYBRID,
        vector_name="dense",
        sparse_vector_name="sparse",
        distance=models.Distance.DOT,
    )
    third = models.FieldCondition(key="metadata.n", match=models.MatchValue(value=3))
    (answer,) = store.similarity_search("the bear", k=5, filter=models.Filter(must=[third]))
    assert answer.page_content == DOCUMENTS[3].text
    assert {**DOCUMENTS[3].metadata, "_id": IDS[3], "_collection_name": "papers"} == answer.metadata
    store.add_texts(TEXTS[8:], METADATA[8:], ids=IDS[8:])
    assert index.count() == len(DOCUMENTS)
    every: list[tuple[Rep, ...]] = [("dense",), ("sparse",), ("dense", "sparse")]
    for reps in every:
        oracle = MemoryIndex(DIM, reps=reps)
        oracle.upsert(records(DOCUMENTS))
        search = Search(query=query("purring bear", *reps), k=5, where=Range("n", gt=2))
        assert_same_hits(index.search(search), oracle.search(search))
    for fusion in (RRF(), WeightedSum()):
        search = Search(query=query("purring"), k=20, fusion=fusion, with_scores=True)
        scores = {hit.document.id: hit.scores for hit in index.search(search)}
        assert scores.keys() == {*IDS}
        assert [scores[id_]["colbert"] for id_ in IDS[8:]] == [0, 0, 0]
        assert all(scores[id_]["colbert"] > 0 for id_ in IDS[:3])
    (record,) = index.get([IDS[9]], index.reps)
    assert record.document == DOCUMENTS[9]
    assert record.output.reps == {"dense", "sparse"}


def test_opening_with_m3kits_own_names_is_opening_without(client: QdrantClient) -> None:
    QdrantIndex(client, "papers", dim=DIM, model="a@1").upsert(records(DOCUMENTS))
    assert QdrantIndex(client, "papers", fields=M3KIT).count() == len(DOCUMENTS)
    with pytest.raises(IndexNotFoundError, match="m3kit created the collection 'papers'"):
        QdrantIndex(client, "papers", fields=LANGCHAIN)


# LlamaIndex


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")
def test_llama_indexs_store_searches_what_m3kit_made(client: QdrantClient) -> None:
    llama_index_qdrant = pytest.importorskip("llama_index.vector_stores.qdrant")
    from llama_index.core.vector_stores import MetadataFilter, MetadataFilters, VectorStoreQuery
    from llama_index.core.vector_stores.types import VectorStoreQueryMode

    QdrantIndex(client, "papers", dim=DIM).upsert(records(DOCUMENTS))
    store = llama_index_qdrant.QdrantVectorStore(
        "papers",
        client=client,
        enable_hybrid=True,
        sparse_doc_fn=weights,
        sparse_query_fn=weights,
        text_key="page_content",
        dense_vector_name="dense",
        sparse_vector_name="sparse",
    )
    bears = [text for text in TEXTS if "bear" in text]
    for mode in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.HYBRID):
        request = VectorStoreQuery(
            query_embedding=dense(["the growling bear"])[0],
            query_str="the growling bear",
            similarity_top_k=3,
            sparse_top_k=3,
            hybrid_top_k=3,
            mode=mode,
        )
        answer = store.query(request)
        assert {node.text for node in answer.nodes} & {*bears}
    third = MetadataFilters(filters=[MetadataFilter(key="metadata.n", value=3)])
    request = VectorStoreQuery(
        query_embedding=dense(["bear"])[0], similarity_top_k=9, filters=third
    )
    answer = store.query(request)
    assert [node.text for node in answer.nodes] == [TEXTS[3]]
    assert answer.ids == [IDS[3]]


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
    fields = replace(LLAMA_INDEX, dense="", sparse=None)
    if hybrid:
        fields = LLAMA_INDEX
        # the store's lexical weights are made of the text with its metadata; ours of the text
        index = QdrantIndex(client, "papers", fields=fields)
        index.upsert(records([record.document for record in index.scan()]))
    index = QdrantIndex(client, "papers", fields=fields)
    written = [
        Document(
            document.id,
            document.text,
            {
                **document.metadata,
                **dict.fromkeys(
                    ("document_id", "doc_id", "ref_doc_id"), "the source" if n % 2 else "None"
                ),
            },
        )
        for n, document in enumerate(DOCUMENTS)
    ]
    assert_answers(index, written)
    assert index.count(Eq("ref_doc_id", "the source")) == 5
    left = change(index, written)
    assert_answers(index, left)
    request = VectorStoreQuery(query_embedding=dense(["the bear"])[0], similarity_top_k=100)
    answer = store.query(request)
    by_id = {node.node_id: node for node in answer.nodes}
    assert by_id.keys() == {document.id for document in left}
    for document in left:
        node = by_id[document.id]
        sources = {"document_id", "doc_id", "ref_doc_id"}
        assert node.text == document.text
        assert node.metadata == {
            name: value for name, value in document.metadata.items() if name not in sources
        }
        ours = document.metadata.get("ref_doc_id", "None")
        assert node.ref_doc_id == (None if ours == "None" else ours)
    store.delete("the source")
    assert index.count() == len(
        [document for document in left if document.metadata.get("doc_id") != "the source"]
    )


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
