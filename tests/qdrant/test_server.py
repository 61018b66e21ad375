"""`QdrantIndex` over REST: the client's whole way, before Qdrant's engine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from m3kit.index import DocumentError, HybridIndex, IndexNotFoundError, ModelMismatchError
from m3kit.records import Document, Record
from m3kit.testing import DIM, DOCUMENTS, ENCODER, IndexConformance, records
from m3kit.vectors import M3Output, Sparse
from m3kit_qdrant import QdrantIndex


@pytest.fixture(scope="module")
def shared_client(shared_server: Any) -> Iterator[QdrantClient]:
    client = QdrantClient(f"http://{shared_server.address}", check_compatibility=False)
    yield client
    client.close()


class TestServer(IndexConformance):
    @pytest.fixture
    def index(self, shared_client: QdrantClient) -> HybridIndex:
        return QdrantIndex(shared_client, uuid4().hex, dim=DIM)


@pytest.fixture
def client(server: Any) -> Iterator[QdrantClient]:
    client = QdrantClient(f"http://{server.address}", check_compatibility=False)
    yield client
    client.close()


def test_many_workers_make_one_collection(client: QdrantClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(QdrantIndex, client, "papers", dim=DIM) for _ in range(8)]
        indexes = [future.result() for future in made]
    indexes[0].upsert(records(DOCUMENTS))
    assert indexes[7].count() == len(DOCUMENTS)


def test_a_collection_of_others_is_left_alone(server: Any, client: QdrantClient) -> None:
    size = models.VectorParams(size=DIM, distance=models.Distance.DOT)
    client.create_collection("theirs", {"dense": size}, sparse_vectors_config={}, metadata={})
    with pytest.raises(IndexNotFoundError, match="'theirs' was not created by m3kit"):
        QdrantIndex(client, "theirs", dim=DIM)
    server.keeps_metadata = False
    with pytest.raises(IndexNotFoundError, match=r"older than Qdrant 1\.16"):
        QdrantIndex(client, "papers", dim=DIM)


def test_the_manifest_lies_in_the_collection(client: QdrantClient) -> None:
    QdrantIndex(client, "papers", dim=DIM, reps=["dense", "sparse"], model="a@1")
    assert QdrantIndex(client, "papers", dim=None).reps == {"dense", "sparse"}
    assert QdrantIndex(client, "papers", dim=DIM, model="b@1").model == "a@1"
    with pytest.raises(ModelMismatchError, match="collection 'papers' was made by a@1, and c@2"):
        QdrantIndex(client, "papers", dim=DIM, model="c@2")
    with pytest.raises(ModelMismatchError, match=f"{DIM} wide, and 7"):
        QdrantIndex(client, "papers", dim=7)


def test_a_collection_of_an_earlier_form_is_named_as_such(client: QdrantClient) -> None:
    size = models.VectorParams(size=DIM, distance=models.Distance.DOT)
    manifest = {"format": 1, "dim": DIM, "reps": ["dense"], "model": None}
    client.create_collection(
        "old", {"dense": size}, sparse_vectors_config={}, metadata={"m3kit": manifest}
    )
    with pytest.raises(IndexNotFoundError, match="'old' was made by an earlier development"):
        QdrantIndex(client, "old", dim=DIM)


def test_an_encoder_supplies_dim_model_and_representations(client: QdrantClient) -> None:
    index = QdrantIndex(client, "papers", encoder=ENCODER)
    assert (index.model, index.reps) == (ENCODER.model, ENCODER.reps)
    assert QdrantIndex(client, "few", encoder=ENCODER, reps=["dense"]).reps == {"dense"}
    assert QdrantIndex(client, "papers", encoder=ENCODER).count() == 0
    with pytest.raises(ValueError, match="encoder= supplies dim and model"):
        QdrantIndex(client, "papers", encoder=ENCODER, dim=DIM)


def test_a_matrix_that_a_server_refuses_is_refused_before_anything_is_written(
    client: QdrantClient,
) -> None:
    index = QdrantIndex(client, "papers", dim=DIM)
    (good,) = records(DOCUMENTS[:1])
    colbert = np.ones((2**20 // DIM, DIM), np.float32)
    output = M3Output(dense=colbert[0], sparse=Sparse.from_dict({1: 1.0}), colbert=colbert)
    with pytest.raises(DocumentError, match=r"'long one' has 1048576 numbers.*fewer than 1048576"):
        index.upsert([good, Record(Document("long one", ""), output)])
    assert index.count() == 0


def test_the_client_stays_the_callers(client: QdrantClient) -> None:
    index = QdrantIndex(client, "papers", dim=DIM)
    assert not hasattr(index, "close")
    del index
    assert client.collection_exists("papers")
