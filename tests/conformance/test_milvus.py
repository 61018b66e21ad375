from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymilvus import DataType, MilvusClient
from tests.conftest import quick_folder
from tests.milvus.conftest import lite

from m3kit import FieldNames, WithColbert
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


@pytest.mark.slow
class TestRescored(IndexConformance):
    """`WithColbert`, which the default run shows over another index."""

    @pytest.fixture
    def index(self, client: MilvusClient) -> HybridIndex:
        index = MilvusIndex(client, "papers", dim=DIM)
        index.delete_where(All())
        return WithColbert(index, ENCODER)


@pytest.fixture(scope="module")
def collection(client: MilvusClient) -> str:
    schema = client.create_schema(auto_id=False)
    schema.add_field("pk", DataType.VARCHAR, is_primary=True, max_length=65_535)
    schema.add_field("text", DataType.VARCHAR, max_length=65_535)
    schema.add_field("about", DataType.JSON)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    schema.add_field("lexical", DataType.SPARSE_FLOAT_VECTOR)
    params = client.prepare_index_params()
    params.add_index("vector", index_type="FLAT", metric_type="COSINE")
    params.add_index("lexical", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    client.create_collection("theirs", schema=schema, index_params=params)
    return "theirs"


class TestTheirs(IndexConformance):
    """A collection that others made, with its metadata in a JSON and another metric."""

    @pytest.fixture
    def index(self, client: MilvusClient, collection: str) -> HybridIndex:
        fields = FieldNames(metadata="about", dense="vector", sparse="lexical")
        index = MilvusIndex(client, collection, fields=fields)
        index.delete_where(All())
        return index
