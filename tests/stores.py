"""
Every store that the frameworks' suites are held against, each opened empty for an encoder.

`M3KIT_STORES` names some of them, or an address of a server instead: `qdrant://host:6333` and
`milvus://host:19530`, on which each test makes a collection of its own and leaves it empty, or
`vespa://host:8080`, where the application of `tests/vespa/store.py` is deployed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pytest
from pymilvus import MilvusClient
from qdrant_client import QdrantClient
from tests.milvus.conftest import lite
from tests.vespa import store as vespa

from m3kit import Encoder, HybridIndex, MemoryIndex, WithColbert, open_index
from m3kit.filters import All
from m3kit_milvus import MilvusIndex
from m3kit_qdrant import EdgeIndex, QdrantIndex

OpenStore: TypeAlias = Callable[[Path, Encoder], AbstractContextManager[HybridIndex]]


@contextmanager
def _local(_: Path, encoder: Encoder) -> Iterator[HybridIndex]:
    with closing(QdrantClient(":memory:")) as client:
        yield QdrantIndex(client, "papers", dim=encoder.dim, reps=encoder.reps, model=encoder.model)


@contextmanager
def _lite(directory: Path, encoder: Encoder) -> Iterator[HybridIndex]:
    directory.mkdir(parents=True, exist_ok=True)
    with lite(directory / "papers.db") as client:
        yield _rescored(client, "papers", encoder)


def _rescored(client: MilvusClient, collection: str, encoder: Encoder) -> HybridIndex:
    reps = encoder.reps - {"colbert"}
    index = MilvusIndex(client, collection, dim=encoder.dim, reps=reps, model=encoder.model)
    return WithColbert(index, encoder) if "colbert" in encoder.reps else index


def _served(address: str) -> OpenStore:
    if address.startswith("vespa://"):
        return vespa.on_a_server(address)

    @contextmanager
    def opened(_: Path, encoder: Encoder) -> Iterator[HybridIndex]:
        collection = f"{address}/test_{uuid4().hex}"
        with open_index(
            collection, dim=encoder.dim, reps=encoder.reps, model=encoder.model
        ) as index:
            yield index if index.reps >= encoder.reps else WithColbert(index, encoder)
            index.delete_where(All())

    return opened


_OURS: Mapping[str, OpenStore] = {
    "memory": lambda _, encoder: nullcontext(
        MemoryIndex(encoder.dim, reps=encoder.reps, model=encoder.model)
    ),
    "edge": lambda path, encoder: EdgeIndex(
        path, dim=encoder.dim, reps=encoder.reps, model=encoder.model
    ),
    "local": _local,
    "lite": _lite,
    "vespa": vespa.on_the_peer,
}
_MARKS = {"vespa": [pytest.mark.peer]}
_REPEATED = {"local", "lite"}
_CHOSEN = os.environ.get("M3KIT_STORES", ",".join(_OURS)).split(",")

STORES: Mapping[str, OpenStore] = {
    name: _served(name) if "://" in name else _OURS[name] for name in _CHOSEN
}
PARAMS = [pytest.param(name, marks=_MARKS.get(name, ())) for name in STORES]
"""The names of the stores, for a fixture."""

QUICK_PARAMS = [
    pytest.param(name, marks=_MARKS.get(name, []) + [pytest.mark.slow] * (name in _REPEATED))
    for name in STORES
]
"""The same, for tests of what stands before an index and hardly depends on its engine."""
