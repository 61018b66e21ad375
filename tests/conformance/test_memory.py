from __future__ import annotations

import pytest

from m3kit import ColbertStorage, HybridIndex, MemoryIndex, WithColbert
from m3kit.testing import DIM, ENCODER, IndexConformance


class TestMemoryIndex(IndexConformance):
    @pytest.fixture
    def index(self) -> HybridIndex:
        return MemoryIndex(DIM)


class TestMemoryIndexWithoutColbert(IndexConformance):
    @pytest.fixture
    def index(self) -> HybridIndex:
        return MemoryIndex(DIM, reps=["dense", "sparse"])


class TestMemoryIndexWithSmallColbert(IndexConformance):
    storage = ColbertStorage("int8", pool_factor=2)

    @pytest.fixture
    def index(self) -> HybridIndex:
        return MemoryIndex(DIM, colbert=self.storage)


class TestRescored(IndexConformance):
    @pytest.fixture
    def index(self) -> HybridIndex:
        return WithColbert(MemoryIndex(DIM, reps=["dense", "sparse"]), ENCODER)
