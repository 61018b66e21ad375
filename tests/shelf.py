"""A store that other people's package brings: indexes in memory, opened by `shelf://name`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from m3kit import MemoryIndex, Rep
from m3kit.adapters.closing import ClosesOnExit

INDEXES: dict[str, ShelfIndex] = {}
"""Every index that was opened, by name."""


class ShelfIndex(MemoryIndex, ClosesOnExit):
    """An index that counts how often it was opened and closed."""

    times_opened = 0
    times_closed = 0

    def close(self) -> None:
        self.times_closed += 1


class FieldShelfIndex(ShelfIndex):
    """An index that knows which fields of its documents have no index."""

    def unindexed_fields(self) -> list[str]:
        return ["topic", "year"]


def open_shelf(
    address: str, /, *, dim: int | None, reps: Collection[Rep], model: str | None
) -> ShelfIndex:
    """Open the index of a name, or make it; one named `fields…` knows its unindexed fields."""
    if address not in INDEXES:
        kind = FieldShelfIndex if address.startswith("fields") else ShelfIndex
        INDEXES[address] = kind(dim, reps=reps, model=model)
    index = INDEXES[address]
    index.times_opened += 1
    return index


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, ShelfIndex]:
    """Install the store, and give its indexes by name."""
    metadata = tmp_path / "site" / "shelf-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Name: shelf\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(
        "[m3kit.indexes]\nshelf = tests.shelf:open_shelf\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(metadata.parent)
    INDEXES.clear()
    return INDEXES
