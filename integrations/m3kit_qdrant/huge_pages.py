"""
Pages of 2 MiB for what an engine holds in memory, on Linux.

A search by a graph reads codes and edges all over memory. In pages of 4 KiB, most of these reads
miss the processor's table of pages first, which takes as long as the reads themselves.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_PAGE = 2 * 2**20
_LEAST = 32 * 2**20
"""A mapping of fewer bytes stays as it is."""

_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25
_TUNABLES = "GLIBC_TUNABLES"


def use_huge_pages() -> None:
    """
    Move what this process has allocated to large pages.

    It is only ever faster: where the system has none, or too few, the pages stay as they are.
    """
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    for start, end in _mappings():
        for advice in (_MADV_HUGEPAGE, _MADV_COLLAPSE):
            madvise(start, end - start, advice)


def environment() -> Mapping[str, str]:
    """Return the environment in which a process has large pages for all that it allocates."""
    tunables = filter(None, (os.environ.get(_TUNABLES), "glibc.malloc.hugetlb=1"))
    return {**os.environ, _TUNABLES: ":".join(tunables)}


def _mappings() -> Iterator[tuple[int, int]]:
    """Yield where the large parts of private memory begin and end, in whole pages."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        addresses, access, _, device, *_ = line.split()
        start, end = (int(address, 16) for address in addresses.split("-"))
        start, end = -(-start // _PAGE) * _PAGE, end // _PAGE * _PAGE
        if access == "rw-p" and device == "00:00" and end - start >= _LEAST:
            yield start, end
