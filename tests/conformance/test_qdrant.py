from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from m3kit import ColbertStorage
from m3kit.index import HybridIndex
from m3kit.testing import DIM, IndexConformance
from m3kit_qdrant import EdgeIndex, QdrantIndex


class TestEdge(IndexConformance):
    @pytest.fixture
    def index(self, directory: Path) -> Iterator[HybridIndex]:
        with EdgeIndex(directory, dim=DIM) as index:
            yield index


@pytest.mark.slow
class TestLocalInMemory(IndexConformance):
    """The engine of `TestLocalOnDisk`, without its files."""

    @pytest.fixture
    def index(self) -> Iterator[HybridIndex]:
        client = QdrantClient(":memory:")
        yield QdrantIndex(client, "papers", dim=DIM)
        client.close()


class TestLocalOnDisk(IndexConformance):
    @pytest.fixture
    def index(self, directory: Path) -> Iterator[HybridIndex]:
        client = QdrantClient(path=str(directory))
        yield QdrantIndex(client, "papers", dim=DIM)
        client.close()


class TestEdgeWithHalfTheBytes(IndexConformance):
    storage = ColbertStorage("float16", pool_factor=2)
    tolerance = 1e-3

    @pytest.fixture
    def index(self, directory: Path) -> Iterator[HybridIndex]:
        with EdgeIndex(directory, dim=DIM, colbert=self.storage) as index:
            yield index


@pytest.mark.slow
class TestLocalWithHalfTheBytes(IndexConformance):
    storage = ColbertStorage("float16", pool_factor=2)

    @pytest.fixture
    def index(self) -> Iterator[HybridIndex]:
        client = QdrantClient(":memory:")
        yield QdrantIndex(client, "papers", dim=DIM, colbert=self.storage)
        client.close()


@pytest.mark.slow
class TestEdgeWithAByteEach(IndexConformance):
    storage = ColbertStorage("int8")
    tolerance = 5e-3

    @pytest.fixture
    def index(self, directory: Path) -> Iterator[HybridIndex]:
        with EdgeIndex(directory, dim=DIM, colbert=self.storage) as index:
            yield index
