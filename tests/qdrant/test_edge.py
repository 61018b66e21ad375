"""What becomes of an index in a directory: across processes, threads, kills and full disks."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from errno import ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from m3kit import MemoryIndex
from m3kit.filters import All, Eq, Range
from m3kit.index import DocumentError, IndexLockedError, OpenedIndex, Search
from m3kit.records import DEEPEST, Document, Json, Record
from m3kit.testing import DIM, DOCUMENTS, TEXTS, assert_same_hits, query, records
from m3kit.vectors import M3Output, Sparse
from m3kit_qdrant import EdgeIndex

WRITE = """
import sys
from m3kit.testing import DIM, DOCUMENTS, records
from m3kit_qdrant import EdgeIndex
index = EdgeIndex(sys.argv[1], dim=DIM, model="hash@1")
index.upsert(records(DOCUMENTS))
print(index.count())
"""
WRITE_FOR_EVER = """
import sys
from m3kit.records import Document
from m3kit.testing import DIM, records
from m3kit_qdrant import EdgeIndex
index = EdgeIndex(sys.argv[1], dim=DIM)
for n in range(0, 10**6, 20):
    some = [Document(str(i), "the dog is barking", {"n": i}) for i in range(n, n + 20)]
    index.upsert(records(some))
    if n % 200 == 0:
        index.flush()
    print(n + 20, flush=True)
"""
TRY = """
import sys
from m3kit.index import IndexLockedError
from m3kit_qdrant import EdgeIndex
try:
    EdgeIndex(sys.argv[1])
except IndexLockedError as error:
    print(error)
