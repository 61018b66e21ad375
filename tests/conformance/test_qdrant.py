from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from qdrant_client import QdrantClient

from m3kit.index import HybridIndex
from m3kit.testing import DIM, IndexConformance
from m3kit_qdrant import EdgeIndex, QdrantIndex

MEMORY = Path("/dev/shm")  # noqa: S108  # a file system without a disk, where there is one


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A new index on a disk waits 0.3 s for it; in memory the suite takes seconds."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    path = Path(mkdtemp(dir=MEMORY))
    yield path
    shutil.rmtree(path)


class TestEdge(IndexConformance):
    @pytest.fixture
    def index(self, directory: Path) -> Iterator[HybridIndex]:
        with EdgeIndex(directory, dim=DIM) as index:
            yield index


class TestLocalInMemory(IndexConformance):
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
