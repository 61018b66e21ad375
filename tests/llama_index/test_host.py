"""LlamaIndex's own index, pipeline, retrievers and query engine over every store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document, MockEmbedding, Settings, StorageContext, VectorStoreIndex
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.memory import VectorMemory
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import IndexNode, MetadataMode, QueryBundle, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode
from tests.llama_index.conftest import Call
from tests.llama_index.corpus import OP, QUERY, Counting, ids, make_nodes, one, source

from m3kit.encoder import CachedEncoder
from m3kit.index import VectorError
from m3kit.memory import MemoryIndex
from m3kit.testing import DIM
from m3kit_llama_index import (
    M3Embedding,
    M3Reranker,
    M3Retriever,
    M3StoreEmbedding,
    M3VectorStore,
)
from m3kit_qdrant import EdgeIndex

MODE = VectorStoreQueryMode
MODES = (MODE.DEFAULT, MODE.SPARSE, MODE.HYBRID, MODE.MMR)
NODES = make_nodes()
TEXTS = [node.get_content(MetadataMode.EMBED) for node in NODES]


@pytest.fixture(autouse=True)
def _a_mock_llm() -> Iterator[None]:
    """No test may look for a model of somebody's."""
    Settings.llm = MockLLM()
    yield
    Settings._llm = None


@pytest.fixture
def host(store: M3VectorStore, encoder: CachedEncoder) -> VectorStoreIndex:
    return VectorStoreIndex.from_vector_store(store, embed_model=M3Embedding(encoder))


def test_one_forward_pass_for_each_text(
    host: VectorStoreIndex, counting: Counting, call: Call
) -> None:
    call(host, "insert_nodes", NODES)
    assert sorted(counting.documents) == sorted(TEXTS)
    for mode in MODES:
        counting.queries.clear()
        retriever = host.as_retriever(vector_store_query_mode=mode)
        assert call(retriever, "retrieve", f"{QUERY} {mode}")
        assert counting.queries == [f"{QUERY} {mode}"]
    assert len(counting.documents) == len(TEXTS)


def test_an_embed_model_that_costs_nothing(
    store: M3VectorStore, counting: Counting, call: Call
) -> None:
    index = VectorStoreIndex.from_vector_store(
        M3VectorStore(counting, store.client), embed_model=M3StoreEmbedding()
    )
    call(index, "insert_nodes", NODES)
    for mode in MODES:
        counting.queries.clear()
        (found, *_) = call(index.as_retriever(vector_store_query_mode=mode), "retrieve", TEXTS[1])
        assert found.node_id == NODES[1].node_id
        assert counting.queries == [TEXTS[1]]
    assert sorted(counting.documents) == sorted(TEXTS)


def test_each_of_many_nodes_is_encoded_once(counting: Counting) -> None:
    store = M3VectorStore(counting, MemoryIndex())
    nodes = [TextNode(text=f"text {n}") for n in range(700)]
    context = StorageContext.from_defaults(vector_store=store)
    VectorStoreIndex(nodes, storage_context=context, embed_model=M3StoreEmbedding())
    assert len(counting.documents) == 700
    assert store.client.count() == 700


def test_a_mock_embedding_is_refused_when_it_would_search(
    store: M3VectorStore,
) -> None:
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(1))
    index.insert_nodes(NODES)
    with pytest.raises(VectorError, match="M3StoreEmbedding"):
        index.as_retriever().retrieve(QUERY)


@pytest.mark.parametrize("deferred", [True, False])
def test_what_hyde_imagines_is_searched_for(
    store: M3VectorStore, encoder: CachedEncoder, call: Call, *, deferred: bool
) -> None:
    embed_model = M3StoreEmbedding() if deferred else M3Embedding(encoder)
    index = VectorStoreIndex.from_vector_store(store, embed_model=embed_model)
    nodes = [TextNode(text="a picture is inserted"), TextNode(text="rows are frozen in tables")]
    index.insert_nodes(nodes)
    for mode in (MODE.DEFAULT, MODE.MMR):
        bundle = QueryBundle("picture", custom_embedding_strs=["rows are frozen in tables"])
        retriever = index.as_retriever(similarity_top_k=1, vector_store_query_mode=mode)
        (found,) = call(retriever, "retrieve", bundle)
        assert found.node.get_content() == "rows are frozen in tables"
        assert mode is MODE.MMR or found.score == pytest.approx(1)


@pytest.mark.parametrize("key", ["doc_id", "ref_doc_id", "document_id"])
def test_a_source_is_found_by_its_other_names(host: VectorStoreIndex, call: Call, key: str) -> None:
    for name in ("a", "b"):
        host.insert(Document(id_=name, text=f"the {name}"))
    found = call(host.as_retriever(filters=one(key, OP.EQ, "a")), "retrieve", "the")
    assert [node.node.ref_doc_id for node in found] == ["a"]
    found = call(host.as_retriever(filters=one(key, OP.NIN, ["a"])), "retrieve", "the")
    assert [node.node.ref_doc_id for node in found] == ["b"]


