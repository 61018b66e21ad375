from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pytest
from qdrant_client import QdrantClient

from m3kit import Encoder, HybridIndex, M3Output, MemoryIndex, Rep
from m3kit_qdrant import EdgeIndex, QdrantIndex

OpenStore: TypeAlias = Callable[[Path, Encoder], AbstractContextManager[HybridIndex]]


@contextmanager
def _local(_: Path, encoder: Encoder) -> Iterator[HybridIndex]:
    client = QdrantClient(":memory:")
    yield QdrantIndex(client, "papers", dim=encoder.dim, reps=encoder.reps, model=encoder.model)
    client.close()


@contextmanager
def _memory(_: Path, encoder: Encoder) -> Iterator[HybridIndex]:
    yield MemoryIndex(encoder.dim, reps=encoder.reps, model=encoder.model)


STORES: dict[str, OpenStore] = {
    "memory": _memory,
    "edge": lambda path, encoder: EdgeIndex(
        path, dim=encoder.dim, reps=encoder.reps, model=encoder.model
    ),
    "local": _local,
}
"""Every store that the framework's own suites are held against."""


@pytest.fixture(params=STORES)
def open_index(
    request: pytest.FixtureRequest, directory: Path
) -> Callable[[Encoder], AbstractContextManager[HybridIndex]]:
    """Open an empty index for an encoder, in each of the stores in turn."""
    return lambda encoder: STORES[request.param](directory, encoder)


@dataclass
class Counted:
    """An encoder that notes each text that goes through the model."""

    encoder: Encoder
    queries: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)

    @property
    def model(self) -> str:
        return self.encoder.model

    @property
    def dim(self) -> int:
        return self.encoder.dim

    @property
    def reps(self) -> frozenset[Rep]:
        return self.encoder.reps

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        self.queries.extend(texts)
        return self.encoder.encode_queries(texts, reps)

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        self.documents.extend(texts)
        return self.encoder.encode_documents(texts, reps)
