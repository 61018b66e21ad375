from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from qdrant_client import QdrantClient
from tests.llama_index.corpus import Counting, make_nodes

from m3kit.encoder import CachedEncoder
from m3kit.index import HybridIndex
from m3kit.memory import MemoryIndex
from m3kit.testing import DIM
from m3kit_llama_index import M3VectorStore
from m3kit_qdrant import EdgeIndex, QdrantIndex

Call: TypeAlias = Callable[..., Any]


@contextmanager
def _local(_: Path) -> Iterator[HybridIndex]:
    with closing(QdrantClient(":memory:")) as client:
        yield QdrantIndex(client, "papers", dim=DIM)


STORES: dict[str, Callable[[Path], AbstractContextManager[HybridIndex]]] = {
    "memory": lambda _: nullcontext(MemoryIndex(DIM)),
    "edge": lambda directory: EdgeIndex(directory, dim=DIM),
    "local": _local,
}


@pytest.fixture(params=STORES)
def index(request: pytest.FixtureRequest, directory: Path) -> Iterator[HybridIndex]:
    """Each store in turn, empty."""
    with STORES[request.param](directory) as index:
        yield index


@pytest.fixture
def counting() -> Counting:
    """An encoder that counts the texts it encodes."""
    return Counting()


@pytest.fixture
def encoder(counting: Counting) -> CachedEncoder:
    return CachedEncoder(counting)


@pytest.fixture
def store(encoder: CachedEncoder, index: HybridIndex) -> M3VectorStore:
    return M3VectorStore(encoder, index)


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Call a method by its name, or its asynchronous twin in a loop of its own."""
    if request.param == "sync":
        return lambda on, name, *args, **kwargs: getattr(on, name)(*args, **kwargs)

    def called(on: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        twin = getattr(on, "async_add" if name == "add" else f"a{name}")
        return asyncio.run(twin(*args, **kwargs))

    return called


@pytest.fixture
def filled(store: M3VectorStore) -> M3VectorStore:
    """The store with all nodes of the corpus."""
    store.add(make_nodes())
    return store