def test_a_cutoff_leaves_out_what_is_not_relevant(host: VectorStoreIndex) -> None:
    host.insert_nodes(NODES)
    engine = host.as_query_engine(
        vector_store_query_mode="hybrid",
        node_postprocessors=[SimilarityPostprocessor(similarity_cutoff=0.5)],
    )
    assert engine.retrieve(QueryBundle("quantum chromodynamics lagrangian")) == []
    assert engine.retrieve(QueryBundle(TEXTS[1]))[0].node_id == NODES[1].node_id


def test_as_retriever_in_every_mode(
    host: VectorStoreIndex, store: M3VectorStore, call: Call
) -> None:
    host.insert_nodes(NODES)
    for mode in MODES:
        check_retriever(host, store, call, mode)


def check_retriever(
    host: VectorStoreIndex, store: M3VectorStore, call: Call, mode: VectorStoreQueryMode
) -> None:
    options: dict[str, Any] = {
        "similarity_top_k": 4,
        "filters": one("n", OP.LT, 8),
        "doc_ids": [source(0), source(1)],
        "alpha": 0.0 if mode is MODE.HYBRID else None,
    }
    retriever = host.as_retriever(vector_store_query_mode=mode, **options)
    expected = store.query(VectorStoreQuery(query_str=QUERY, mode=mode, **options))
    found = call(retriever, "retrieve", QUERY)
    assert expected.similarities
    assert [(one.node_id, one.score) for one in found] == list(
        zip(ids(expected.nodes), expected.similarities, strict=True)
    )


def test_options_reach_the_store(host: VectorStoreIndex, call: Call) -> None:
    host.insert_nodes(NODES)
    near = host.as_retriever(
        vector_store_query_mode="mmr", vector_store_kwargs={"mmr_threshold": 1.0}
    )
    plain = host.as_retriever()
    assert ids([one.node for one in call(near, "retrieve", QUERY)]) == ids(
        [one.node for one in call(plain, "retrieve", QUERY)]
    )
    wrong = host.as_retriever(vector_store_kwargs={"mmr_treshold": 1.0})
    with pytest.raises(TypeError, match="mmr_treshold"):
        call(wrong, "retrieve", QUERY)


def test_documents_come_and_go(host: VectorStoreIndex, store: M3VectorStore, call: Call) -> None:
    documents = [Document(id_=f"d{n}", text=text) for n, text in enumerate(TEXTS[:3])]
    for document in documents:
        call(host, "insert", document)
    assert {node.ref_doc_id for node in store.get_nodes()} == {"d0", "d1", "d2"}
    call(host, "update_ref_doc", Document(id_="d1", text="something else"))
    assert {node.get_content() for node in store.get_nodes() if node.ref_doc_id == "d1"} == {
        "something else"
    }
    call(host, "delete_ref_doc", "d0")
    assert {node.ref_doc_id for node in store.get_nodes()} == {"d1", "d2"}
    call(host, "delete_nodes", ids(store.get_nodes()))
    assert store.get_nodes() == []


def test_the_query_engine_answers(host: VectorStoreIndex, call: Call) -> None:
    host.insert_nodes([TextNode(text="the salmon swims"), TextNode(text="a tensor on the gpu")])
    engine = host.as_query_engine(
        llm=MockLLM(), similarity_top_k=1, vector_store_query_mode="hybrid"
    )
    response = call(engine, "query", "where is the tensor")
    assert "a tensor on the gpu" in str(response)  # the mock repeats its prompt
    assert "salmon" not in str(response)
    assert [one.node.get_content() for one in response.source_nodes] == ["a tensor on the gpu"]


def test_a_query_engine_of_our_own_parts(filled: M3VectorStore, encoder: CachedEncoder) -> None:
    def shortest(query: str, texts: Any) -> list[float]:
        del query
        return [-len(text) for text in texts]

    engine = RetrieverQueryEngine.from_args(
        M3Retriever(encoder, filled.client, k=5),
        llm=MockLLM(),
        node_postprocessors=[M3Reranker(shortest, top_n=2)],
    )
    response = engine.query(QUERY)
    lengths = [len(one.node.get_content(MetadataMode.EMBED)) for one in response.source_nodes]
    assert len(lengths) == 2
    assert lengths == sorted(lengths)
    assert response.source_nodes[0].node.get_content() in str(response)


def test_a_new_process_finds_what_was_kept(directory: Path, encoder: CachedEncoder) -> None:
    with EdgeIndex(directory, dim=DIM) as index:
        context = StorageContext.from_defaults(vector_store=M3VectorStore(encoder, index))
        VectorStoreIndex(NODES, storage_context=context, embed_model=M3Embedding(encoder))
        context.persist(str(directory.parent / "llama"))
    with EdgeIndex(directory) as index:
        host = VectorStoreIndex.from_vector_store(
            M3VectorStore(encoder, index), embed_model=M3Embedding(encoder)
        )
        (found,) = host.as_retriever(similarity_top_k=1).retrieve(TEXTS[2])
        assert found.node == NODES[2]


