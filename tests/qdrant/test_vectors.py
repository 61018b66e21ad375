"""ColBERT vectors in fewer bytes answer as `MemoryIndex` does with the same storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from m3kit import ColbertStorage, MemoryIndex, open_index
from m3kit.index import (
    DocumentError,
    HybridIndex,
    ModelMismatchError,
    RepresentationError,
    Search,
    VectorError,
)
from m3kit.records import Document, Record
from m3kit.testing import DIM as NARROW
from m3kit.testing import assert_same_hits, assert_same_vectors
from m3kit.vectors import Floats, M3Output
from m3kit_qdrant import EdgeIndex, QdrantIndex
from m3kit_qdrant.vectors import ByteRows, Rows, rows_of

DIM = 1024
STORAGES = [
    ColbertStorage("float16"),
    ColbertStorage("bfloat16", pool_factor=2),
    ColbertStorage("int8"),
    ColbertStorage("int8", pool_factor=3),
]
WITHIN = {"float16": 2e-5, "bfloat16": 2e-5, "int8": 5e-4}
"""An engine that keeps fewer bits rounds the query's, too."""


def unit(rng: np.random.Generator, n: int) -> Floats:
    rows = rng.standard_normal((n, DIM))
    units: Floats = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return units


def drawn(n: int) -> list[Record]:
    rng = np.random.default_rng(n)
    return [
        Record(
            Document(f"{i:02}", ""),
            M3Output(dense=unit(rng, 1)[0], colbert=unit(rng, 3 + i % 7)),
        )
        for i in range(n)
    ]


@pytest.fixture(params=["edge", "local", "server"])
def index(
    request: pytest.FixtureRequest, storage: ColbertStorage, directory: Path
) -> Iterator[HybridIndex]:
    if request.param == "edge":
        with EdgeIndex(directory, dim=DIM, reps=["dense", "colbert"], colbert=storage) as edge:
            yield edge
        return
    url = ":memory:"
    if request.param == "server":
        url = f"http://{request.getfixturevalue('server').address}"
    client = QdrantClient(url, check_compatibility=False)
    yield QdrantIndex(client, "papers", dim=DIM, reps=["dense", "colbert"], colbert=storage)
    client.close()


