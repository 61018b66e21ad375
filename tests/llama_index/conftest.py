from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.llama_index.corpus import Counting, make_nodes
from tests.stores import PARAMS, QUICK_PARAMS, STORES

from m3kit.encoder import CachedEncoder
from m3kit.index import HybridIndex
from m3kit.testing import ENCODER
from m3kit_llama_index import M3VectorStore

Call: TypeAlias = Callable[..., Any]


@pytest.fixture(params=QUICK_PARAMS)
def index(request: pytest.FixtureRequest, directory: Path) -> Iterator[HybridIndex]:
    """An empty index, of some stores; of the others where slow tests are run."""
    with STORES[request.param](directory, ENCODER) as index:
        yield index


@pytest.fixture(params=PARAMS)
def index_of_any_store(request: pytest.FixtureRequest, directory: Path) -> Iterator[HybridIndex]:
    """Each store in turn, empty."""
    with STORES[request.param](directory, ENCODER) as index:
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
