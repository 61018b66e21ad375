"""Eight threads read and write one index: no error, nothing lost and nothing doubled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest
from qdrant_client import QdrantClient

from m3kit.filters import Eq
from m3kit.index import HybridIndex, Search
from m3kit.records import Document
from m3kit.testing import DIM, TEXTS, query, records
from m3kit_qdrant import EdgeIndex, QdrantIndex

THREADS = 8


@pytest.fixture(params=["edge", "local", "server"])
def index(request: pytest.FixtureRequest, directory: Path) -> Iterator[HybridIndex]:
    if request.param == "edge":
        with EdgeIndex(directory, dim=DIM) as index:
            yield index
        return
    url = ":memory:"
    if request.param == "server":
        url = f"http://{request.getfixturevalue('server').address}"
    client = QdrantClient(url, check_compatibility=False)
    yield QdrantIndex(client, "papers", dim=DIM)
    client.close()


def work(index: HybridIndex, thread: int, until: float) -> dict[str, int]:
    """Write, replace, delete and find documents of one's own; return what is left of them."""
    rng = random.Random(thread)  # noqa: S311  # no secret
    left: dict[str, int] = {}
    turn = 0
    while monotonic() < until:
        turn += 1
        ids = [f"{thread}/{rng.randrange(40)}" for _ in range(rng.randrange(1, 6))]
        if rng.random() < 0.3:
            index.delete(ids)
            for id_ in ids:
                left.pop(id_, None)
        else:
            batch = [
                Document(id_, TEXTS[rng.randrange(10)], {"turn": turn, "thread": thread})
                for id_ in ids
            ]
            index.upsert(records(batch))
            left |= dict.fromkeys(ids, turn)
        got = {
            record.document.id: record.document.metadata["turn"] for record in index.get([*left])
        }
        assert got == left
        assert index.count(Eq("thread", thread)) == len(left)
        encoded = query(TEXTS[rng.randrange(10)])
        hits = index.search(Search(query=encoded, k=5, where=Eq("thread", thread), candidates=20))
        assert {hit.document.id for hit in hits} <= left.keys()
        assert len(hits) == min(5, len(left))
        index.search(Search(query=encoded, k=5, candidates=20))
    return left


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_eight_threads_share_an_index(index: HybridIndex, seconds: int) -> None:
    until = monotonic() + seconds
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = [pool.submit(work, index, thread, until) for thread in range(THREADS)]
        left = {id_: turn for job in jobs for id_, turn in job.result().items()}
    turns = [(record.document.id, record.document.metadata["turn"]) for record in index.scan()]
    assert len(turns) == len(left)
    assert dict(turns) == left
    assert index.count() == len(left)
