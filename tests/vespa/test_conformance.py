"""`VespaIndex` on Vespa's own Java means what every index means, in every form of its package."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.vespa.application import FORMS

from m3kit.index import HybridIndex
from m3kit.testing import IndexConformance
from m3kit_vespa import VespaIndex

pytestmark = pytest.mark.peer
Emptied = Callable[[str], VespaIndex]


class TestExact(IndexConformance):
    @pytest.fixture
    def index(self, emptied: Emptied) -> HybridIndex:
        return emptied("papers")


@pytest.mark.slow
class TestWand(IndexConformance):
    @pytest.fixture
    def index(self, emptied: Emptied) -> HybridIndex:
        return emptied("wands")


@pytest.mark.slow
class TestBfloat16Pooled(IndexConformance):
    storage = FORMS["bfloat"]

    @pytest.fixture
    def index(self, emptied: Emptied) -> HybridIndex:
        return emptied("bfloat")


@pytest.mark.slow
class TestInt8(IndexConformance):
    storage = FORMS["ints"]

    @pytest.fixture
    def index(self, emptied: Emptied) -> HybridIndex:
        return emptied("ints")


@pytest.mark.slow
class TestBinary(IndexConformance):
    storage = FORMS["bits"]

    @pytest.fixture
    def index(self, emptied: Emptied) -> HybridIndex:
        return emptied("bits")
