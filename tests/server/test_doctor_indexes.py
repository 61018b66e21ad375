"""Indexes that are wrong on purpose are named; none that is right is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models
from tests.server.conftest import DOCUMENTS
from tests.server.test_doctor import WRONG
from typer.testing import CliRunner

from m3kit import ColbertStorage, Document, MemoryIndex, Record, Retriever, open_index
from m3kit.cli.app import app
from m3kit.doctor import examine_index
from m3kit.index import HybridIndex, Search
from m3kit.records import Hit
from m3kit.torch import TorchEncoder
from m3kit.vectors import M3Output
from m3kit_langchain import M3Embeddings
from m3kit_qdrant import LANGCHAIN, QdrantIndex
from m3kit_qdrant.provision import graph_problem

TEXTS = [Document(id_, text) for id_, text in DOCUMENTS.items()]


@pytest.fixture(scope="module")
def records(encoder: TorchEncoder) -> list[Record]:
    outputs = encoder.encode_documents([document.text for document in TEXTS])
    return [Record(document, output) for document, output in zip(TEXTS, outputs, strict=True)]


def _index(encoder: TorchEncoder, records: Sequence[Record], **options: Any) -> MemoryIndex:
    index = MemoryIndex(encoder=encoder, **options)
    index.upsert(records)
    return index


def _names(index: HybridIndex, encoder: TorchEncoder, **options: Any) -> list[str]:
    return [finding.name for finding in examine_index(index, encoder, **options)]


@pytest.mark.parametrize("name", WRONG)
def test_vectors_that_are_wrong_are_named(
    encoder: TorchEncoder, records: list[Record], name: str
) -> None:
    wrong = [replace(record, output=WRONG[name](record.output)) for record in records]
    assert _names(_index(encoder, wrong), encoder) == [name]


class Changed:
    """An index some of whose answers are changed."""

    def __init__(self, index: MemoryIndex, **methods: Callable[..., Any]) -> None:
        self._index, self._methods = index, methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._index, name)


def _half(records: Sequence[Record], rep: Any) -> list[Record]:
    return [
        replace(record, output=replace(record.output, **{rep: None})) if n % 2 else record
        for n, record in enumerate(records)
    ]


@pytest.mark.parametrize("rep", ["dense", "sparse", "colbert"])
def test_what_was_written_half_is_named(
    encoder: TorchEncoder, records: list[Record], rep: str
) -> None:
    index = _index(encoder, records)
    half: Any = Changed(index, get=lambda ids, reps=(): _half(index.get(ids, reps), rep))
    (finding,) = examine_index(half, encoder)
    assert (finding.name, finding.message[:6]) == (f"missing-{rep}", "4 of 8")


def test_vectors_of_other_documents_are_named(encoder: TorchEncoder, records: list[Record]) -> None:
    shifted = [replace(record, output=records[n - 1].output) for n, record in enumerate(records)]
    assert _names(_index(encoder, shifted), encoder)[0] == "order"


def test_another_model_is_named(encoder: TorchEncoder, records: list[Record]) -> None:
    index = MemoryIndex(encoder.dim, model="BAAI/bge-m3@5617a9f6")
    index.upsert(records)
    assert _names(index, encoder) == ["model"]
    narrow = MemoryIndex(4, reps=["dense"])
    narrow.upsert([Record(TEXTS[0], M3Output(dense=np.full(4, 0.5, np.float32)))])
    assert _names(narrow, encoder) == ["width"]


def _scored(search: Callable[[Search], list[Hit]], rep: str) -> Callable[[Search], list[Hit]]:
    def searching(request: Search) -> list[Hit]:
        hits = search(request)
        if request.query.reps != {rep}:
            return hits
        return [replace(hit, score=2 - 2 * hit.score) for hit in hits]

    return searching


@pytest.mark.parametrize("rep", ["dense", "sparse", "colbert"])
def test_another_metric_is_named(encoder: TorchEncoder, records: list[Record], rep: str) -> None:
    index = _index(encoder, records)
    euclid: Any = Changed(index, search=_scored(index.search, rep))
    assert _names(euclid, encoder) == [f"{rep}-metric"]


def test_what_is_not_found_by_its_own_vector_is_named(
    encoder: TorchEncoder, records: list[Record]
) -> None:
    index = _index(encoder, records)
    lost: Any = Changed(index, search=lambda request: index.search(request)[1:])
    assert _names(lost, encoder) == ["dense-unfound", "sparse-unfound", "colbert-unfound"]


def test_a_count_that_is_not_that_of_the_documents_is_named(
    encoder: TorchEncoder, records: list[Record]
) -> None:
    index = _index(encoder, records)
    assert _names(Changed(index, count=lambda: 16), encoder) == ["count"]


def _info(points: int, indexed: int, **options: Any) -> models.CollectionInfo:
    params = {"size": 1024, "distance": "Dot", "hnsw_config": {"m": options.pop("m", 16)}}
    return models.CollectionInfo.model_validate(
        {
            "status": options.pop("status", "green"),
            "optimizer_status": "ok",
            "segments_count": 2,
            "points_count": points,
            "indexed_vectors_count": indexed,
            "payload_schema": {},
            "config": {
                "params": {"vectors": {"dense": params}},
                "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
                "optimizer_config": {
                    "deleted_threshold": 0.2,
                    "vacuum_min_vector_number": 1000,
                    "default_segment_number": 2,
                    "flush_interval_sec": 5,
                    "indexing_threshold": options.pop("threshold", 20_000),
                },
            },
        }
    )


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        (_info(1_000, 0), None),
        (_info(1_000_000, 1_000_000), None),
        (_info(1_000_000, 0), "none of its 1000000 dense vectors is in a graph"),
        (_info(1_000_000, 0, status="grey"), "status is grey"),
        (_info(1_000_000, 0, m=0), "m=0"),
        (_info(1_000_000, 0, threshold=0), "indexing_threshold=0"),
    ],
)
def test_a_server_without_the_graph_that_its_size_needs_is_named(
    info: models.CollectionInfo, problem: str | None
) -> None:
    found = graph_problem(info, "dense")
    assert (found is None) if problem is None else problem in str(found)


# Indexes that are right


@pytest.fixture(params=["{}/index", "milvus://{}/index.db/papers"])
def address(request: pytest.FixtureRequest, tmp_path: Path, encoder: TorchEncoder) -> str:
    address: str = request.param.format(tmp_path)
    with open_index(address, encoder=encoder) as index:
        Retriever(encoder, index).add([*TEXTS, Document("empty", ""), Document("zh", "打印")])
    return address


@pytest.mark.parametrize("sample", [1, 3, 64])
def test_a_store_that_is_right_is_not_named(
    address: str, encoder: TorchEncoder, sample: int
) -> None:
    with open_index(address) as index:
        assert _names(index, encoder, sample=sample) == []


@pytest.mark.parametrize(
    "colbert",
    [ColbertStorage("int8"), ColbertStorage("binary"), ColbertStorage(pool_factor=2)],
    ids=str,
)
def test_compressed_colbert_is_not_named(
    encoder: TorchEncoder, records: list[Record], colbert: ColbertStorage
) -> None:
    assert _names(_index(encoder, records, colbert=colbert), encoder) == []


def test_an_empty_index_is_not_named(encoder: TorchEncoder) -> None:
    assert _names(MemoryIndex(encoder=encoder), encoder) == []


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    yield client
    client.close()


def test_a_collection_that_others_made(client: QdrantClient, encoder: TorchEncoder) -> None:
    client.create_collection(
        "lc",
        vectors_config=models.VectorParams(size=encoder.dim, distance=models.Distance.COSINE),
    )
    store = QdrantVectorStore(client, "lc", embedding=M3Embeddings(encoder=encoder))
    store.add_texts([*DOCUMENTS.values()])
    index = QdrantIndex(client, "lc", fields=replace(LANGCHAIN, sparse=None), model=encoder.model)
    assert _names(index, encoder) == []


def test_the_command(address: str, encoder: TorchEncoder) -> None:
    result = CliRunner().invoke(app, ["doctor", address])
    assert (result.exit_code, result.output) == (
        0,
        f"nothing is wrong: 10 of 10 documents are {encoder.model}'s\n",
    )
    with open_index(address) as index:
        (record,) = index.get(["print.en"], index.reps)
        wrong = replace(record, output=WRONG["dense-not-normalised"](record.output))
        index.upsert([wrong])
    result = CliRunner().invoke(app, ["doctor", address, "--reference", "tiny"])
    assert result.exit_code == 1
    assert result.output.startswith("dense-")
