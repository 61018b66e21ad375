"""
A Qdrant server, by REST and by gRPC.

`M3KIT_QDRANT_URL` (and `M3KIT_QDRANT_GRPC_PORT`, 6334 if unset) names one that is running;
otherwise the image in `M3KIT_QDRANT_IMAGE` is started, where a Docker engine has it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from qdrant_client import QdrantClient
from testcontainers.community.qdrant import QdrantContainer
from tests.containers.conftest import served

from m3kit import ColbertStorage, open_index
from m3kit.index import HybridIndex
from m3kit.testing import DIM, DOCUMENTS, IndexConformance, records
from m3kit_qdrant import QdrantIndex

pytestmark = pytest.mark.containers

IMAGE = os.environ.get("M3KIT_QDRANT_IMAGE", "qdrant/qdrant:v1.20.0")
ROOT = Path(__file__).parents[2]


@contextmanager
def _started(image: str) -> Iterator[str]:
    with QdrantContainer(image) as container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(6333)
        yield f"http://{host}:{port}?grpc_port={container.get_exposed_port(6334)}"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served("M3KIT_QDRANT_URL", IMAGE, _started) as address:
        yield address


@pytest.fixture(scope="module", params=["rest", "grpc"])
def client(request: pytest.FixtureRequest, address: str) -> Iterator[QdrantClient]:
    split = urlsplit(address)
    port = split.query.removeprefix("grpc_port=") or os.environ.get(
        "M3KIT_QDRANT_GRPC_PORT", "6334"
    )
    client = QdrantClient(
        f"{split.scheme}://{split.netloc}",
        api_key=os.environ.get("QDRANT_API_KEY"),
        grpc_port=int(port),
        prefer_grpc=request.param == "grpc",
        check_compatibility=False,  # it warns from a thread of a server that is older
    )
    yield client
    client.close()


@pytest.fixture
def name(client: QdrantClient) -> Iterator[str]:
    """A collection that is gone afterwards."""
    name = f"test_{uuid4().hex}"
    yield name
    client.delete_collection(name)


class TestServer(IndexConformance):
    @pytest.fixture
    def index(self, client: QdrantClient, name: str) -> HybridIndex:
        return QdrantIndex(client, name, dim=DIM)


class TestServerWithHalfTheBytes(IndexConformance):
    storage = ColbertStorage("float16", pool_factor=2)
    tolerance = 1e-3

    @pytest.fixture
    def index(self, client: QdrantClient, name: str) -> HybridIndex:
        return QdrantIndex(client, name, dim=DIM, colbert=self.storage)


class TestServerWithAByteEach(IndexConformance):
    storage = ColbertStorage("int8")
    tolerance = 5e-3

    @pytest.fixture
    def index(self, client: QdrantClient, name: str) -> HybridIndex:
        return QdrantIndex(client, name, dim=DIM, colbert=self.storage)


def test_an_address_opens_it(address: str) -> None:
    split = urlsplit(address)
    place = f"qdrant://{split.netloc}/test_{uuid4().hex}"
    with open_index(f"{place}?{split.query}".removesuffix("?"), dim=DIM) as index:
        index.upsert(records(DOCUMENTS))
        assert index.count() == len(DOCUMENTS)


@pytest.mark.parametrize("suite", ["tests/langchain/test_standard.py", "tests/llama_index"])
def test_the_frameworks_suites_pass_on_it(address: str, suite: str) -> None:
    stores = {"M3KIT_STORES": f"qdrant://{urlsplit(address).netloc}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", suite]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | stores, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
