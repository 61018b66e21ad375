from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import create_retriever_tool
from pydantic import ValidationError
from tests.langchain.conftest import Counted

from m3kit import RRF, Eq, Hit, MemoryIndex, Retriever, WeightedSum
from m3kit.testing import DOCUMENTS, HashEncoder
from m3kit_langchain import M3Retriever, M3VectorStore

QUERY = "the growling bear"


@pytest.fixture
def index() -> MemoryIndex:
    """The suite's documents."""
    index = MemoryIndex()
    Retriever(HashEncoder(), index).add(DOCUMENTS)
    return index


OPTIONS: list[dict[str, Any]] = [
    {},
    {"k": 2},
    {"where": Eq("even", value=True)},
    {"fusion": WeightedSum()},
    {"reps": ("dense", "sparse"), "candidates": 5},
    {"reps": ("colbert",), "min_score": 0.4, "k": 9},
    {"group_by": "even", "k": 2},
    {"group_by": ("lang",), "group_size": 3, "fusion": RRF()},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
async def test_an_option_means_the_same_when_made_and_when_asked(
    index: MemoryIndex, options: dict[str, Any]
) -> None:
    hits = Retriever(HashEncoder(), index).search(QUERY, **{"k": 4} | options)
    expected = [_document(hit) for hit in hits]
    made = M3Retriever(encoder=HashEncoder(), index=index, **options)
    configured = M3Retriever(encoder=HashEncoder(), index=index)
    assert made.invoke(QUERY) == expected
    assert await made.ainvoke(QUERY) == expected
    assert configured.invoke(QUERY, **options) == expected
    assert await configured.ainvoke(QUERY, **options) == expected


async def test_a_query_is_encoded_once(index: MemoryIndex) -> None:
    encoder = Counted(HashEncoder())
    retriever = M3Retriever(encoder=encoder, index=index)
    retriever.invoke("one")
    await retriever.ainvoke("two")
    retriever.batch(["three"])
    assert encoder.queries == ["one", "two", "three"]


def test_filters_are_dicts_too(index: MemoryIndex) -> None:
    retriever = M3Retriever(encoder=HashEncoder(), index=index, where={"n": {"$lt": 3}}, k=9)
    assert {document.metadata["n"] for document in retriever.invoke(QUERY)} == {0, 1, 2}
    assert {document.metadata["n"] for document in retriever.invoke(QUERY, filter={"n": 5})} == {5}


def test_a_reranker_orders_the_candidates(index: MemoryIndex) -> None:
    def longest(_: str, texts: Sequence[str]) -> list[float]:
        return [len(text) for text in texts]

    retriever = M3Retriever(encoder=HashEncoder(), index=index, reranker=longest, k=1)
    assert retriever.invoke(QUERY)[0].page_content == "the salmon swims against the stream"


async def test_callbacks_see_the_query_and_what_is_found(index: MemoryIndex) -> None:
    class Seen(BaseCallbackHandler):
        def __init__(self) -> None:
            self.events: list[tuple[str, object]] = []

        def on_retriever_start(self, serialized: Any, query: str, **_: Any) -> None:
            del serialized
            self.events.append(("start", query))

        def on_retriever_end(self, documents: Sequence[Document], **_: Any) -> None:
            self.events.append(("end", [document.id for document in documents]))

        def on_retriever_error(self, error: BaseException, **_: Any) -> None:
            self.events.append(("error", type(error)))

    seen = Seen()
    retriever = M3Retriever(encoder=HashEncoder(), index=index)
    hits = retriever.invoke(QUERY, config={"callbacks": [seen]})
    await retriever.ainvoke(QUERY, config={"callbacks": [seen]})
    with pytest.raises(ValueError, match="at least 1"):
        retriever.invoke(QUERY, config={"callbacks": [seen]}, k=0)
    once = [("start", QUERY), ("end", [document.id for document in hits])]
    assert seen.events == [*once, *once, ("start", QUERY), ("error", ValueError)]


def test_k_is_configurable_and_an_agents_tool_reads_texts(index: MemoryIndex) -> None:
    retriever = M3Retriever(encoder=HashEncoder(), index=index)
    configured = retriever.configurable_fields(k=ConfigurableField(id="k"))
    assert configured.invoke(QUERY, config={"configurable": {"k": 2}}) == retriever.invoke(
        QUERY, k=2
    )
    tool = create_retriever_tool(retriever, "papers", "Looks papers up.")
    expected = "\n\n".join(document.page_content for document in retriever.invoke(QUERY))
    assert tool.invoke({"query": QUERY}) == expected


def test_what_is_set_later_holds_from_then_on(index: MemoryIndex) -> None:
    def longest(_: str, texts: Sequence[str]) -> list[float]:
        return [len(text) for text in texts]

    retriever = M3Retriever(encoder=HashEncoder(), index=index)
    retriever.reranker, retriever.k = longest, 1
    (document,) = retriever.invoke(QUERY)
    assert document.page_content == "the salmon swims against the stream"
    empty = MemoryIndex()
    assert retriever.model_copy(update={"index": empty}).invoke(QUERY) == []
    retriever.index = empty
    assert retriever.invoke(QUERY) == []
    with pytest.raises(ValidationError, match="top_k"):
        retriever.top_k = 3  # type: ignore[attr-defined]  # that is the point


def test_scores_are_in_the_metadata_where_a_key_is_given(index: MemoryIndex) -> None:
    (plain,) = M3Retriever(encoder=HashEncoder(), index=index, k=1).invoke(QUERY)
    (scored,) = M3Retriever(encoder=HashEncoder(), index=index, k=1, score_key="score").invoke(
        QUERY
    )
    (hit,) = Retriever(HashEncoder(), index).search(QUERY, k=1, with_scores=True)
    assert scored.metadata == {**plain.metadata, "score": hit.score, "scores": dict(hit.scores)}
    assert set(hit.scores) == {"dense", "sparse", "colbert"}
    assert "score" not in index.get([hit.document.id])[0].document.metadata


def test_unknown_options_are_refused_by_name(index: MemoryIndex) -> None:
    with pytest.raises(ValidationError, match="top_k"):
        M3Retriever(encoder=HashEncoder(), index=index, top_k=3)  # type: ignore[call-arg]  # that is the point
    with pytest.raises(TypeError, match="top_k"):
        M3Retriever(encoder=HashEncoder(), index=index).invoke(QUERY, top_k=3)


def test_an_index_of_another_model_is_refused() -> None:
    with pytest.raises(ValidationError, match="was made by BAAI/bge-m3@1"):
        M3Retriever(encoder=HashEncoder(), index=MemoryIndex(model="BAAI/bge-m3@1"))


def test_any_embeddings_may_encode() -> None:
    fake = DeterministicFakeEmbedding(size=6)
    store = M3VectorStore.from_texts(["foo", "bar"], fake)
    retriever = M3Retriever(encoder=fake, index=store.index, k=1)
    assert [document.page_content for document in retriever.invoke("bar")] == ["bar"]


def test_stores_and_retrievers_are_pickled_with_what_they_hold(index: MemoryIndex) -> None:
    store = M3VectorStore(HashEncoder(), index)
    retriever = M3Retriever(encoder=HashEncoder(), index=index, k=2)
    same_store, same = pickle.loads(pickle.dumps((store, retriever)))  # noqa: S301  # our own
    assert same_store.similarity_search(QUERY) == store.similarity_search(QUERY)
    assert same.invoke(QUERY) == retriever.invoke(QUERY)


def _document(hit: Hit) -> Document:
    return Document(
        id=hit.document.id,
        page_content=hit.document.text,
        metadata=dict(hit.document.metadata),
    )
