"""A store opens an index by its address, and closes what it opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from tests.shelf import ShelfIndex, shelf

from m3kit import IndexNotFoundError, MemoryIndex, RepresentationError, open_index
from m3kit.testing import ENCODER
from m3kit_langchain import M3Embeddings, M3VectorStore

__all__ = ["shelf"]

DOCUMENTS = [
    Document(id="a", page_content="the dog", metadata={"lang": "en"}),
    Document(page_content="the cat"),
]
EMBEDDINGS = M3Embeddings(encoder=ENCODER)


def test_documents_go_to_an_address(shelf: Mapping[str, ShelfIndex]) -> None:
    with M3VectorStore.from_documents(DOCUMENTS, EMBEDDINGS, index="shelf://papers") as store:
        assert store.index is shelf["papers"]
        assert store.similarity_search("dog", k=1) == DOCUMENTS[:1]
        assert shelf["papers"].times_closed == 0
    assert shelf["papers"].times_closed == 1


def test_an_index_is_made_for_the_encoder(shelf: Mapping[str, ShelfIndex]) -> None:
    M3VectorStore(EMBEDDINGS, "shelf://papers").close()
    assert (shelf["papers"].reps, shelf["papers"].model) == (ENCODER.reps, ENCODER.model)
    dense = DeterministicFakeEmbedding(size=6)
    M3VectorStore(dense, "shelf://dense").close()
    assert shelf["dense"].reps == {"dense"}


def test_the_store_is_opened_again_with_what_it_holds(shelf: Mapping[str, ShelfIndex]) -> None:
    M3VectorStore.from_texts(["the dog"], EMBEDDINGS, ids=["a"], index="shelf://papers").close()
    with M3VectorStore(EMBEDDINGS, "shelf://papers") as store:
        assert store.get_by_ids(["a"]) == [Document(id="a", page_content="the dog")]
    assert shelf["papers"].times_closed == shelf["papers"].times_opened == 2


async def test_the_asynchronous_twins_open_an_address(shelf: Mapping[str, ShelfIndex]) -> None:
    with await M3VectorStore.afrom_documents(
        DOCUMENTS, EMBEDDINGS, index="shelf://papers"
    ) as store:
        assert await store.asimilarity_search("dog", k=1) == DOCUMENTS[:1]
    texts = ["the dog"]
    with await M3VectorStore.afrom_texts(
        texts, EMBEDDINGS, ids=["b"], index="shelf://papers"
    ) as store:
        assert [document.id for document in await store.aget_by_ids(["b"])] == ["b"]
    assert shelf["papers"].times_closed == shelf["papers"].times_opened == 2


def test_a_store_closes_once_and_never_an_index_that_it_was_given(
    shelf: Mapping[str, ShelfIndex],
) -> None:
    store = M3VectorStore(EMBEDDINGS, "shelf://papers")
    store.close()
    store.close()
    assert shelf["papers"].times_closed == 1
    with M3VectorStore(EMBEDDINGS, open_index("shelf://papers")):
        pass
    M3VectorStore.from_documents(DOCUMENTS, EMBEDDINGS, index=shelf["papers"]).close()
    assert shelf["papers"].times_closed == 1


def test_what_was_opened_is_closed_when_the_call_fails(shelf: Mapping[str, ShelfIndex]) -> None:
    open_index("shelf://sparse", dim=6, reps=["sparse"])
    with pytest.raises(RepresentationError, match="the index holds"):
        M3VectorStore(DeterministicFakeEmbedding(size=6), "shelf://sparse")
    assert shelf["sparse"].times_closed == 1
    with pytest.raises(ValueError, match="2 ids for 1 documents"):
        M3VectorStore.from_texts(["x"], EMBEDDINGS, ids=["a", "b"], index="shelf://papers")
    assert shelf["papers"].times_closed == 1


def test_an_index_that_the_caller_gave_stays_open_when_the_call_fails(
    shelf: Mapping[str, ShelfIndex],
) -> None:
    index = open_index("shelf://papers", encoder=ENCODER)
    with pytest.raises(ValueError, match="2 ids for 1 documents"):
        M3VectorStore.from_texts(["x"], EMBEDDINGS, ids=["a", "b"], index=index)
    assert shelf["papers"].times_closed == 0


def test_without_an_index_documents_stay_in_memory() -> None:
    with M3VectorStore.from_documents(DOCUMENTS, EMBEDDINGS) as store:
        assert isinstance(store.index, MemoryIndex)


def test_an_address_may_be_a_path(tmp_path: Path) -> None:
    path = tmp_path / "papers"
    with M3VectorStore.from_documents(DOCUMENTS, EMBEDDINGS, index=path) as store:
        assert store.similarity_search("dog", k=1) == DOCUMENTS[:1]
    with M3VectorStore(EMBEDDINGS, str(path)) as store:
        assert store.get_by_ids(["a"]) == DOCUMENTS[:1]


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(IndexNotFoundError, match="nowhere://"):
        M3VectorStore(EMBEDDINGS, "nowhere://papers")