@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_answers_are_those_of_the_oracle(index: HybridIndex, storage: ColbertStorage) -> None:
    oracle = MemoryIndex(DIM, reps=["dense", "colbert"], colbert=storage)
    for store in (index, oracle):
        store.upsert(drawn(30))
    within = WITHIN[storage.dtype]
    for encoded in (M3Output(colbert=unit(np.random.default_rng(9), 8)), drawn(2)[1].output):
        search = Search(query=encoded, k=7, candidates=20, with_scores=True)
        assert_same_hits(index.search(search), oracle.search(search), within=within)
    (mine,) = index.get(["04"], index.reps)
    (true,) = oracle.get(["04"], index.reps)
    assert_same_vectors(mine.output, true.output, index.reps)
    assert mine.output.colbert is not None
    assert len(mine.output.colbert) == -(-7 // storage.pool_factor)


def test_an_index_knows_its_storage(directory: Path) -> None:
    storage = ColbertStorage("int8", pool_factor=2)
    EdgeIndex(directory, dim=DIM, colbert=storage).close()
    with open_index(directory, dim=DIM) as index:
        assert "colbert=int8 pooled by 2" in repr(index)
    EdgeIndex(directory, colbert=storage).close()
    with pytest.raises(
        ModelMismatchError, match="stored as int8 pooled by 2, and float16 is asked"
    ):
        EdgeIndex(directory, colbert=ColbertStorage("float16"))
    client = QdrantClient(":memory:")
    QdrantIndex(client, "papers", dim=DIM, colbert=storage)
    with pytest.raises(
        ModelMismatchError, match="stored as int8 pooled by 2, and float16 is asked"
    ):
        QdrantIndex(client, "papers", colbert=ColbertStorage("float16"))
    client.close()


def test_what_qdrant_cannot_keep_is_refused_with_the_remedy(directory: Path) -> None:
    for use in (
        lambda: EdgeIndex(directory, dim=DIM, colbert=ColbertStorage("binary")),
        lambda: QdrantIndex(
            QdrantClient(":memory:"), "papers", dim=DIM, colbert=ColbertStorage("binary")
        ),
    ):
        with pytest.raises(
            RepresentationError, match="store ColBERT vectors as int8 or float16, pooled"
        ):
            use()
    assert not directory.exists()


@pytest.mark.parametrize("storage", [ColbertStorage(), *STORAGES], ids=str)
def test_the_bytes_on_disk_shrink(directory: Path, storage: ColbertStorage) -> None:
    rng = np.random.default_rng(0)
    colbert = unit(rng, 2000)
    with EdgeIndex(directory, dim=DIM, reps=["colbert"], colbert=storage) as index:
        index.upsert(
            [Record(Document(f"{n}", ""), M3Output(colbert=colbert[n::100])) for n in range(100)]
        )
    vectors = (directory / "edge").glob("segments/*/vector_storage-colbert/vectors/*.mmap")
    size = sum(file.stat().st_blocks * 512 for file in vectors)
    wanted = 100 * storage.nbytes(20, rows_of(storage).width(DIM))
    assert wanted <= size < wanted + 2**20


def test_pooling_makes_room_under_a_servers_limit(server: Any) -> None:
    client = QdrantClient(f"http://{server.address}", check_compatibility=False)
    rng = np.random.default_rng(0)
    long = Record(Document("long", ""), M3Output(colbert=unit(rng, 1100)))
    whole = QdrantIndex(client, "whole", dim=DIM, reps=["colbert"])
    with pytest.raises(DocumentError, match="split its text, or pool its vectors"):
        whole.upsert([long])
    pooled = QdrantIndex(
        client, "pooled", dim=DIM, reps=["colbert"], colbert=ColbertStorage("int8", pool_factor=2)
    )
    pooled.upsert([long])
    assert pooled.count() == 1
    client.close()


def test_a_server_is_told_the_type(server: Any) -> None:
    client = QdrantClient(f"http://{server.address}", check_compatibility=False)
    QdrantIndex(client, "half", dim=DIM, colbert=ColbertStorage("float16"))
    QdrantIndex(client, "byte", dim=DIM, colbert=ColbertStorage("int8"))
    params = {
        name: client.get_collection(name).config.params.vectors["colbert"]  # type: ignore[index]  # named
        for name in ("half", "byte")
    }
    assert params["half"].datatype is models.Datatype.FLOAT16
    assert params["half"].size == DIM
    assert params["byte"].datatype is models.Datatype.UINT8
    assert params["byte"].size == ByteRows().width(DIM) == 1060
    client.close()


# The spelling in bytes


@pytest.mark.parametrize("dim", [1, 2, 32, 1024])
def test_bytes_come_back_and_sum_up_to_one_number(dim: int) -> None:
    rng = np.random.default_rng(dim)
    rows = rng.standard_normal((50, dim))
    rows[0], rows[1] = 1, -1
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    stored = ColbertStorage("int8").stored(rows.astype(np.float32))
    written = ByteRows().encode(stored)
    assert written.shape == (50, ByteRows().width(dim))
    assert set(np.unique(written)) <= set(range(256))
    assert len(np.unique(written.sum(axis=1))) == 1
    np.testing.assert_array_equal(ByteRows().decode(written, dim), stored)


def test_a_query_of_bytes_scores_as_the_query() -> None:
    rng = np.random.default_rng(0)
    stored, query = ColbertStorage("int8").stored(unit(rng, 40)), unit(rng, 5)
    rows = ByteRows().encode_query(query)
    assert rows.rows.min() >= 0
    assert rows.rows.max() <= 255
    raw = (rows.rows.astype(np.float64) @ ByteRows().encode(stored).T).max(axis=1).sum()
    expected = (query @ stored.T).max(axis=1).mean()
    assert rows.factor * raw - rows.offset == pytest.approx(expected, abs=5e-4)
    nothing = ByteRows().encode_query(np.zeros((1, DIM), np.float32))
    assert nothing.factor * (nothing.rows[0] @ ByteRows().encode(stored)[0]) == pytest.approx(
        nothing.offset
    )


def test_rows_that_are_not_of_unit_length_are_refused() -> None:
    with pytest.raises(VectorError, match="are unit rows; these are not"):
        ByteRows().encode(np.ones((1, NARROW), np.float32))
    with pytest.raises(VectorError, match="are unit rows; these are not"):
        ByteRows().encode(np.full((1, NARROW), 2, np.float32))


def test_other_storages_are_spelled_as_they_are() -> None:
    rows = unit(np.random.default_rng(0), 3)
    assert rows_of(ColbertStorage("bfloat16")) == Rows()
    assert Rows().encode(rows) is rows
