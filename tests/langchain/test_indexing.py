"""LangChain's indexing over the store: every mode of cleaning up, both ways of calling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal, TypeAlias

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import IndexingResult, InMemoryRecordManager, aindex, index

from m3kit import Encoder, HybridIndex
from m3kit.testing import ENCODER
from m3kit_langchain import M3VectorStore

Opened: TypeAlias = Callable[[Encoder], AbstractContextManager[HybridIndex]]
Cleanup: TypeAlias = Literal["incremental", "full", "scoped_full"] | None

FIRST = [("a dog", "one"), ("a cat", "one"), ("a bear", "two")]
SECOND = [("a dog", "one"), ("a wolf", "one")]
REMAINING: dict[Cleanup, set[str]] = {
    None: {"a dog", "a cat", "a bear", "a wolf"},
    "incremental": {"a dog", "a bear", "a wolf"},
    "scoped_full": {"a dog", "a bear", "a wolf"},
    "full": {"a dog", "a wolf"},
}


@pytest.fixture
def store(open_index: Opened) -> Iterator[M3VectorStore]:
    with open_index(ENCODER) as opened:
        yield M3VectorStore(ENCODER, opened)


@pytest.fixture
def records() -> InMemoryRecordManager:
    manager = InMemoryRecordManager("m3kit")
    manager.create_schema()
    return manager


def _documents(pairs: list[tuple[str, str]]) -> Iterator[Document]:
    return (Document(page_content=text, metadata={"source": source}) for text, source in pairs)


def _texts(store: M3VectorStore) -> set[str]:
    return {record.document.text for record in store.index.scan()}


@pytest.mark.parametrize("cleanup", REMAINING)
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_is_indexed_again_is_skipped_and_what_is_gone_is_cleaned_up(
    store: M3VectorStore, records: InMemoryRecordManager, cleanup: Cleanup, *, asynchronous: bool
) -> None:
    options: dict[str, Any] = {
        "cleanup": cleanup,
        "source_id_key": "source",
        "key_encoder": "sha256",
        "batch_size": 2,
    }

    async def run(pairs: list[tuple[str, str]], **more: Any) -> IndexingResult:
        if asynchronous:
            return await aindex(_documents(pairs), records, store, **options | more)
        return index(_documents(pairs), records, store, **options | more)

    assert await run(FIRST) == _result(added=3)
    assert _texts(store) == {text for text, _ in FIRST}
    assert await run(FIRST) == _result(skipped=3)
    gone = {text for text, _ in FIRST} - REMAINING[cleanup]
    assert await run(SECOND) == _result(added=1, skipped=1, deleted=len(gone))
    assert _texts(store) == REMAINING[cleanup]
    assert await run(SECOND, force_update=True) == _result(updated=2)
    assert _texts(store) == REMAINING[cleanup]
    assert store.similarity_search("a wolf", k=1)[0].metadata == {"source": "one"}


def test_ids_of_every_hash_come_back(store: M3VectorStore, records: InMemoryRecordManager) -> None:
    encoders: list[Literal["sha256", "sha512", "blake2b"]] = ["sha256", "sha512", "blake2b"]
    for key_encoder in encoders:
        done = index(_documents(FIRST), records, store, key_encoder=key_encoder)
        assert done["num_added"] == 3
    keys = records.list_keys()
    assert len(keys) == 9
    assert {document.id for document in store.get_by_ids(keys)} == set(keys)


def _result(*, added: int = 0, updated: int = 0, skipped: int = 0, deleted: int = 0) -> Any:
    return {
        "num_added": added,
        "num_updated": updated,
        "num_skipped": skipped,
        "num_deleted": deleted,
    }
