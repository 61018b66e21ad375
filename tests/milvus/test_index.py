"""`MilvusIndex` in Milvus Lite: what is kept, what is refused, and what others left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient

from m3kit.adapters.manifest import Manifest
from m3kit.filters import Contains, Eq
from m3kit.index import (
    DocumentError,
    IndexNotFoundError,
    ModelMismatchError,
    RepresentationError,
    Search,
)
from m3kit.records import Document, Record
from m3kit.testing import DIM, DOCUMENTS, assert_same_hits, query, records
from m3kit.vectors import M3Output, Rep, Sparse
from m3kit_milvus import MilvusIndex, provision
from m3kit_milvus import client as client_module
from m3kit_milvus import search as search_module
from m3kit_milvus.vectors import NO_TOKEN

WRITE = """
import os, sys
from pymilvus import MilvusClient
from m3kit.testing import DIM, DOCUMENTS, records
from m3kit_milvus import MilvusIndex
index = MilvusIndex(MilvusClient(sys.argv[1]), "papers", dim=DIM, model="a@1")
index.upsert(records(DOCUMENTS))
print(index.count(), flush=True)
os._exit(0)
"""


def output(n: int = 1, **tokens: float) -> M3Output:
    dense = np.zeros(DIM, np.float32)
    dense[n % DIM] = 1
    sparse = Sparse.from_dict({int(token[1:]): weight for token, weight in tokens.items()})
    return M3Output(dense=dense, sparse=sparse)


def _unflushed(index: MilvusIndex) -> int:
    return index._store.client._unflushed


# What is kept -------------------------------------------------------------------------------------


def test_what_a_process_wrote_is_there_after_it_died(
    python: Callable[..., str], file: Path, request: pytest.FixtureRequest
) -> None:
    assert python(WRITE, file) == f"{len(DOCUMENTS)}"
    index = MilvusIndex(request.getfixturevalue("client"), "papers", dim=None)
    assert repr(index) == f"MilvusIndex('papers', dim={DIM}, reps=('dense', 'sparse'), model='a@1')"
    assert {record.document.id: record.document for record in index.scan()} == {
        document.id: document for document in DOCUMENTS
    }
    hits = index.search(Search(query=query("growling bear", "dense", "sparse"), k=2))
    assert {hit.document.id for hit in hits} == {DOCUMENTS[2].id, DOCUMENTS[3].id}


def test_the_stamp_lies_in_the_collection(client: MilvusClient) -> None:
    MilvusIndex(client, "papers", dim=DIM, reps=["sparse"], model="a@1")
    assert MilvusIndex(client, "papers", dim=None).reps == {"sparse"}
    assert MilvusIndex(client, "papers", dim=DIM, model="b@1").model == "a@1"
    with pytest.raises(ModelMismatchError, match="collection 'papers' was made by a@1, and c@2"):
        MilvusIndex(client, "papers", dim=DIM, model="c@2")
    with pytest.raises(ModelMismatchError, match=f"{DIM} wide, and 7"):
        MilvusIndex(client, "papers", dim=7)


@pytest.mark.parametrize("rep", ["dense", "sparse"])
def test_one_representation_is_enough(client: MilvusClient, rep: Rep) -> None:
    index = MilvusIndex(client, "papers", dim=DIM, reps=[rep])
    index.upsert(records(DOCUMENTS))
    hits = index.search(Search(query=query("the growling bear", rep), k=1, where=Eq("n", 2.0)))
    assert [hit.document for hit in hits] == [DOCUMENTS[2]]


def test_a_text_without_a_token_has_none_when_it_comes_back(client: MilvusClient) -> None:
    index = MilvusIndex(client, "papers", dim=DIM)
    index.upsert([Record(Document("empty", ""), output())])
    (record,) = index.get(["empty"], ["sparse"])
    assert record.output.sparse is not None
    assert len(record.output.sparse) == 0
    encoded = M3Output(sparse=Sparse.from_dict({NO_TOKEN: 1.0, NO_TOKEN + 1: 1.0}))
    assert index.search(Search(query=encoded)) == []
    everything = M3Output(dense=output().dense, sparse=encoded.sparse)
    (hit,) = index.search(Search(query=everything, with_scores=True))
    assert hit.scores == {"dense": 1.0, "sparse": 0.0}


def test_an_index_that_a_process_left_half_made_is_completed(
    client: MilvusClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(provision, "_create_indexes", killed)
        with pytest.raises(KeyboardInterrupt):
            MilvusIndex(client, "papers", dim=DIM)
    index = MilvusIndex(client, "papers", dim=DIM)
    index.upsert(records(DOCUMENTS))
    assert index.search(Search(query=query("growling", "sparse"), k=1))


def test_the_caller_may_have_another_dense_index(client: MilvusClient) -> None:
    MilvusIndex(client, "papers", dim=DIM).upsert(records(DOCUMENTS))
    client.release_collection("papers")
    client.drop_index("papers", "dense")
    params = client.prepare_index_params()
    params.add_index("dense", index_type="HNSW", index_name="theirs", metric_type="IP")
    client.create_index("papers", params, sync=False)
    index = MilvusIndex(client, "papers", dim=DIM)
    index.flush()
    hits = index.search(Search(query=query("the growling bear", "dense"), k=1))
    assert [hit.document for hit in hits] == [DOCUMENTS[2]]
    (name,) = client.list_indexes("papers", field_name="dense")
    assert client.describe_index("papers", name)["index_type"] == "HNSW"


def test_a_large_writing_leaves_little_unflushed(client: MilvusClient) -> None:
    index = MilvusIndex(client, "papers", dim=DIM)
    index.upsert([Record(Document(f"{n}", ""), output(n)) for n in range(2_100)])
    assert _unflushed(index) == 100
    index.flush()
    assert _unflushed(index) == 0
    assert index.count() == 2_100


def test_equal_vectors_tie_wherever_they_lie(client: MilvusClient) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((2, 1024)).astype(np.float32)
    tied = M3Output(dense=rows[0], sparse=Sparse.from_dict({1: 0.3, 2: 0.7}))
    encoded = M3Output(dense=rows[1], sparse=Sparse.from_dict({1: 0.1, 2: 0.2}))
    index = MilvusIndex(client, "papers", dim=1024)
    ids = [f"{i:03}" for i in range(101)]
    written = [Record(Document(ids[i], ""), tied) for i in rng.permutation(101)]
    index.upsert(written[:50])
    index.flush()
    index.upsert(written[50:])
    for rep in index.reps:
        for k in (1, 2, 60, 101):
            hits = index.search(Search(query=encoded.only(rep), k=k))
            assert [hit.document.id for hit in hits] == ids[:k]
            assert len({hit.score for hit in hits}) == 1


@pytest.mark.parametrize("rep", ["dense", "sparse"])
def test_more_hits_than_a_server_gives_are_scored_here(
    client: MilvusClient, monkeypatch: pytest.MonkeyPatch, rep: Rep
) -> None:
    index = MilvusIndex(client, "papers", dim=DIM)
    index.upsert(records(DOCUMENTS))
    search = Search(query=query("the growling bear", rep), k=8)
    expected = index.search(search)
    monkeypatch.setattr(search_module, "_MAX_HITS", 3)
    assert_same_hits(index.search(search), expected)


# What is refused ----------------------------------------------------------------------------------


def test_colbert_is_refused_and_the_way_to_it_named(client: MilvusClient) -> None:
    with pytest.raises(RepresentationError, match=r"m3kit\.WithColbert"):
        MilvusIndex(client, "papers", dim=DIM, reps=["dense", "sparse", "colbert"])
    with pytest.raises(RepresentationError, match="some of dense, sparse, colbert, not none"):
        MilvusIndex(client, "papers", dim=DIM, reps=[])
    assert not client.has_collection("papers")


def test_there_is_no_index_without_a_width(client: MilvusClient) -> None:
    with pytest.raises(IndexNotFoundError, match="the collection 'papers'; give encoder="):
        MilvusIndex(client, "papers", dim=None)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        MilvusIndex(client, "papers", dim=0)


LARGE: dict[str, Document] = {
    r"its text takes 65537 bytes, and Milvus holds 65535": Document("large", "ü" + "x" * 65_535),
    r"its id takes 65536 bytes": Document("large" + "x" * 65_531, ""),
    r"its metadata takes 65543 bytes": Document("large", "", {"a": ["x" * 65_533]}),
}


def test_metadata_with_more_terms_than_fit_is_stored_and_found(client: MilvusClient) -> None:
    index = MilvusIndex(client, "papers", dim=DIM)
    many = Document("many", "", {"a": [*range(5_000)]})
    index.upsert([Record(many, output()), Record(Document("few", "", {"a": [1]}), output())])
    assert [record.document for record in index.scan(Contains("a", 4_999))] == [many]
    assert index.count(Contains("a", 1)) == 2


@pytest.mark.parametrize("message", LARGE)
def test_what_milvus_cannot_hold_is_refused_before_anything_is_written(
    client: MilvusClient, message: str
) -> None:
    index = MilvusIndex(client, "papers", dim=DIM)
    records = [Record(document, output()) for document in (Document("good", ""), LARGE[message])]
    with pytest.raises(DocumentError, match=f"document 'large.*{message}"):
        index.upsert(records)
    assert index.count() == 0


def test_what_milvus_can_just_hold_comes_back(client: MilvusClient) -> None:
    index = MilvusIndex(client, "papers", dim=DIM)
    documents = [
        Document("text", "x" * 65_535),
        Document("x" * 65_535, ""),
        Document("x" * 65_534 + "y", ""),
        Document("metadata", "", {"a": ["x" * 65_000]}),
        Document("facts", "", {"a": "%_" * 16_000}),
        Document("terms", "", {"a": [*range(1_980)]}),
    ]
    index.upsert([Record(document, output()) for document in documents])
    got = index.get([document.id for document in documents])
    assert [record.document for record in got] == documents


def test_a_token_that_milvus_does_not_take_is_refused(client: MilvusClient) -> None:
    index = MilvusIndex(client, "papers", dim=DIM)
    most = output(t4294967293=1.0)
    index.upsert([Record(Document("most", ""), most)])
    assert len(index.search(Search(query=most.only("sparse")))) == 1
    with pytest.raises(DocumentError, match=f"'more' has the token {NO_TOKEN}"):
        index.upsert([Record(Document("more", ""), output(t4294967294=1.0))])


def test_writings_are_cut_by_rows_and_by_bytes(
    client: MilvusClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = MilvusIndex(client, "papers", dim=DIM)
    sizes: list[int] = []
    write = client_module.CollectionClient.upsert

    def counted(self: client_module.CollectionClient, rows: list[Any]) -> None:
        sizes.append(len(rows))
        write(self, rows)

    monkeypatch.setattr(client_module.CollectionClient, "upsert", counted)
    index.upsert([Record(Document(f"{n}", ""), output()) for n in range(1_001)])
    assert sizes == [500, 500, 1]
    sizes.clear()
    index.upsert([Record(Document(f"{n}", "x" * 60_000), output()) for n in range(100)])
    assert sum(sizes) == 100
    assert max(sizes) < 100


# What others left ---------------------------------------------------------------------------------


def test_a_collection_of_others_is_left_alone(client: MilvusClient) -> None:
    client.create_collection("theirs", dimension=DIM)
    with pytest.raises(
        IndexNotFoundError, match="'theirs' was not created by m3kit; pass fields=FieldNames"
    ):
        MilvusIndex(client, "theirs", dim=DIM)
    assert client.has_collection("theirs")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"m3kit": {"format": 3}}, "of format 3, and this m3kit reads 2; upgrade"),
        ({"m3kit": {"format": 1}}, "an earlier development version of m3kit; index the documents"),
        ({"m3kit": {"format": 2}}, "was not created by m3kit"),
        ("[", "was not created by m3kit; pass fields"),
        (
            {"m3kit": Manifest(DIM, frozenset({"dense", "sparse"}), None).to_json()},
            "lacks id, metad",
        ),
    ],
)
def test_a_manifest_is_read_with_care(client: MilvusClient, manifest: object, message: str) -> None:
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=32)
    schema.add_field("dense", DataType.FLOAT_VECTOR, dim=DIM)
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    client.create_collection("papers", schema=schema, properties={"m3kit": text})
    with pytest.raises(IndexNotFoundError, match=message):
        MilvusIndex(client, "papers", dim=DIM)