"""


def numbered(n: int) -> list[Record]:
    return records(Document(f"{i}", TEXTS[i % 10], {"n": i}) for i in range(n))


def assert_whole(index: OpenedIndex) -> None:
    """Every record is there with all it was written with, and is found by each of its vectors."""
    stored = list(index.scan(None, index.reps))
    oracle = MemoryIndex(DIM)
    oracle.upsert(stored)
    assert index.count() == len(stored) == len({record.document.id for record in stored})
    for rep in index.reps:
        search = Search(query=query("the dog is growling", rep), k=7)
        assert_same_hits(index.search(search), oracle.search(search))


# Across processes


@pytest.mark.parametrize("last_words", ["", "index.close()", "index.flush()"])
def test_what_one_process_wrote_another_finds(
    directory: Path, python: Callable[..., str], last_words: str
) -> None:
    assert python(WRITE + last_words, directory) == f"{len(DOCUMENTS)}"
    oracle = MemoryIndex(DIM)
    oracle.upsert(records(DOCUMENTS))
    with EdgeIndex(directory) as index:
        assert index.model == "hash@1"
        assert index.reps == oracle.reps
        for search in (
            Search(query=query("the growling bear")),
            Search(query=query("the growling bear"), where=Range("n", ge=3), with_scores=True),
        ):
            assert_same_hits(index.search(search), oracle.search(search))
        assert_whole(index)


def test_an_index_is_open_once(directory: Path, python: Callable[..., str]) -> None:
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(records(DOCUMENTS))
        index.flush()
        assert f"the index in {directory} is open already" in python(TRY, directory)
        with pytest.raises(IndexLockedError, match="close it there, or share one index"):
            EdgeIndex(directory)
        index.upsert(numbered(3))
        index.flush()
        assert_whole(index)
    assert python(TRY, directory) == ""
    with EdgeIndex(directory) as index:
        assert index.count() == len(DOCUMENTS) + 3


def test_a_forgotten_index_is_whole_and_free_again(directory: Path) -> None:
    index = EdgeIndex(directory, dim=DIM)
    index.upsert(records(DOCUMENTS))
    del index
    gc.collect()
    with EdgeIndex(directory) as index:
        assert index.count() == len(DOCUMENTS)
        assert_whole(index)


def test_a_process_killed_while_it_writes_leaves_a_whole_index(directory: Path) -> None:
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reported = 0
        while reported < 300:
            reported = int(process.stdout.readline())
        process.kill()
        reported = max([reported, *(int(line) for line in process.stdout if line.endswith("\n"))])
    with EdgeIndex(directory) as index:
        assert index.count() >= reported
        assert {record.document.id for record in index.scan()} >= {f"{n}" for n in range(reported)}
        assert_whole(index)
        index.upsert(numbered(reported))
    with EdgeIndex(directory) as index:
        assert index.count() >= reported
        assert_whole(index)


# Closing


def test_closing_twice_is_once_and_a_closed_index_says_so(directory: Path) -> None:
    index = EdgeIndex(directory, dim=DIM)
    index.upsert(numbered(3))
    index.close()
    index.close()
    uses: list[Callable[[], object]] = [
        index.flush,
        index.count,
        lambda: index.get(["0"]),
        lambda: index.upsert(numbered(1)),
    ]
    for use in uses:
        with pytest.raises(ValueError, match="is closed"):
            use()


def test_another_thread_may_close_it(directory: Path) -> None:
    index = EdgeIndex(directory, dim=DIM)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(index.close).result()
    EdgeIndex(directory).close()


def test_threads_share_one_index(directory: Path) -> None:
    with EdgeIndex(directory, dim=DIM) as index, ThreadPoolExecutor(4) as pool:
        search = Search(query=query("the dog"), k=5)
        jobs: list[Future[Any]] = [
            *(pool.submit(index.upsert, numbered(60)) for _ in range(8)),
            *(pool.submit(index.search, search) for _ in range(20)),
            *(pool.submit(index.delete, ["0", "1"]) for _ in range(4)),
        ]
        for job in jobs:
            job.result()
        index.upsert(numbered(60))
        assert index.count() == 60
        assert_whole(index)


# Sizes


def test_many_batches_and_log_flushes_are_one_upsert(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("m3kit_qdrant.store._BATCH_BYTES", 20_000)
    monkeypatch.setattr("m3kit_qdrant.edge_client._LOG_BYTES", 100_000)
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(numbered(700))
        assert index.count() == 700
        assert_whole(index)


def test_a_text_of_eight_thousand_tokens_comes_back_exactly(directory: Path) -> None:
    rng = np.random.default_rng(0)
    colbert = rng.standard_normal((8191, DIM)).astype(np.float32)
    output = M3Output(dense=colbert[0], sparse=Sparse.from_dict({2**32 - 1: 1.0}), colbert=colbert)
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert([Record(Document("a", "x"), output)])
    with EdgeIndex(directory) as index:
        (record,) = index.get(["a"], index.reps)
        assert record.output.colbert is not None
        assert record.output.dense is not None
        np.testing.assert_array_equal(record.output.colbert, colbert)
        np.testing.assert_array_equal(record.output.dense, colbert[0])


def test_a_token_that_the_engine_cannot_hold_is_refused_by_name(directory: Path) -> None:
    wide = Sparse.from_dict({7: 1.0, 2**32: 1.0})
    with EdgeIndex(directory, dim=DIM, reps=["sparse"]) as index:
        good = Record(Document("good", ""), M3Output(sparse=Sparse.from_dict({7: 0.5})))
        with pytest.raises(DocumentError, match=r"'bad one'.*4294967296"):
            index.upsert([good, Record(Document("bad one", ""), M3Output(sparse=wide))])
        assert index.count() == 0
        index.upsert([good])
        (hit,) = index.search(Search(query=M3Output(sparse=wide)))
        assert hit.score == 0.5


def test_deep_metadata_does_not_spoil_the_log(directory: Path) -> None:
    deep: Json = []
    for _ in range(DEEPEST - 1):
        deep = [deep]
    (record,) = records([Document("a", "x", {"deep": deep})])
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert([record])
    with EdgeIndex(directory) as index:
        assert index.get(["a"])[0].document == record.document


def test_floats_come_back_to_the_last_bit(directory: Path) -> None:
    floats = np.random.default_rng(0).integers(0, 2**64, 2000, dtype=np.uint64).view(np.float64)
    finite = floats[np.isfinite(floats)].tolist()
    (record,) = records([Document("a", "x", {"floats": finite})])
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert([record])
        assert index.get(["a"])[0].document.metadata["floats"] == finite


# A full disk


def test_a_full_disk_is_told_before_anything_is_written(disk: Any) -> None:
    with EdgeIndex(disk.path / "index", dim=DIM) as index:
        index.upsert(numbered(20))
        disk.fill(24 * 2**20)
        writes: list[Callable[[], None]] = [
            lambda: index.upsert(numbered(40)),
            lambda: index.delete(["0"]),
            lambda: index.delete_where(All()),
        ]
        for write in writes:
            with pytest.raises(OSError, match=r"has 2\d MiB free.*make room") as caught:
                write()
            assert caught.value.errno == ENOSPC
        assert_whole(index)
        assert index.count() == 20
        index.close()
        with pytest.raises(OSError, match="MiB free"):
            EdgeIndex(disk.path / "index")
        with pytest.raises(OSError, match="MiB free"):
            EdgeIndex(disk.path / "another", dim=DIM)
        assert not (disk.path / "another").exists()
        disk.clear()
    with EdgeIndex(disk.path / "index") as index:
        assert index.count() == 20
        index.upsert(numbered(40))
        index.delete_where(Eq("n", 0))
    with EdgeIndex(disk.path / "index") as index:
        assert index.count() == 39
        assert_whole(index)


def test_room_is_asked_of_the_disk_that_a_new_path_is_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=9 * 2**20)
    monkeypatch.setattr("shutil.disk_usage", {tmp_path: usage}.__getitem__)
    with pytest.raises(OSError, match="the disk has 9 MiB free and the index needs 33"):
        EdgeIndex(tmp_path / "a" / "b", dim=DIM)
    assert not (tmp_path / "a").exists()
