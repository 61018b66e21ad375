"""Threads that read and write one index: no error, and no lost or doubled document."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from time import monotonic
from uuid import uuid4

import pytest
from pymilvus import MilvusClient
from tests.milvus.conftest import connected

from m3kit.filters import Eq
from m3kit.index import HybridIndex, Search
from m3kit.records import Document
from m3kit.testing import DIM, DOCUMENTS, TEXTS, query, records
from m3kit_milvus import MilvusIndex

THREADS = 8
SHARED = records(DOCUMENTS)
QUERY = query("the growling bear", "dense", "sparse")


def _work(index: HybridIndex, worker: int, until: float) -> set[str]:
    """Write and forget documents of one's own, and write those of all; return what is left."""
    random, written, turn = Random(worker), set[str](), 0  # noqa: S311  # no secret
    while monotonic() < until:
        turn += 1
        new = [
            Document(f"{worker}/{random.randrange(50)}", random.choice(TEXTS), {"worker": worker})
            for _ in range(3)
        ]
        index.upsert(records(new))
        written |= {document.id for document in new}
        index.upsert(SHARED)
        hits = index.search(Search(query=QUERY, k=5, where=Eq("worker", worker)))
        assert {hit.document.id for hit in hits} <= written
        assert len({hit.document.id for hit in hits}) == min(5, len(written))
        gone = random.sample(sorted(written), len(written) // 4)
        index.delete(gone)
        written -= set(gone)
        assert index.count(Eq("worker", worker)) == len(written)
        assert len(index.get([DOCUMENTS[0].id, *written])) == 1 + len(written)
        if turn % 20 == 0:
            index.flush()
    assert turn
    return written


def _assert_threads_may_share(open_index: Callable[[], HybridIndex], seconds: float) -> None:
    """Let half of the threads share one index, and give each of the others its own."""
    shared = open_index()
    until = monotonic() + seconds
    with ThreadPoolExecutor(THREADS) as pool:
        left = [
            pool.submit(_work, shared if worker % 2 else open_index(), worker, until)
            for worker in range(THREADS)
        ]
        expected = {document.id for document in DOCUMENTS}.union(
            *(future.result() for future in left)
        )
    ids = [record.document.id for record in shared.scan()]
    assert sorted(ids) == sorted(expected)
    assert shared.count() == len(expected)


SECONDS = pytest.mark.parametrize(
    "seconds", [2, pytest.param(60, marks=pytest.mark.slow)], ids="{} s".format
)


@SECONDS
def test_in_this_process(client: MilvusClient, seconds: float) -> None:
    _assert_threads_may_share(lambda: MilvusIndex(client, "papers", dim=DIM), seconds)


@SECONDS
def test_over_tcp(server: str, seconds: float) -> None:
    name = f"c{uuid4().hex}"
    with connected(server) as client:
        _assert_threads_may_share(lambda: MilvusIndex(client, name, dim=DIM), seconds)
