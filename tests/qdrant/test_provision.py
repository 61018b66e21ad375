"""Collections that others made open as they are, answer as the oracle does, and stay theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
from qdrant_client import QdrantClient, models

from m3kit import FieldNames, MemoryIndex
from m3kit.filters import All, And, Contains, Eq, Exists, Filter, Ids, In, Not, Range, Substring
from m3kit.fusion import RRF, WeightedSum
from m3kit.index import (
    DocumentError,
    IndexNotFoundError,
    ModelMismatchError,
    RepresentationError,
    Search,
)
from m3kit.records import Document, Record
from m3kit.testing import (
    DIM,
    TEXTS,
    assert_same_hits,
    assert_same_vectors,
    query,
    records,
    typed,
)
from m3kit.vectors import REPS
from m3kit_qdrant import QdrantIndex
from m3kit_qdrant.layout import point_id

SPACE = UUID(int=7)
METADATA: list[dict[str, Any]] = [
    {
        "lang": "de" if "ü" in text else "en",
        "n": n,
        "share": n / 8,
        "even": n % 2 == 0,
        "tags": text.split(),
        "nested": {"a": [n, 1.0, None]},
        "a.b": n,
    }
    for n, text in enumerate(TEXTS)
]
WHERE: list[Filter] = [
    Eq("lang", "de"),
    Not(Eq("lang", "en")),
    Eq("n", 3.0),
    Eq("share", 0.5),
    Eq("tags", "the"),
    In("n", (1, 2, 3.5)),
    Range("n", gt=2, le=7),
    Contains("tags", "bear"),
    Contains("lang", "de"),
    Exists("missing"),
    Exists("tags"),
    Substring("lang", "e"),
    Substring("tags", "ea"),
    Eq("a.b", 4),
    And((Eq("lang", "en"), Range("share", ge=0.25))),
    Eq("page_content", TEXTS[0]),
    All(),
]


@pytest.fixture(params=["local", "server"])
def client(request: pytest.FixtureRequest) -> Iterator[QdrantClient]:
    if request.param == "local":
        client = QdrantClient(":memory:")
    else:
        server = request.getfixturevalue("shared_server")
        client = QdrantClient(f"http://{server.address}", check_compatibility=False)
    yield client
    client.close()


def _id(form: str, n: int) -> str:
    return f"{n}" if form == "number" else str(uuid5(SPACE, f"{n}"))


def documents(form: str) -> list[Document]:
    pairs = zip(TEXTS, METADATA, strict=True)
    return [Document(_id(form, n), *pair) for n, pair in enumerate(pairs)]


def make(  # every form that a collection may have
    client: QdrantClient,
    fields: FieldNames,
    documents: Sequence[Document],
    distance: models.Distance = models.Distance.COSINE,
) -> str:
    """Make a collection by the client alone, as one who knows nothing of m3kit."""
    size: Any = models.VectorParams(size=DIM, distance=distance)
    name = uuid4().hex
    client.create_collection(
        name,
        vectors_config=size if fields.dense == "" else {fields.dense or "other": size},
        sparse_vectors_config={fields.sparse or "bm25": models.SparseVectorParams()},
    )
    points = []
    for record in records(documents):
        assert record.output.dense is not None
        assert record.output.sparse is not None
        id_, weights = record.document.id, record.output.sparse
        point = models.PointStruct(
            id=uuid4().hex if fields.id else int(id_) if id_.isdecimal() else id_,
            vector={
                "other" if fields.dense is None else fields.dense: record.output.dense.tolist(),
                fields.sparse or "bm25": models.SparseVector(
                    indices=weights.ids.tolist(), values=weights.weights.tolist()
                ),
            },
            payload=_payload(record.document, fields),
        )
        points.append(point)
    if points:
        client.upsert(name, points, wait=True)
    return name


def _payload(document: Document, fields: FieldNames) -> dict[str, Any]:
    metadata = dict(document.metadata)
    return {
        **({fields.id: document.id} if fields.id else {}),
        fields.text: document.text,
        **({fields.metadata: metadata} if fields.metadata else metadata),
    }


def _stored_id(point: Any, fields: FieldNames) -> str:
    return str(point.payload[fields.id] if fields.id else point.id)


def assert_serves(index: QdrantIndex, expected: Sequence[Document]) -> None:
    """Every verb that reads answers as the oracle does."""
    oracle = MemoryIndex(DIM, reps=index.reps)
    oracle.upsert(records(expected))
    shape = [rep for rep in REPS if rep in index.reps]
    for reps in {(shape[0],), (shape[-1],), tuple(shape)}:
        for fusion in (RRF(), WeightedSum()):
            encoded = query("the growling bear", *reps)
            search = Search(query=encoded, k=4, candidates=5, fusion=fusion, with_scores=True)
            assert_same_hits(index.search(search), oracle.search(search))
    for where in WHERE:
        matching = {record.document.id for record in oracle.scan(where)}
        assert {record.document.id for record in index.scan(where)} == matching, where
        assert index.count(where) == len(matching)
    search = Search(query=query("bear", *shape), where=WHERE[1], k=3)
    assert_same_hits(index.search(search), oracle.search(search))
    wanted = [expected[3].id, "unknown", expected[0].id]
    got = index.get(wanted, shape)
    assert [record.document.id for record in got] == [expected[3].id, expected[0].id]
    for mine, true in zip(got, oracle.get(wanted, shape), strict=True):
        assert typed(dict(mine.document.metadata)) == typed(dict(true.document.metadata))
        assert mine.document == true.document
        assert_same_vectors(mine.output, true.output, shape)
    assert index.count(Ids((expected[1].id, "unknown"))) == 1


FORMS = [
    pytest.param(
        "uuid", FieldNames(dense="d", sparse="s", text="page_content", metadata="metadata")
    ),
    pytest.param("number", FieldNames(dense="d", sparse="s", text="page_content")),
    pytest.param("number", FieldNames(dense="", sparse="s", metadata="meta.data")),
    pytest.param("uuid", FieldNames(dense="")),
    pytest.param("uuid", FieldNames(sparse="s")),
    pytest.param("uuid", FieldNames(id="doc id", dense="d", sparse="s", metadata="about")),
    pytest.param("number", FieldNames(id="pk", dense="")),
]


@pytest.mark.parametrize(("form", "fields"), FORMS)
def test_a_collection_opens_answers_and_is_written_as_it_is(
    client: QdrantClient, form: str, fields: FieldNames
) -> None:
    corpus = documents(form)
    name = make(client, fields, corpus)
    before, _ = client.scroll(name, limit=100)
    index = QdrantIndex(client, name, fields=fields, model="hash@1")
    assert index.reps == fields.reps
    assert index.model == "hash@1"
    assert_serves(index, corpus)
    new = Document(_id(form, 99), "a wholly new bear", {"lang": "en", "n": 2**62 + 1, "x": [1.0]})
    changed = Document(corpus[2].id, "the bear is asleep", {"lang": "en", "n": 2})
    index.upsert(records([new, changed]))
    index.delete([corpus[0].id, "unknown"])
    index.delete_where(Eq("n", 5))
    left = [entry for entry in corpus if entry.metadata["n"] not in {0, 2, 5}]
    assert_serves(index, [left[1], changed, new, left[0], *left[2:]])
    after, _ = client.scroll(name, limit=100)
    remaining = {entry.id for entry in left}
    assert [entry for entry in after if _stored_id(entry, fields) in remaining] == [
        entry for entry in before if _stored_id(entry, fields) in remaining
    ]
    (written,) = [entry for entry in after if _stored_id(entry, fields) == new.id]
    assert written.payload == _payload(new, fields)
    assert isinstance(written.id, int) == (form == "number" and fields.id is None)


@pytest.mark.parametrize("distance", ["Dot", "Cosine", "Euclid"])
def test_metrics_of_unit_vectors_become_m3s_scores(client: QdrantClient, distance: str) -> None:
    fields = FieldNames(dense="d", sparse="s", text="page_content")
    name = make(client, fields, documents("uuid"), models.Distance(distance))
    assert_serves(QdrantIndex(client, name, fields=fields), documents("uuid"))


def test_colbert_vectors_of_others_serve(client: QdrantClient) -> None:
    for distance in (models.Distance.DOT, models.Distance.COSINE):
        name = uuid4().hex
        several = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
        params = models.VectorParams(size=DIM, distance=distance, multivector_config=several)
        client.create_collection(name, vectors_config={"c": params}, sparse_vectors_config={})
        index = QdrantIndex(client, name, fields=FieldNames(colbert="c"))
        index.upsert(records(documents("uuid")))
        assert_serves(index, documents("uuid"))


def test_an_alias_is_a_name(client: QdrantClient) -> None:
    alias = f"now-{uuid4().hex}"
    fields = FieldNames(dense="d", text="page_content")
    for stored, name in (
        (fields, make(client, fields, documents("uuid"))),
        (None, uuid4().hex),
    ):
        if stored is None:
            QdrantIndex(client, name, dim=DIM, reps=["dense"]).upsert(records(documents("uuid")))
            alias += "-own"
        created = models.CreateAlias(collection_name=name, alias_name=alias)
        client.update_collection_aliases([models.CreateAliasOperation(create_alias=created)])
        index = QdrantIndex(client, alias, fields=stored, dim=DIM)
        assert index.reps == {"dense"}
        assert_serves(index, documents("uuid"))


# What cannot serve


def test_a_schema_that_cannot_serve_is_refused_with_every_difference(client: QdrantClient) -> None:
    name = uuid4().hex
    size = models.VectorParams(size=DIM, distance=models.Distance.MANHATTAN)
    several = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    client.create_collection(
        name,
        vectors_config={
            "d": size,
            "c": models.VectorParams(
                size=7, distance=models.Distance.EUCLID, multivector_config=several
            ),
            "bytes": models.VectorParams(
                size=DIM, distance=models.Distance.DOT, datatype=models.Datatype.UINT8
            ),
        },
        sparse_vectors_config={"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    with pytest.raises(IndexNotFoundError) as caught:
        QdrantIndex(client, name, fields=FieldNames(dense="d", sparse="bm25", colbert="c"))
    for message in (
        f"the collection {name!r} cannot serve",
        "the metric of 'd' is Manhattan",
        "the metric of 'c' is Euclid",
        "'d' and 'c' are not of one width",
        "'bm25' has the modifier idf, so its weights are made of word counts (BM25)",
    ):
        assert message in str(caught.value)
    for fields, message in (
        (FieldNames(dense="x"), "no dense vector 'x', only 'bytes', 'c', 'd'; pass FieldNames"),
        (FieldNames(sparse="x"), "no sparse vector 'x', only 'bm25'"),
        (FieldNames(dense="c"), "'c' holds several vectors"),
        (FieldNames(colbert="d"), "'d' holds one vector of a text"),
        (FieldNames(dense="bytes"), "'bytes' are bytes from 0 to 255"),
    ):
        with pytest.raises(IndexNotFoundError, match=message):
            QdrantIndex(client, name, fields=fields)


def test_vectors_that_m3_did_not_make_are_left_alone_and_named(client: QdrantClient) -> None:
    fields = FieldNames(dense="d", text="page_content")
    name = make(client, fields, documents("uuid"))
    index = QdrantIndex(client, name, fields=fields)
    assert "unused: 'bm25'" in repr(index)
    with pytest.raises(RepresentationError, match="no sparse"):
        index.search(Search(query=query("bear")))
    index.upsert(records([Document(_id("uuid", 99), "new", {})]))
    (old, new) = client.retrieve(name, [_id("uuid", 1), _id("uuid", 99)], with_vectors=["bm25"])
    vectors = {point.id: point.vector for point in (old, new)}
    assert vectors[_id("uuid", 1)]
    assert not vectors[_id("uuid", 99)]


def test_another_width_or_no_collection_is_refused(client: QdrantClient) -> None:
    fields = FieldNames(dense="d", text="page_content")
    name = make(client, fields, documents("uuid")[:1])
    with pytest.raises(ModelMismatchError, match=f"are {DIM} wide, and 7 is asked"):
        QdrantIndex(client, name, fields=fields, dim=7)
    with pytest.raises(IndexNotFoundError, match="no index at the collection 'nowhere'"):
        QdrantIndex(client, "nowhere", fields=fields)
    native = uuid4().hex
    QdrantIndex(client, native, dim=DIM)
    with pytest.raises(IndexNotFoundError, match="m3kit created the collection"):
        QdrantIndex(client, native, fields=fields)
    with pytest.raises(
        IndexNotFoundError, match=r"was not created by m3kit; pass fields=FieldNames"
    ):
        QdrantIndex(client, name, dim=DIM)


@pytest.mark.parametrize(
    "id_",
    [
        "foo",
        "01",
        "-1",
        f"{2**64}",
        UUID(int=9).hex,
        str(UUID(int=2**127 + 10)).upper().replace("8", "A"),
    ],
)
def test_an_id_that_no_point_can_have_stands_in_the_payload(client: QdrantClient, id_: str) -> None:
    fields = FieldNames(dense="d", text="page_content")
    name = make(client, fields, documents("uuid")[:2])
    index = QdrantIndex(client, name, fields=fields)
    assert index.get([id_]) == []
    assert index.count(Not(Ids((id_,)))) == 2
    index.upsert(records([Document(id_, "mine", {"lang": "en"})]))
    (record,) = index.get([id_])
    assert record.document == Document(id_, "mine", {"lang": "en"})
    assert index.count(Ids((id_,))) == 1
    (point,) = client.retrieve(name, [point_id(id_)])
    assert point.payload == {"page_content": "mine", "lang": "en", "id": id_}
    index.delete([id_])
    assert index.count() == 2


def test_a_payload_that_is_none_of_these_is_told(client: QdrantClient) -> None:
    fields = FieldNames(dense="d", metadata="about")
    name = make(client, fields, [])
    vector: Any = {"d": [1.0] + [0.0] * (DIM - 1)}
    index = QdrantIndex(client, name, fields=fields)
    empty: list[dict[str, Any]] = [{}, {"text": None, "about": None}]
    for key, payload_of_key in enumerate(empty):
        client.upsert(name, [models.PointStruct(id=key, vector=vector, payload=payload_of_key)])
        assert index.get([f"{key}"])[0].document == Document(f"{key}", "")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"text": 7}, "holds no text in 'text' but 7"),
        ({"about": "x"}, "holds no metadata in 'about' but 'x'"),
    ]
    for payload, message in wrong:
        client.upsert(name, [models.PointStruct(id=9, vector=vector, payload=payload)])
        with pytest.raises(DocumentError, match=f"point 9 of the collection {message}"):
            index.get(["9"])
    flat = QdrantIndex(client, name, fields=FieldNames(dense="d"))
    (record,) = records([Document("7", "", {"text": "mine"})])
    with pytest.raises(DocumentError, match="'7' has the field 'text'"):
        flat.upsert([Record(record.document, record.output)])
