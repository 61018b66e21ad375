"""How documents lie in points: as an experienced user would have written them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
import qdrant_edge as edge
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from m3kit import RRF, FieldNames
from m3kit.filters import All, Contains, Eq, Filter, Ids, Not, Range
from m3kit.index import DocumentError, HybridIndex, Search
from m3kit.records import DEEPEST, Document, Json
from m3kit.testing import DIM, DOCUMENTS, NASTY_IDS, query, records, typed
from m3kit_qdrant import LLAMA_INDEX, M3KIT, EdgeIndex, QdrantIndex
from m3kit_qdrant.layout import EXACT, Layout, path_to, point_id, point_key

METADATA: dict[str, Any] = {
    "lang": "de", "year": 2024, "score": 0.5, "draft": True, "tags": ["unique", "b"], "a.b": None,
    "nested": {"deep": [1, 2.5, {"x": "y"}]}, "size": 2**62 + 1,
}  # fmt: skip
UUID5 = str(uuid5(UUID(int=7), "x"))
NEXT = 0.1 + 0.2


@pytest.fixture(params=["local", "server"])
def client(request: pytest.FixtureRequest) -> Iterator[QdrantClient]:
    if request.param == "local":
        client = QdrantClient(":memory:")
    else:
        server = request.getfixturevalue("shared_server")
        client = QdrantClient(f"http://{server.address}", check_compatibility=False)
    yield client
    client.close()


@pytest.fixture(params=["edge", "local", "server"])
def index(request: pytest.FixtureRequest, directory: Path) -> Iterator[HybridIndex]:
    if request.param == "edge":
        with EdgeIndex(directory, dim=DIM) as index:
            yield index
        return
    url = ":memory:"
    if request.param == "server":
        url = f"http://{request.getfixturevalue('shared_server').address}"
    client = QdrantClient(url, check_compatibility=False)
    yield QdrantIndex(client, uuid4().hex, dim=DIM)
    client.close()


def condition(key: str, **match: Any) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key=key, **match)])


# What others see


def test_the_vendors_client_reads_and_filters_what_m3kit_wrote(client: QdrantClient) -> None:
    name = uuid4().hex
    index = QdrantIndex(client, name, dim=DIM)
    new = Document("7", "Print the spreadsheet", METADATA)
    index.upsert(records([new, Document(UUID5, "Drucken", {"lang": "fr"}), *DOCUMENTS]))
    (point,) = client.retrieve(name, [7])
    assert point.payload == {"page_content": "Print the spreadsheet", "metadata": METADATA}
    german = condition("metadata.lang", match=models.MatchValue(value="de"))
    points, _ = client.scroll(name, scroll_filter=german)
    assert {point.payload["page_content"] for point in points if point.payload} == {
        "Print the spreadsheet",
        DOCUMENTS[8].text,
    }
    recent = condition("metadata.year", range=models.Range(gte=2020))
    assert client.count(name, recent).count == 1
    draft = condition("metadata.draft", match=models.MatchValue(value=True))
    assert client.count(name, draft).count == 1
    tagged = condition("metadata.tags", match=models.MatchValue(value="unique"))
    assert client.count(name, tagged).count == 1
    vectors = client.get_collection(name).config.params.vectors
    assert isinstance(vectors, dict)
    assert vectors["dense"].distance is models.Distance.DOT
    vector = query("print", "dense").dense
    assert vector is not None
    (best, *_) = client.query_points(name, vector.tolist(), using="dense").points
    (hit,) = index.search(Search(query=query("print", "dense"), k=1))
    assert str(best.id) == hit.document.id
    assert best.score == pytest.approx(hit.score)


def test_edges_own_binding_reads_and_filters_what_m3kit_wrote(directory: Path) -> None:
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(records([Document("7", "Print", METADATA), *DOCUMENTS]))
    shard = edge.EdgeShard.load(str(directory / "edge"))
    (record,) = shard.retrieve([7], with_payload=True, with_vector=False)
    assert record.payload == {"page_content": "Print", "metadata": METADATA}
    german = edge.FieldCondition("metadata.lang", match=edge.MatchValue("de"))
    assert shard.count(edge.CountRequest(filter=edge.Filter(must=[german]))) == 2
    vectors: Any = {"dense": [1.0] + [0.0] * (DIM - 1), "sparse": edge.SparseVector([1], [0.5])}
    payload = {"page_content": "theirs", "metadata": {"lang": "it"}}
    shard.update(edge.UpdateOperation.upsert_points([edge.Point(9, vectors, payload)]))
    shard.close()
    with EdgeIndex(directory) as index:
        where = Eq("lang", "it")
        search = Search(query=query("theirs"), where=where, with_scores=True, fusion=RRF())
        (hit,) = index.search(search)
        assert hit.document == Document("9", "theirs", {"lang": "it"})
        assert hit.scores["colbert"] == hit.score == 0
        assert index.get(["9"], ["dense", "sparse", "colbert"])[0].output.colbert is None


# Ids


@pytest.mark.parametrize("id_", ["7", "0", str(2**64 - 1), str(UUID(int=9)), UUID5])
def test_an_id_that_qdrant_spells_alike_is_the_points(id_: str) -> None:
    assert str(point_key(id_)) == id_
    assert Layout(M3KIT).payload(Document(id_, "x")) == {"page_content": "x", "metadata": {}}


@pytest.mark.parametrize(
    "id_",
    [
        "007",
        "+7",
        "\uff17",
        "1_000",
        str(2**64),
        "-1",
        "7 ",
        UUID5.upper(),
        UUID(int=9).hex,
        "{}",
        "x",
    ],
)
def test_another_id_is_hashed_and_stands_in_the_payload(id_: str) -> None:
    key = point_key(id_)
    assert key == str(UUID(str(key))) == point_id(id_)
    assert UUID(str(key)).version == 5
    assert Layout(M3KIT).payload(Document(id_, "x"))["id"] == id_


def test_ids_that_look_alike_stay_apart(index: HybridIndex) -> None:
    ids = [*NASTY_IDS, "7", "007", " 7", "7.0", "0", "00", "id", '"id"', UUID5, UUID5.upper()]
    documents = [Document(id_, "a bear", {"mine": id_}) for id_ in dict.fromkeys(ids)]
    index.upsert(records(documents))
    assert index.count() == len(documents)
    for document in documents:
        assert index.get([document.id])[0].document == document
        assert index.count(Ids((document.id,))) == 1
    assert index.count(Not(Ids(("7", "007")))) == len(documents) - 2
    index.delete(["007"])
    assert [record.document.id for record in index.get(["7", "007"])] == ["7"]


def test_the_point_of_an_id_is_not_another_documents_id(index: HybridIndex) -> None:
    index.upsert(records([Document("mine", "a bear"), Document("other", "a cat")]))
    key = point_id("mine")
    assert index.get([key]) == []
    assert index.count(Ids((key,))) == 0
    assert index.count(Ids((key, "mine", "other"))) == 2
    index.delete([key])
    assert index.count() == 2
    hits = index.search(Search(query=query("a bear"), where=Ids((key,))))
    assert hits == []


@given(id_=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_id_comes_back(id_: str) -> None:
    layout = Layout(M3KIT)
    document = Document(id_, "")
    assert layout.document(str(point_key(id_)), layout.payload(document)) == document


# What Qdrant would change


UNSAFE: list[Json] = [NEXT, 1e300, 5e-324, 2.0**53 + 2, 0.1 + 0.7, -1.1 - 2.2, 9007199254740993.0]


def test_metadata_that_qdrant_would_change_stands_beside_it(client: QdrantClient) -> None:
    name = uuid4().hex
    index = QdrantIndex(client, name, dim=DIM)
    metadata: dict[str, Any] = {"sum": NEXT, "lang": "de", "all": UNSAFE}
    index.upsert(records([Document("1", "x", metadata), Document("2", "x", {"sum": 0.3})]))
    plain, exact = client.retrieve(name, [2, 1])
    if plain.id == 1:
        plain, exact = exact, plain
    assert plain.payload == {"page_content": "x", "metadata": {"sum": 0.3}}
    assert exact.payload is not None
    assert json.loads(exact.payload[EXACT]) == metadata
    assert exact.payload["metadata"]["lang"] == "de"
    assert exact.payload["metadata"]["sum"] == pytest.approx(NEXT, rel=1e-14)
    assert exact.payload["metadata"]["sum"] > 0.3


def test_floats_come_back_and_filter_to_the_last_bit(index: HybridIndex) -> None:
    documents = [Document(f"{n}", "x", {"n": n, "f": value}) for n, value in enumerate(UNSAFE)]
    documents += [Document("9", "x", {"f": 0.3}), Document("10", "x", {"f": [NEXT]})]
    index.upsert(records(documents))
    for document in documents:
        (record,) = index.get([document.id])
        assert typed(dict(record.document.metadata)) == typed(dict(document.metadata))
    expected: list[tuple[Filter, set[str]]] = [
        (Eq("f", 0.3), {"9"}),
        (Eq("f", NEXT), {"0"}),
        (Contains("f", NEXT), {"10"}),
        (Contains("f", 0.3), set()),
        (Range("f", gt=0.3, lt=0.4), {"0"}),
        (Range("f", gt=NEXT, le=1), {"4"}),
        (Not(Range("f", le=NEXT)) & Range("f", lt=1), {"4"}),
        (Eq("f", 2**53 + 2), {"3"}),
        (Range("f", gt=0, lt=1e-300), {"2"}),
    ]
    for where, ids in expected:
        assert {record.document.id for record in index.scan(where)} == ids, where
        assert index.count(where) == len(ids)
    index.delete_where(Eq("f", NEXT))
    assert index.count() == len(documents) - 1


def test_the_deepest_metadata_comes_back(index: HybridIndex) -> None:
    deep: Json = 0.1 + 0.2
    for n in range(DEEPEST - 1):
        deep = [deep] if n % 2 else {"a": deep}
    index.upsert(records([Document("1", "x", {"deep": deep, "lang": "de"})]))
    assert index.get(["1"])[0].document.metadata == {"deep": deep, "lang": "de"}
    assert index.count(Eq("lang", "de")) == 1


def test_metadata_that_others_changed_since_is_what_counts(client: QdrantClient) -> None:
    name = uuid4().hex
    index = QdrantIndex(client, name, dim=DIM)
    index.upsert(records([Document("1", "x", {"sum": NEXT})]))
    layout = Layout(M3KIT)
    payload = layout.payload(Document("1", "x", {"sum": NEXT, "lang": "de"}))
    assert layout.document("1", payload).metadata == {"sum": NEXT, "lang": "de"}
    assert layout.document("1", payload | {EXACT: "{"}).metadata["lang"] == "de"
    payload["metadata"] = {**payload["metadata"], "lang": "fr"}
    assert layout.document("1", payload).metadata["lang"] == "fr"


# Names


def test_names_and_values_are_data(index: HybridIndex) -> None:
    odd: dict[str, Any] = {
        'quote"': 1, "back\\slash": 2, "a.b": 3, "metadata.lang": 4, "[]": 5, "": 6, "id": "x",
        "page_content": "y", EXACT: "z", "value": "' OR 1=1 --", "line\nbreak": "\x00",
    }  # fmt: skip
    index.upsert(records([Document("1", "x", odd), Document("2", "x", {"a": {"b": 3}})]))
    assert index.get(["1"])[0].document.metadata == odd
    for where in (
        Eq("a.b", 3), Eq("metadata.lang", 4), Eq("id", "x"), Eq("page_content", "y"),
        Eq(EXACT, "z"), Eq("value", "' OR 1=1 --"),
    ):  # fmt: skip
        assert [record.document.id for record in index.scan(where)] == ["1"]
    for field in ('quote"', "back\\slash", "[]"):
        with pytest.raises(ValueError, match="rename the field"):
            Eq(field, 1)


def test_a_path_is_spelled_as_a_server_spells_it() -> None:
    assert path_to("metadata", "lang") == "metadata.lang"
    assert path_to("metadata", "a.b") == 'metadata."a.b"'
    assert path_to("metadata", "ключ") == "metadata.ключ"


def test_a_flat_payload_has_no_room_for_two_of_a_name() -> None:
    layout = Layout(FieldNames(dense="d"))
    with pytest.raises(DocumentError, match="'x' has the field 'id'"):
        layout.payload(Document("x", "", {"id": 1}))
    assert layout.payload(Document("7", "", {"id": 1})) == {"id": 1, "text": ""}
    assert layout.document("7", {"id": "mine", "text": ""}).metadata == {"id": "mine"}
    payload = layout.payload(Document("x", "", {"f": NEXT}))
    assert layout.document(str(point_key("x")), payload) == Document("x", "", {"f": NEXT})


def test_a_flat_field_named_id_is_verified(client: QdrantClient) -> None:
    name = uuid4().hex
    size = models.VectorParams(size=DIM, distance=models.Distance.DOT)
    client.create_collection(name, vectors_config={"d": size}, sparse_vectors_config={})
    index = QdrantIndex(client, name, fields=FieldNames(dense="d"))
    index.upsert(records([Document("mine", "x"), Document("7", "x", {"id": "mine"})]))
    assert [record.document.id for record in index.scan(Eq("id", "mine"))] == ["7"]
    assert index.count(Not(Eq("id", "mine"))) == 1
    index.delete_where(All())


def test_a_node_of_llama_indexs_holds_its_metadata_exactly() -> None:
    layout = Layout(LLAMA_INDEX)
    document = Document(UUID5, "text", {"f": NEXT, "lang": "de"})
    payload = layout.payload(document)
    assert json.loads(payload["_node_content"])["metadata"] == document.metadata
    assert payload["lang"] == "de"
    assert layout.document(UUID5, payload) == document