def run(pipeline: IngestionPipeline, documents: list[Document], mode: str) -> int:
    if mode == "sync":
        return len(pipeline.run(documents=documents))
    return len(asyncio.run(pipeline.arun(documents=documents)))


@pytest.fixture
def pipeline(store: M3VectorStore, encoder: CachedEncoder) -> IngestionPipeline:
    return IngestionPipeline(
        transformations=[
            SentenceSplitter(chunk_size=64, chunk_overlap=0),
            M3Embedding(encoder),
        ],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
    )


def document(name: str, text: str) -> Document:
    return Document(id_=name, text=text, metadata={"name": name})


def texts_of(store: M3VectorStore) -> set[tuple[str | None, str]]:
    return {(node.ref_doc_id, node.get_content()) for node in store.get_nodes()}


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_pipeline_upserts_and_deletes(
    pipeline: IngestionPipeline, store: M3VectorStore, counting: Counting, mode: str
) -> None:
    dog, cat, bear = (document(name, f"the {name} sleeps") for name in ("dog", "cat", "bear"))
    assert run(pipeline, [dog, cat, bear], mode) == 3
    assert texts_of(store) == {(name, f"the {name} sleeps") for name in ("dog", "cat", "bear")}
    assert sorted(counting.documents) == [
        f"name: {n}\n\nthe {n} sleeps" for n in ("bear", "cat", "dog")
    ]

    assert run(pipeline, [dog, document("cat", "the cat wakes"), bear], mode) == 1
    assert texts_of(store) == {
        ("dog", "the dog sleeps"),
        ("cat", "the cat wakes"),
        ("bear", "the bear sleeps"),
    }
    assert len(counting.documents) == 4

    assert run(pipeline, [dog], mode) == 0
    assert texts_of(store) == {("dog", "the dog sleeps")}


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_pipeline_leaves_duplicates_out(
    pipeline: IngestionPipeline, store: M3VectorStore, counting: Counting, mode: str
) -> None:
    pipeline.docstore_strategy = DocstoreStrategy.DUPLICATES_ONLY
    dog = document("dog", "the dog sleeps")
    again = Document(id_="another", text=dog.text, metadata=dict(dog.metadata))
    assert run(pipeline, [dog], mode) == 1
    assert run(pipeline, [dog, again], mode) == 0
    assert texts_of(store) == {("dog", "the dog sleeps")}
    assert len(counting.documents) == 1


def test_whole_documents_are_upserted_too(
    store: M3VectorStore, encoder: CachedEncoder, pipeline: IngestionPipeline
) -> None:
    """Without a splitter a document is its own source."""
    pipeline.transformations = [M3Embedding(encoder)]
    dog, cat = document("dog", "the dog sleeps"), document("cat", "the cat sleeps")
    pipeline.run(documents=[dog, cat])
    assert sorted(ids(store.get_nodes())) == ["cat", "dog"]
    assert all(type(node) is Document for node in store.get_nodes())
    pipeline.run(documents=[document("dog", "the dog wakes")])
    assert {node.get_content() for node in store.get_nodes()} == {"the dog wakes"}


def test_text_and_index_nodes_are_found_together(
    host: VectorStoreIndex, encoder: CachedEncoder, store: M3VectorStore, call: Call
) -> None:
    """Where LlamaIndex's own retriever asks for the index nodes alone."""
    host.insert_nodes([*NODES[:2], IndexNode(id_="there", text=TEXTS[2], index_id="x")])
    own = call(host.as_retriever(similarity_top_k=3), "retrieve", QUERY)
    assert ids([one.node for one in own]) == ["there"]
    ours = call(M3Retriever(encoder, store.client), "retrieve", QUERY)
    assert sorted(ids([one.node for one in ours])) == sorted([*ids(NODES[:2]), "there"])


def test_llama_index_s_memory_lives_in_the_store(
    store: M3VectorStore, encoder: CachedEncoder
) -> None:
    """Its metadata nests dicts, whose values are members of an enum of strings."""
    memory = VectorMemory.from_defaults(
        vector_store=store,
        embed_model=M3Embedding(encoder),
        retriever_kwargs={"similarity_top_k": 1},
    )
    said = [ChatMessage(role="user", content=text) for text in ("the bear growls", "a cat purrs")]
    memory.set(said)
    assert memory.get("bear") == said[:1]
    memory.reset()
    assert store.get_nodes() == []


def test_insertion_may_be_asynchronous(store: M3VectorStore, encoder: CachedEncoder) -> None:
    context = StorageContext.from_defaults(vector_store=store)
    VectorStoreIndex(
        NODES,
        storage_context=context,
        embed_model=M3Embedding(encoder),
        use_async=True,
        insert_batch_size=4,
    )
    assert sorted(ids(store.get_nodes())) == sorted(ids(NODES))


def test_cleared_and_filled_again(host: VectorStoreIndex, store: M3VectorStore, call: Call) -> None:
    call(host, "insert_nodes", NODES)
    call(store, "clear")
    assert call(host.as_retriever(), "retrieve", QUERY) == []
    call(host, "insert_nodes", NODES[:2])
    assert sorted(ids(store.get_nodes())) == sorted(ids(NODES[:2]))
