"""
Milvus servers: the vendor's image, a running one, and Milvus Lite in an image that stands in.

`M3KIT_MILVUS_URL` names a running server (`http://host:19530`), `M3KIT_MILVUS_IMAGE` another image.
Where there is neither, nor a Docker engine with the image, each test is skipped and says why.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from pymilvus import MilvusClient
from testcontainers.community.milvus import MilvusContainer
from tests.containers.conftest import served
from tests.containers.lite_image import NAME
from tests.filter_cases import CORPUS, FILTERS
from tests.milvus import test_filters as others

from m3kit.adapters.storage import ColbertStorage
from m3kit.filters import All, Filter
from m3kit.index import HybridIndex, RepresentationError
from m3kit.testing import DIM, IndexConformance
from m3kit.vectors import REPS
from m3kit_milvus import MilvusIndex

pytestmark = pytest.mark.containers

IMAGE = os.environ.get("M3KIT_MILVUS_IMAGE", "milvusdb/milvus:v2.6.16")


@contextmanager
def _started(image: str) -> Iterator[str]:
    with MilvusContainer(image) as container:
        yield str(container.get_connection_url())


@contextmanager
def _client(url: str) -> Iterator[MilvusClient]:
    client = MilvusClient(url, token=os.environ.get("MILVUS_TOKEN", ""))
    yield client
    client.close()


@pytest.fixture(scope="module")
def server() -> Iterator[MilvusClient]:
    with served("M3KIT_MILVUS_URL", IMAGE, _started) as url, _client(url) as client:
        yield client


@pytest.fixture(scope="module")
def stand_in() -> Iterator[MilvusClient]:
    with served("M3KIT_MILVUS_STAND_IN_URL", NAME, _started) as url, _client(url) as client:
        yield client


@pytest.fixture(scope="module")
def name() -> str:
    """A collection that nobody else has."""
    return f"m3kit_{uuid4().hex}"


class TestServer(IndexConformance):
    @pytest.fixture
    def index(self, server: MilvusClient, name: str) -> HybridIndex:
        index = MilvusIndex(server, name, dim=DIM)
        index.delete_where(All())
        return index


class TestColbert(IndexConformance):
    """ColBERT by an array of structs; its index is none that scans, so scores are the engine's."""

    tolerance = 1e-4

    @pytest.fixture
    def index(self, server: MilvusClient, name: str) -> HybridIndex:
        try:
            index = MilvusIndex(
                server, f"{name}_{self.storage.dtype}", dim=DIM, reps=REPS, colbert=self.storage
            )
        except RepresentationError as error:
            pytest.skip(f"{error}")
        index.delete_where(All())
        return index


class TestColbertFloat16(TestColbert):
    storage: ClassVar[ColbertStorage] = ColbertStorage("float16", pool_factor=2)
    tolerance = 2e-3


class TestColbertInt8(TestColbert):
    storage: ClassVar[ColbertStorage] = ColbertStorage("int8")
    tolerance = 2e-2


class TestLiteStandIn(IndexConformance):
    """Not the vendor's server: `milvus-lite server` in an image, by the same way."""

    @pytest.fixture
    def index(self, stand_in: MilvusClient, name: str) -> HybridIndex:
        index = MilvusIndex(stand_in, name, dim=DIM)
        index.delete_where(All())
        return index


@pytest.fixture(scope="module")
def collections(server: MilvusClient) -> list[MilvusIndex]:
    return others.made(server, f"_{uuid4().hex}")


@settings(max_examples=others.EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=FILTERS)
def test_collections_of_others_keep_what_matches_keeps(
    collections: list[MilvusIndex], where: Filter
) -> None:
    for index in collections:
        others.assert_keeps(index, where, CORPUS)
