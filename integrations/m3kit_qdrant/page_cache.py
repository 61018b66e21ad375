"""
The files of an optimized index in the system's page cache, on Linux.

The hits of a graph are scored by vectors that lie in a mapped file. The engine has the system drop
such a file from memory when it closes it, and reading 40 pages of it from the disk takes longer
than the search. So after its first search all files of an index are read once, in the background.

With a page that a search touches, the system maps those around it. Mapped pages count as memory of
the process, though they are the system's to take back; when there are many, they are unmapped. They
stay in the page cache. To read ahead would fill it with pages of 2 MiB, which are mapped whole: ten
searches would map 300 MB.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from mmap import PAGESIZE
from pathlib import Path
from threading import Event, Lock, Thread

_MOST_MAPPED = 512 * 2**20
"""How many bytes of files may be mapped into the process."""

_SEARCHES = 16
"""After so many searches it is looked at how many are."""

_BLOCK = 2**20
_MADV_DONTNEED = 4


class PageCache:
    """
    Brings a shard's files into memory, and takes them off the process's account.

    It is to be closed before the shard is, whose mappings it changes.

    Args:
        folder: The shard's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._searches = 0
        self._closed = Event()
        self._lock = Lock()
        self._reader: Thread | None = None

    def count_search(self) -> None:
        """Count a search: after the first read the files, after some unmap what is too much."""
        self._searches += 1
        if self._reader is None:
            with self._lock:
                if self._reader is None and not self._closed.is_set():
                    self._reader = Thread(target=self._read, name="m3kit-page-cache", daemon=True)
                    self._reader.start()
        if self._searches % _SEARCHES == 0 and _mapped_bytes() > _MOST_MAPPED:
            with self._lock:
                if not self._closed.is_set():
                    self._unmap()

    def wait(self) -> None:
        """Return when the files have been read, if they are being read."""
        if self._reader is not None:
            self._reader.join()

    def close(self) -> None:
        """Read and unmap no more; return when that is so."""
        with self._lock:
            self._closed.set()
        self.wait()

    def _read(self) -> None:
        buffer = bytearray(_BLOCK)
        try:
            for path in self._files():
                with path.open("rb", buffering=0) as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
                    while not self._closed.is_set() and file.readinto(buffer):
                        pass
        except OSError:  # which the engine meets itself, and raises, where it needs the file
            return

    def _files(self) -> Iterator[Path]:
        """Yield the shard's files but for the log, the smallest first, as far as they have room."""
        room = _available_bytes() // 2
        paths = [path for path in (self._folder / "segments").rglob("*") if path.is_file()]
        for size, path in sorted((path.stat().st_size, path) for path in paths):
            room -= size
            if room < 0:
                return
            yield path

    def _unmap(self) -> None:
        madvise = ctypes.CDLL(None).madvise
        madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        for start, end in self._mappings():
            madvise(start, end - start, _MADV_DONTNEED)

    def _mappings(self) -> Iterator[tuple[int, int]]:
        """Yield where the files that are mapped for reading begin and end in memory."""
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            addresses, access, *_, path = line.split(maxsplit=5)
            if access == "r--s" and path.startswith(f"{self._folder}/"):
                start, end = (int(address, 16) for address in addresses.split("-"))
                yield start, end


def page_cache(folder: Path) -> PageCache | None:
    """Return a page cache of a shard, where the system is known."""
    return PageCache(folder) if sys.platform == "linux" else None


def _mapped_bytes() -> int:
    """Return how many bytes of files are mapped into this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[2]) * PAGESIZE


def _available_bytes() -> int:
    """Return how much memory can be had without swapping."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
