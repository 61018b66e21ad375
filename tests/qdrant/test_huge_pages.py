"""Large pages for what this process has allocated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from m3kit_qdrant.huge_pages import environment, use_huge_pages

_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_MIB = 2**20


def in_huge_pages() -> int:
    """Return how many KiB of this process are in large pages."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))


@pytest.mark.skipif(
    not _SETTING.exists() or "[never]" in _SETTING.read_text(encoding="utf-8"),
    reason="the system has no large pages",
)
def test_what_is_allocated_moves_to_large_pages_and_stays_what_it_was() -> None:
    numbers = np.arange(64 * _MIB // 8)
    use_huge_pages()
    assert in_huge_pages() >= 48 * 1024
    np.testing.assert_array_equal(numbers, np.arange(len(numbers)))


def test_tunables_that_are_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert environment()["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")
    assert environment()["GLIBC_TUNABLES"] == "glibc.malloc.check=1:glibc.malloc.hugetlb=1"
