"""A store opens an index by its address, and closes what it opened."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest
from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from tests.processes import pickled
from tests.qdrant.conftest import Server
from tests.shelf import ShelfIndex, shelf

from m3kit import CachedEncoder, IndexNotFoundError, MemoryIndex, RepresentationError, open_index
from m3kit.testing import ENCODER, HashEncoder
from m3kit_llama_index import M3Embedding, M3VectorStore

__all__ = ["shelf"]


class DenseEncoder(HashEncoder):
    reps = frozenset({"dense"})


DOCUMENT = Document(id_="a", text="the dog", metadata={"lang": "en"})


def test_documents_go_to_an_address(shelf: Mapping[str, ShelfIndex]) -> None:
    encoder = CachedEncoder(ENCODER)
    with M3VectorStore(encoder, "shelf://papers") as store:
        index = VectorStoreIndex.from_documents(
            [DOCUMENT],
            storage_context=StorageContext.from_defaults(vector_store=store),
            embed_model=M3Embedding(encoder),
        )
        retriever = index.as_retriever(vector_store_query_mode="hybrid", similarity_top_k=1)
        assert retriever.retrieve("dog")[0].node.ref_doc_id == "a"
        assert store.client is shelf["papers"]
        assert shelf["papers"].times_closed == 0
    assert shelf["papers"].times_closed == 1
    assert (shelf["papers"].reps, shelf["papers"].model) == (ENCODER.reps, ENCODER.model)


def test_a_store_closes_once_and_never_an_index_that_it_was_given(
    shelf: Mapping[str, ShelfIndex],
) -> None:
    store = M3VectorStore(ENCODER, "shelf://papers")
    store.close()
    store.close()
    assert shelf["papers"].times_closed == 1
    with M3VectorStore(ENCODER, open_index("shelf://papers")):
        pass
    assert shelf["papers"].times_closed == 1


def test_what_was_opened_is_closed_when_the_encoder_does_not_fit(
    shelf: Mapping[str, ShelfIndex],
) -> None:
    open_index("shelf://papers", encoder=ENCODER)
    with pytest.raises(RepresentationError, match="the index holds"):
        M3VectorStore(DenseEncoder(), "shelf://papers")
    assert shelf["papers"].times_closed == 1


def test_an_opened_store_refuses_to_be_pickled(tmp_path: Path) -> None:
    with (
        M3VectorStore(ENCODER, tmp_path / "papers") as store,
        pytest.raises(TypeError, match="cannot be pickled"),
    ):
        pickle.dumps(store)


def test_a_store_over_an_index_that_can_be_pickled_can_be_too() -> None:
    store = M3VectorStore(ENCODER, MemoryIndex(encoder=ENCODER))
    store.add([TextNode(id_="a", text="the dog")])
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301  # our bytes
    assert [node.node_id for node in copy.get_nodes()] == ["a"]
    copy.close()


def test_a_store_on_a_server_is_pickled_as_its_address(tmp_path: Path) -> None:
    with (
        Server(tmp_path) as server,
        M3VectorStore(ENCODER, f"qdrant://{server.address}/p") as store,
    ):
        store.add([TextNode(id_="a", text="the dog")])
        for other in (pickled(store), copy.deepcopy(store)):
            with other:
                assert [node.node_id for node in other.get_nodes()] == ["a"]
            with pytest.raises(Exception, match="client has been closed"):
                other.get_nodes()
        assert [node.node_id for node in store.get_nodes()] == ["a"]


def test_an_address_may_be_a_path(tmp_path: Path) -> None:
    with M3VectorStore(ENCODER, tmp_path / "papers") as store:
        store.add([TextNode(id_="a", text="the dog")])
    with M3VectorStore(ENCODER, str(tmp_path / "papers")) as store:
        assert [node.node_id for node in store.get_nodes()] == ["a"]


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(IndexNotFoundError, match="nowhere://"):
        M3VectorStore(ENCODER, "nowhere://papers")
