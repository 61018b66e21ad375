"""The files of an optimized index: read into the page cache, and unmapped when many are."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from tests.qdrant.test_optimize import SMALL, corpus, near

from m3kit.testing import DIM
from m3kit_qdrant import EdgeIndex, page_cache
from m3kit_qdrant.page_cache import PageCache

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the page cache is Linux's")

MIB = 2**20
SIZE = 8 * MIB


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A shard's file that the system has dropped from memory, which none in memory can be."""
    path = tmp_path / "segments" / "1" / "matrix.dat"
    path.parent.mkdir(parents=True)
    path.write_bytes(np.random.default_rng(0).bytes(SIZE))
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    if cached_bytes(path):
        pytest.skip("the file system keeps files in memory")
    return path


def cached_bytes(path: Path) -> int:
    """Return how many bytes of a file the system has in memory."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        pages = (ctypes.c_ubyte * (len(mapped) // mmap.PAGESIZE))()
        view = ctypes.c_char.from_buffer(mapped)
        size = ctypes.c_size_t(len(mapped))
        assert ctypes.CDLL(None).mincore(ctypes.byref(view), size, pages) == 0
        del view
        return sum(page & 1 for page in pages) * mmap.PAGESIZE


def mapped_bytes(path: Path) -> int:
    """Return how many bytes of a file this process is charged for."""
    lines = Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines()
    (first,) = [number for number, line in enumerate(lines) if line.endswith(f" {path}")]
    return next(int(line.split()[1]) * 1024 for line in lines[first:] if line.startswith("Rss:"))


def is_started(cache: PageCache) -> bool:
    """Tell whether files have been read, or are being read."""
    return cache._reader is not None


def test_after_a_search_files_are_read_into_memory(tmp_path: Path, file: Path) -> None:
    cache = PageCache(tmp_path)
    cache.wait()
    assert cached_bytes(file) == 0
    cache.count_search()
    cache.wait()
    assert cached_bytes(file) == SIZE
    cache.close()


def test_files_that_have_no_room_in_memory_stay_on_the_disk(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "segments" / "1" / "small.dat"
    small.write_bytes(bytes(MIB))
    monkeypatch.setattr(page_cache, "_available_bytes", lambda: 4 * MIB)
    cache = PageCache(tmp_path)
    assert list(cache._files()) == [small]
    cache.count_search()
    cache.wait()
    assert cached_bytes(file) == 0
    cache.close()


def test_closing_ends_the_reading(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "_available_bytes", lambda: 2**42)
    with file.open("r+b") as sparse:
        sparse.truncate(2**40)  # which takes minutes to read
    cache = PageCache(tmp_path)
    cache.count_search()
    assert cache._reader is not None
    assert cache._reader.is_alive()
    cache.close()
    assert not cache._reader.is_alive()
    cache.count_search()
    assert not cache._reader.is_alive()


def test_a_file_that_is_gone_ends_the_reading(tmp_path: Path, file: Path) -> None:
    cache = PageCache(tmp_path / "nothing")
    cache.count_search()
    cache.wait()
    cache.close()
    assert cached_bytes(file) == 0


@pytest.fixture
def mapped(file: Path) -> Iterator[mmap.mmap]:
    """All of the file, mapped and read."""
    with file.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        assert len(bytes(mapped)) == SIZE
        yield mapped
        mapped.close()


def test_much_that_is_mapped_is_unmapped_and_stays_what_it_was(
    tmp_path: Path, file: Path, mapped: mmap.mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PageCache(tmp_path)
    assert mapped_bytes(file) == SIZE
    monkeypatch.setattr(page_cache, "_MOST_MAPPED", 2**60)
    for _ in range(100):
        cache.count_search()
    assert mapped_bytes(file) == SIZE
    monkeypatch.setattr(page_cache, "_MOST_MAPPED", 0)
    for _ in range(100):
        cache.count_search()
    assert mapped_bytes(file) == 0
    assert cached_bytes(file) == SIZE
    assert bytes(mapped) == file.read_bytes()
    cache.close()


def test_another_folder_s_files_and_those_of_a_closed_one_stay_mapped(
    tmp_path: Path, file: Path, mapped: mmap.mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "_MOST_MAPPED", 0)
    other = PageCache(tmp_path.parent / f"{tmp_path.name}-2")
    closed = PageCache(tmp_path)
    closed.close()
    for _ in range(100):
        other.count_search()
        closed.count_search()
    assert mapped_bytes(file) == SIZE == len(mapped)
    other.close()


def test_an_optimized_index_that_is_searched_reads_its_files(directory: Path) -> None:
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(corpus(range(300)))
        before = index._engine._page_cache
        assert before is None
        index.optimize(SMALL)
        assert index._engine._page_cache is not None
    with EdgeIndex(directory) as index:
        cache = index._engine._page_cache
        assert cache is not None
        assert cache._folder == index._engine.folder.resolve()
        (vectors,) = cache._folder.rglob("matrix.dat")
        assert vectors in set(cache._files())
        assert not is_started(cache)
        index.search(near(3))
        assert is_started(cache)
        index.optimize(SMALL)
        assert cache._closed.is_set()


def test_searches_find_the_same_while_files_are_unmapped_and_the_index_is_optimized(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "_MOST_MAPPED", 0)
    monkeypatch.setattr(page_cache, "_SEARCHES", 1)
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(corpus(range(300)))
        index.optimize(SMALL)
        searches = [near(n, 5, exact=True) for n in range(20)]
        expected = [index.search(search) for search in searches]
        failures: list[int] = []

        def search() -> None:
            for _ in range(10):
                for n, search in enumerate(searches):
                    if index.search(search) != expected[n]:
                        failures.append(n)

        threads = [Thread(target=search) for _ in range(2)]
        for thread in threads:
            thread.start()
        index.upsert(corpus([10**6]))
        index.delete([f"{10**6}"])
        index.optimize(SMALL)
        for thread in threads:
            thread.join()
    assert failures == []
