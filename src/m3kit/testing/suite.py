"""What the parts of the suite share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import pytest

from m3kit.adapters.storage import ColbertStorage
from m3kit.index import HybridIndex
from m3kit.records import Document, Record
from m3kit.testing.assertions import PRECISION
from m3kit.testing.encoder import records
from m3kit.testing.samples import DOCUMENTS
from m3kit.vectors import M3Output, Rep


class Suite:
    """The index under test, and how exact it is."""

    storage: ClassVar[ColbertStorage] = ColbertStorage()
    """How the index stores ColBERT vectors."""

    tolerance: ClassVar[float] = PRECISION
    """The largest error of a score in which ColBERT takes part."""

    def stored(self, documents: Iterable[Document]) -> list[Record]:
        """Return the records of documents in the form that the index stores."""
        return records(documents, self.storage)

    def within(self, encoded: M3Output) -> float:
        """Return the largest error allowed for the scores of a query."""
        return self.tolerance if "colbert" in encoded.reps else PRECISION

    @pytest.fixture
    def index(self) -> HybridIndex:
        """Return an empty index, `DIM` wide."""
        raise NotImplementedError("define this fixture in a subclass")

    @pytest.fixture
    def filled(self, index: HybridIndex) -> HybridIndex:
        """Return the index with `DOCUMENTS` in it."""
        index.upsert(records(DOCUMENTS))
        index.flush()
        return index


def needs(index: HybridIndex, *reps: Rep) -> None:
    """Skip a test of representations that the index does not hold."""
    missing = [rep for rep in reps if rep not in index.reps]
    if missing:
        pytest.skip(f"the index holds no {', '.join(missing)}")
