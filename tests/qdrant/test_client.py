"""What crosses the wire: how many requests, what a server is told, and no key in any log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from traceback import format_exception
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from qdrant_client import QdrantClient, grpc, models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

from m3kit import FieldNames, MemoryIndex, open_index
from m3kit.filters import Eq, Not, Range, Substring
from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.index import IndexNotFoundError, Search
from m3kit.records import Document, Record
from m3kit.scoring import require
from m3kit.testing import DIM, TEXTS, assert_same_hits, query, records
from m3kit.vectors import REPS, Rep, Sparse
from m3kit_qdrant import QdrantIndex, QdrantOptions

DOCUMENTS = [Document(f"{n:02}", TEXTS[n % 10], {"n": n, "tenant": f"t{n % 3}"}) for n in range(40)]


def apart() -> list[Record]:
    """Encode them so that no two are alike."""
    rng = np.random.default_rng(0)
    return [
        Record(
            record.document,
            replace(
                record.output,
                dense=require(record.output.dense, "dense") * np.float32(1 + rng.random() / 9),
                sparse=Sparse.from_dict(
                    {
                        token: weight * (1 + rng.random() / 9)
                        for token, weight in require(record.output.sparse, "sparse")
                        .to_dict()
                        .items()
                    }
                ),
            ),
        )
        for record in records(DOCUMENTS)
    ]


@pytest.fixture
def client(server: Any) -> Iterator[QdrantClient]:
    client = QdrantClient(f"http://{server.address}", check_compatibility=False)
    yield client
    client.close()


@pytest.mark.parametrize(
    ("reps", "fusion", "requests"),
    [
        (("dense",), RRF(), 1),
        (("sparse",), RRF(), 1),
        (("colbert",), RRF(), 1),
        (("dense", "sparse"), RRF(), 2),
        (REPS, RRF(), 1),
        (("sparse", "colbert"), RRF(), 1),
        (REPS, RRF(1), 2),
        (REPS, WeightedSum(), 1),
        (("dense", "sparse"), WeightedSum(), 1),
        (("sparse", "colbert"), WeightedSum(), 1),
    ],
)
def test_a_search_takes_few_requests(
    server: Any, client: QdrantClient, reps: tuple[Rep, ...], fusion: Fusion, requests: int
) -> None:
    index, oracle = QdrantIndex(client, "papers", dim=DIM), MemoryIndex(DIM)
    for store in (index, oracle):
        store.upsert(apart())
    encoded = query("the growling bear and the salmon", *reps)
    search = Search(query=encoded, k=4, candidates=12, fusion=fusion, where=Range("n", ge=3))
    server.bodies.clear()
    hits = index.search(search)
    assert len(server.bodies) <= requests
    assert_same_hits(hits, oracle.search(search))


def test_a_rescoring_is_nested_in_the_request_of_its_branches(
    server: Any, client: QdrantClient
) -> None:
    index = QdrantIndex(client, "papers", dim=DIM)
    index.upsert(apart())
    server.bodies.clear()
    index.search(Search(query=query("the growling bear"), k=4, candidates=12, fusion=RRF()))
    ((verb, body),) = server.bodies
    assert verb == "POST collections/papers/points/query/batch"
    *branches, rescored = body["searches"]
    assert [branch["using"] for branch in branches] == ["dense", "sparse"]
    assert rescored["using"] == "colbert"
    fused = rescored["prefetch"]
    assert fused["query"] == {"rrf": {"k": 61}}
    assert [(branch["using"], branch["limit"]) for branch in fused["prefetch"]] == [
        ("dense", 20),
        ("sparse", 20),
    ]


def test_a_large_upsert_is_cut_by_bytes(
    server: Any, client: QdrantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("m3kit_qdrant.store._BATCH_BYTES", 20_000)
    index = QdrantIndex(client, "papers", dim=DIM)
    server.bodies.clear()
    index.upsert(records(DOCUMENTS))
    sizes = [len(body["points"]) for verb, body in server.bodies if verb.startswith("PUT")]
    assert len(sizes) > 1
    assert sum(sizes) == len(DOCUMENTS)
    assert index.count() == len(DOCUMENTS)


# What a server is told


TENANT = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
OPTIONS = QdrantOptions(
    dense=models.VectorParamsDiff(
        hnsw_config=models.HnswConfigDiff(m=0, payload_m=16),
        quantization_config=models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8)
        ),
        on_disk=True,
    ),
    colbert=models.VectorParamsDiff(on_disk=True),
    sparse=models.SparseIndexParams(on_disk=True),
    create={"shard_number": 3, "on_disk_payload": True},
    payload_indexes={"tenant": TENANT, "n": models.PayloadSchemaType.INTEGER},
    search_params=models.SearchParams(hnsw_ef=256),
)


def test_a_servers_options_are_the_vendors_own(server: Any, client: QdrantClient) -> None:
    index = QdrantIndex(client, "papers", dim=DIM, options=OPTIONS)
    bodies = dict(server.bodies)
    created = bodies["PUT collections/papers"]
    dense, colbert = created["vectors"]["dense"], created["vectors"]["colbert"]
    assert dense["hnsw_config"] == {"m": 0, "payload_m": 16}
    assert dense["quantization_config"] == {"scalar": {"type": "int8"}}
    assert dense["on_disk"]
    assert colbert["on_disk"]
    assert colbert["hnsw_config"] == {"m": 0}
    assert created["sparse_vectors"]["sparse"]["index"] == {"on_disk": True}
    assert created["shard_number"] == 3
    assert created["on_disk_payload"]
    indexed = {
        body["field_name"]: body["field_schema"]
        for verb, body in server.bodies
        if verb.endswith("papers/index")
    }
    assert indexed == {
        "metadata.tenant": {"type": "keyword", "is_tenant": True},
        "metadata.n": "integer",
    }
    oracle = MemoryIndex(DIM)
    for store in (index, oracle):
        store.upsert(records(DOCUMENTS))
    server.bodies.clear()
    for where in (Eq("tenant", "t1"), Eq("n", 3), Range("n", gt=3, lt=30)):
        search = Search(query=query("the bear", "dense", "sparse"), where=where)
        assert_same_hits(index.search(search), oracle.search(search))
    dense, sparse, *_ = server.bodies[0][1]["searches"]
    assert dense["params"] == {"hnsw_ef": 256}
    assert "params" not in sparse
    is_equal = {"key": "metadata.tenant", "match": {"any": ["t1"]}}
    is_scalar = {"is_empty": {"key": "metadata.tenant[]"}}
    assert dense["filter"] == {"must": [{"must": [is_equal, is_scalar]}]}
    again = QdrantIndex(client, "papers", options=OPTIONS)
    assert again.count(Eq("tenant", "t1")) == 13
    assert sum(verb.endswith("papers/index") for verb, _ in server.bodies) == 0


def test_others_payloads_are_indexed_where_they_lie(server: Any, client: QdrantClient) -> None:
    size = models.VectorParams(size=DIM, distance=models.Distance.DOT)
    client.create_collection("theirs", vectors_config={"d": size}, sparse_vectors_config={})
    fields = FieldNames(dense="d", metadata="meta.data")
    options = QdrantOptions(
        payload_indexes={"tenant": TENANT, "when": models.PayloadSchemaType.DATETIME}
    )
    QdrantIndex(client, "theirs", fields=fields, options=options)
    indexed = [body["field_name"] for verb, body in server.bodies if verb.endswith("theirs/index")]
    assert indexed == ['"meta.data".tenant', '"meta.data".when']


def test_an_index_says_which_fields_have_none_and_no_search_makes_it(
    server: Any, client: QdrantClient
) -> None:
    options = QdrantOptions(payload_indexes={"tenant": TENANT})
    index = QdrantIndex(client, "papers", dim=DIM, options=options)
    assert index.unindexed_fields() == []
    odd: dict[str, Any] = {"a.b": 1, "tags": ["x"], "nested": {"a": 1}, "nothing": None}
    index.upsert(records([*DOCUMENTS, Document("odd", "", odd)]))
    assert index.unindexed_fields() == ["a.b", "n", "tags"]
    server.bodies.clear()
    assert index.count(Range("n", ge=3) & Eq("tenant", "t1")) > 0
    assert not [verb for verb, _ in server.bodies if verb.endswith("/index")]
    local = QdrantIndex(QdrantClient(":memory:"), "papers", dim=DIM)
    local.upsert(records(DOCUMENTS))
    assert local.unindexed_fields() == []  # it has no indexes


@pytest.mark.parametrize("version", ["1.19.2", "1.16.3", "unknown"])
def test_a_server_too_old_for_a_condition_answers_the_same(
    server: Any, client: QdrantClient, version: str
) -> None:
    server.version = version
    index, oracle = QdrantIndex(client, "papers", dim=DIM), MemoryIndex(DIM)
    documents = [
        *DOCUMENTS,
        Document("list", "a bear", {"tenant": ["t1"]}),
        Document("none", "a bear"),
    ]
    for store in (index, oracle):
        store.upsert(records(documents))
    for where in (Substring("tenant", "1"), Not(Substring("tenant", "1")) & Range("n", lt=9)):
        search = Search(query=query("the growling bear"), where=where, k=7, with_scores=True)
        assert_same_hits(index.search(search), oracle.search(search))
        assert index.count(where) == oracle.count(where)
    index.delete_where(Substring("tenant", "1"))
    assert index.count() == len(documents) - 13
    server.version = "1.20.0"
    assert QdrantIndex(client, "papers").count(Substring("tenant", "2")) == 13


def test_local_mode_heeds_no_option() -> None:
    client = QdrantClient(":memory:")
    index = QdrantIndex(client, uuid4().hex, dim=DIM, options=OPTIONS)
    index.upsert(records(DOCUMENTS))
    search = Search(query=query("the bear"), where=Eq("tenant", "t2"))
    assert {hit.document.metadata["tenant"] for hit in index.search(search)} == {"t2"}
    client.close()


# Keys


def test_a_key_is_in_no_log_and_no_repr(
    server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("QDRANT_API_KEY", "s3cret-key")
    caplog.set_level(logging.DEBUG)
    with pytest.warns(UserWarning, match="insecure connection") as warned:
        index = open_index(f"qdrant://{server.address}/papers", dim=DIM)
    with index:
        index.upsert(records(DOCUMENTS))
        index.search(Search(query=query("the bear")))
        texts = [repr(index), str(index), *map(str, (warning.message for warning in warned))]
    with pytest.warns(UserWarning, match="insecure"), pytest.raises(IndexNotFoundError) as caught:
        open_index(f"qdrant://{server.address}/nowhere")
    texts += [caplog.text, repr(caught.value), *format_exception(caught.value)]
    assert server.keys == {"s3cret-key"}
    assert "POST" in caplog.text
    assert not [text for text in texts if "s3cret" in text]


def test_every_request_crosses_grpc_unchanged(
    client: QdrantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = QdrantIndex(client, "papers", dim=DIM, options=OPTIONS)
    index.upsert(apart())
    sent: list[models.QueryRequest] = []
    ask = QdrantClient.query_batch_points

    def noted(self: QdrantClient, name: str, requests: Any, **options: Any) -> Any:
        sent.extend(requests)
        return ask(self, name, requests, **options)

    monkeypatch.setattr(QdrantClient, "query_batch_points", noted)
    for reps in (("dense",), ("sparse",), ("colbert",), REPS):
        for where in (None, Range("n", ge=3) & Eq("tenant", "t1")):
            index.search(Search(query=query("the bear", *reps), where=where, with_scores=True))
    assert len(sent) > 10
    for request in sent:
        message = RestToGrpc.convert_query_request(request, "papers")
        again = GrpcToRest.convert_query_points(
            grpc.QueryPoints.FromString(message.SerializeToString())
        )
        assert again.limit == request.limit
        assert again.using == request.using
        assert _spelled(again.prefetch) == _spelled(request.prefetch)


def _spelled(prefetch: Any) -> Any:
    """Spell what is fetched first: what is fused, by which vectors and how many of each."""
    if prefetch is None or prefetch == []:
        return []
    branches = prefetch if isinstance(prefetch, list) else [prefetch]
    return [
        (
            branch.using,
            branch.limit,
            type(branch.query).__name__ == "RrfQuery",
            _spelled(branch.prefetch),
        )
        for branch in branches
    ]
