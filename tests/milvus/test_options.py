"""What the owner chooses: indexes, parameters of searches, consistency, a partition key."""

from __future__ import annotations

from time import sleep
from typing import Any

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient, MilvusException
from pymilvus.client.prepare import Prepare
from pymilvus.milvus_client.index import IndexParams

from m3kit.filters import Eq, In, Not
from m3kit.index import Search
from m3kit.memory import MemoryIndex
from m3kit.records import Document, Record
from m3kit.testing import DIM, DOCUMENTS, ENCODER, PRECISION, assert_same_hits, query, records
from m3kit.vectors import M3Output
from m3kit_milvus import MilvusIndex, MilvusOptions
from m3kit_milvus.provision import json_index_params


def _index(client: MilvusClient, **options: Any) -> MilvusIndex:
    return MilvusIndex(client, "papers", dim=DIM, options=MilvusOptions(**options))


def test_by_default_everything_is_exact(client: MilvusClient) -> None:
    _index(client)
    indexes = {rep: client.describe_index("papers", rep) for rep in ("dense", "sparse")}
    assert indexes["dense"]["index_type"] == "FLAT"
    assert indexes["sparse"]["index_type"] == "SPARSE_INVERTED_INDEX"
    assert {index_of_rep["metric_type"] for index_of_rep in indexes.values()} == {"IP"}
    shape = client.describe_collection("papers")
    assert shape["consistency_level_name"] == "Strong"
    assert not any(field.get("is_partition_key") for field in shape["fields"])


def test_an_index_of_the_vendors_is_made_as_its_words_say(client: MilvusClient) -> None:
    index = _index(
        client,
        dense_index={"index_type": "HNSW", "params": {"M": 8, "efConstruction": 40}},
        dense_search_params={"ef": 64},
        create={"properties": {"mmap.enabled": "true"}},
    )
    assert client.describe_index("papers", "dense")["index_type"] == "HNSW"
    assert client.describe_collection("papers")["properties"]["mmap.enabled"] == "true"
    index.upsert(records(DOCUMENTS))
    index.flush()
    oracle = MemoryIndex(DIM, reps=["dense"])
    oracle.upsert(records(DOCUMENTS))
    search = Search(query=query("the growling bear", "dense"), k=4)
    assert_same_hits(index.search(search), oracle.search(search))


def _load(client: MilvusClient) -> None:
    """Load the collection, once Milvus Lite has written the index, which it builds meanwhile."""
    for _ in range(50):
        try:
            client.load_collection("papers")
        except MilvusException:
            sleep(0.2)
        else:
            return
    client.load_collection("papers")


@pytest.mark.parametrize("kind", ["HNSW_SQ", "IVF_SQ8"])
def test_scores_stay_exact_where_an_index_keeps_less_than_the_vectors(
    client: MilvusClient, kind: str
) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((300, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    params = {"nlist": 1} if kind == "IVF_SQ8" else {"M": 16, "efConstruction": 200}
    index = MilvusIndex(
        client,
        "papers",
        dim=DIM,
        reps=["dense"],
        options=MilvusOptions(dense_index={"index_type": kind, "params": params}),
    )
    index.upsert([Record(Document(f"{n}", ""), M3Output(dense=v)) for n, v in enumerate(vectors)])
    index.flush()
    client.release_collection("papers")
    _load(client)
    encoded = M3Output(dense=vectors[0])
    hits = index.search(Search(query=encoded, k=10))
    assert hits[0].document.id == "0"
    for hit in hits:
        exact = float(vectors[0] @ vectors[int(hit.document.id)])
        assert hit.score == pytest.approx(exact, abs=PRECISION)


def test_parameters_and_consistency_reach_every_call(
    client: MilvusClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, Any]] = []
    search = MilvusClient.search

    def noted(self: MilvusClient, *args: Any, **options: Any) -> Any:
        seen.append((options["search_params"]["params"], options["consistency_level"]))
        return search(self, *args, **options)

    monkeypatch.setattr(MilvusClient, "search", noted)
    index = _index(client, dense_search_params={"ef": 77}, consistency_level="Bounded")
    index.search(Search(query=query("bear", "dense", "sparse")))
    assert seen == [({"ef": 77}, "Bounded"), ({}, "Bounded")]


def test_another_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="dense vectors are compared by IP, not by L2"):
        MilvusOptions(dense_index={"index_type": "FLAT", "metric_type": "L2"})


def test_a_partition_key_divides_the_collection_and_changes_no_answer(
    client: MilvusClient,
) -> None:
    index = _index(client, partition_key="lang", create={"num_partitions": 4})
    (key,) = (
        field
        for field in client.describe_collection("papers")["fields"]
        if field.get("is_partition_key")
    )
    assert (key["name"], key["type"]) == ("partition", DataType.VARCHAR)
    long = "long" * 1000
    odd = [
        Document("none", "a bear"),
        Document("list", "a bear", {"lang": ["en"]}),
        Document("one", "a bear", {"lang": 1}),
        Document("float", "a bear", {"lang": 1.0}),
        Document("true", "a bear", {"lang": True}),
        Document("spelled", "a bear", {"lang": "true"}),
        Document("long", "a bear", {"lang": f"{long}a"}),
    ]
    oracle = MemoryIndex(DIM, reps=index.reps)
    for target in (index, oracle):
        target.upsert(records([*DOCUMENTS, *odd]))
        target.upsert(records([Document("one", "moved", {"lang": "de"})]))
    reopened = _index(client)
    assert index.count() == oracle.count()
    for where in (
        Eq("lang", "de"), Eq("lang", 1), In("lang", ("en", 1)), In("lang", ()),
        Eq("lang", value=True), Not(Eq("lang", "en")), Eq("lang", f"{long}b"),
    ):  # fmt: skip
        search = Search(query=query("the growling bear", "dense", "sparse"), where=where)
        for opened in (index, reopened):
            assert opened.count(where) == oracle.count(where)
            assert_same_hits(opened.search(search), oracle.search(search))
    assert 'partition == "de"' in reopened._store.translate(Eq("lang", "de")).expression
    assert len(client.query("papers", filter='partition == "true"', output_fields=["id"])) == 2


def test_a_json_path_index_is_asked_of_a_server_in_its_words() -> None:
    params = IndexParams()
    params.add_index("metadata", index_name="metadata_0", **json_index_params("lang", "VARCHAR"))
    (index,) = params
    request = Prepare.create_index_request(
        "papers", index.field_name, index.get_index_configs(), index_name=index.index_name
    )
    assert (request.field_name, request.index_name) == ("metadata", "metadata_0")
    assert {pair.key: pair.value for pair in request.extra_params} == {
        "index_type": "INVERTED",
        "json_path": 'metadata["lang"]',
        "json_cast_type": "VARCHAR",
    }


def test_milvus_lite_has_no_json_path_indexes_and_needs_none(client: MilvusClient) -> None:
    index = _index(client, json_indexes={"lang": "VARCHAR"})
    index.upsert(records(DOCUMENTS))
    assert client.list_indexes("papers", field_name="metadata") == []
    assert index.unindexed_fields() == []


def test_an_encoder_gives_the_width_the_model_and_the_representations(
    client: MilvusClient,
) -> None:
    index = MilvusIndex(client, "papers", encoder=ENCODER)
    assert index.reps == {"dense", "sparse"}
    assert index.model == ENCODER.model
    with pytest.raises(ValueError, match="dim"):
        MilvusIndex(client, "papers", encoder=ENCODER, dim=DIM)
