from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymilvus import MilvusClient
from tests.conftest import quick_folder
from tests.milvus.conftest import lite

from m3kit import Rescored
from m3kit.filters import All
from m3kit.index import HybridIndex
from m3kit.testing import DIM, ENCODER, IndexConformance
from m3kit_milvus import MilvusIndex


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusClient]:
    with quick_folder(tmp_path_factory.mktemp("milvus")) as folder, lite(folder / "a.db") as client:
        yield client


class TestLite(IndexConformance):
    @pytest.fixture
    def index(self, client: MilvusClient) -> HybridIndex:
        index = MilvusIndex(client, "papers", dim=DIM)
        index.delete_where(All())
        return index


class TestRescored(IndexConformance):
    @pytest.fixture
    def index(self, client: MilvusClient) -> HybridIndex:
        index = MilvusIndex(client, "papers", dim=DIM)
        index.delete_where(All())
        return Rescored(index, ENCODER)
