"""What local mode needs beyond the engine: a lock."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from qdrant_client import QdrantClient

from m3kit.index import Search
from m3kit.records import Document
from m3kit.testing import DIM, TEXTS, query, records
from m3kit_qdrant import QdrantIndex


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    yield client
    client.close()


def test_a_full_disk_is_told_before_anything_is_written(disk: Any) -> None:
    numbered = records(Document(f"{n}", TEXTS[n % 10]) for n in range(30))
    client = QdrantClient(path=str(disk.path / "local"))
    index = QdrantIndex(client, "papers", dim=DIM)
    index.upsert(numbered[:10])
    disk.fill(24 * 2**20)
    with pytest.raises(OSError, match=r"has 2\d MiB free.*make room"):
        index.upsert(numbered)
    assert index.count() == 10
    disk.clear()
    index.upsert(numbered)
    client.close()
    client = QdrantClient(path=str(disk.path / "local"))
    assert QdrantIndex(client, "papers", dim=DIM).count() == 30
    client.close()


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("collection", range(8))
def test_threads_neither_double_nor_lose_a_record(client: QdrantClient, collection: int) -> None:
    numbered = records(Document(f"{n}", TEXTS[n % 10], {"n": n}) for n in range(30))
    indexes = [QdrantIndex(client, f"{collection}", dim=DIM) for _ in range(2)]
    search = Search(query=query("the dog", "dense", "colbert"), k=5)
    with ThreadPoolExecutor(4) as pool:
        jobs: list[Future[Any]] = [
            *(pool.submit(index.upsert, [record]) for record in numbered for index in indexes * 2),
            *(pool.submit(index.search, search) for index in indexes * 20),
        ]
        for job in jobs:
            job.result()
    assert indexes[0].count() == len(list(indexes[1].scan())) == 30
