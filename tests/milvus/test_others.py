"""Collections that others made: opened, searched and written without being indexed anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document as TheirDocument
from langchain_milvus import BM25BuiltInFunction, Milvus
from pymilvus import (
    AnnSearchRequest,
    DataType,
    Function,
    FunctionType,
    MilvusClient,
    RRFRanker,
)

from m3kit import RRF, FieldNames, WeightedSum, WithColbert
from m3kit.filters import Contains, Eq, Exists, Filter, Not, Range, Substring
from m3kit.index import DocumentError, HybridIndex, IndexNotFoundError, ModelMismatchError, Search
from m3kit.memory import MemoryIndex
from m3kit.records import Document, Record
from m3kit.testing import (
    DIM,
    DOCUMENTS,
    ENCODER,
    TEXTS,
    assert_same_hits,
    assert_same_vectors,
    query,
    records,
)
from m3kit.vectors import M3Output
from m3kit_langchain import M3Embeddings
from m3kit_langchain.milvus import MilvusSparse
from m3kit_milvus import LANGCHAIN, M3KIT, MilvusIndex

FLAT = {"metric_type": "IP", "index_type": "FLAT"}
SPARSE = {"metric_type": "IP", "index_type": "SPARSE_INVERTED_INDEX"}
FIELDS = FieldNames(dense="dense", sparse="sparse")
RERANKER = Function("rrf", FunctionType.RERANK, [], params={"reranker": "rrf"})
HYBRID = replace(LANGCHAIN, dense="dense", sparse="sparse")
FILTERS: list[Filter | None] = [
    None,
    Eq("n", 3),
    Range("n", ge=2, lt=6),
    Not(Eq("lang", "en")),
    Substring("lang", "e"),
    Exists("n"),
]


def _assert_searches_as_the_oracle(
    index: HybridIndex, stored: list[Record], *filters: Filter | None
) -> None:
    oracle = MemoryIndex(DIM, reps=index.reps)
    oracle.upsert(stored)
    assert index.count() == len(stored)
    for reps in (["dense"], ["sparse"], ["dense", "sparse"]):
        if set(reps) <= index.reps:
            for where in filters:
                encoded = query("the growling bear", *reps)  # type: ignore[arg-type]  # REPS
                search = Search(query=encoded, k=6, where=where, with_scores=True)
                assert_same_hits(index.search(search), oracle.search(search))
    for where in filters:
        assert index.count(where) == oracle.count(where)


def _assert_writes(index: HybridIndex, stored: list[Record], new: Record) -> None:
    """Write one anew, forget one, add one; and find it so."""
    changed = replace(stored[0], document=replace(stored[0].document, text="changed"))
    index.upsert([changed, new])
    index.delete([stored[1].document.id, "unknown"])
    index.flush()
    expected = [changed, *stored[2:], new]
    got = index.get([record.document.id for record in expected], [*index.reps])
    assert [record.document for record in got] == [record.document for record in expected]
    for mine, other in zip(got, expected, strict=True):
        assert_same_vectors(mine.output, other.output, index.reps)
    _assert_searches_as_the_oracle(index, expected, None)


# langchain-milvus -----------------------------------------------------------------------------


@pytest.fixture
def langchain(file: Path, client: MilvusClient) -> Callable[..., Milvus]:
    def make(**how: Any) -> Milvus:
        return Milvus(
            [M3Embeddings(encoder=ENCODER), MilvusSparse(ENCODER)],
            vector_field=["dense", "sparse"],
            connection_args={"uri": str(file)},
            index_params=[FLAT, SPARSE],
            **how,
        )

    assert client  # it holds the file
    return make


@pytest.fixture
def ours(client: MilvusClient) -> MilvusIndex:
    """A collection that m3kit made."""
    index = MilvusIndex(client, "ours", encoder=ENCODER)
    index.upsert(records(DOCUMENTS))
    return index


def _langchain_on_ours(langchain: Callable[..., Milvus]) -> Milvus:
    return langchain(
        collection_name="ours",
        primary_field="id",
        text_field="text",
        metadata_field="metadata",
        auto_id=False,
        search_params=[{"metric_type": "IP"}] * 2,
    )


def test_langchain_searches_what_m3kit_made(
    ours: MilvusIndex, langchain: Callable[..., Milvus]
) -> None:
    store = _langchain_on_ours(langchain)
    for where, expr in ((None, None), (Eq("lang", "en"), 'metadata["lang"] == "en"')):
        encoded = query("the growling bear", "dense", "sparse")
        expected = ours.search(Search(query=encoded, k=3, where=where, fusion=RRF()))
        answer = store.similarity_search(
            "the growling bear", k=3, fetch_k=100, expr=expr, reranker=RERANKER
        )
        assert [hit.page_content for hit in answer] == [hit.document.text for hit in expected]
        assert [hit.metadata for hit in answer] == [hit.document.metadata for hit in expected]


def test_m3kit_finds_what_langchain_writes_into_its_collection(
    ours: MilvusIndex, langchain: Callable[..., Milvus]
) -> None:
    store = _langchain_on_ours(langchain)
    new = Document("new", "a new bear", {"n": 99, "lang": "fr", "tags": ["new"]})
    changed = replace(DOCUMENTS[0], text="changed", metadata={"lang": "fr"})
    written = [new, changed]
    store.upsert(
        ids=[document.id for document in written],
        documents=[
            TheirDocument(page_content=document.text, metadata=dict(document.metadata))
            for document in written
        ],
    )
    _assert_searches_as_the_oracle(
        ours, [*records(DOCUMENTS[1:]), *records(written)], *FILTERS, Eq("lang", "fr"),
        Contains("tags", "new"), Not(Range("n", gt=5)),
    )  # fmt: skip
    ours.delete_where(Eq("lang", "fr"))
    assert ours.get(["new", changed.id]) == []
    assert ours.count() == len(DOCUMENTS) - 1


def test_a_representation_that_others_left_empty_scores_zero(
    client: MilvusClient, ours: MilvusIndex
) -> None:
    (new,) = records([Document("new", "the growling bear", {"lang": "fr"})])
    row = {"id": "new", "text": new.document.text, "metadata": {"lang": "fr"}}
    client.upsert("ours", [{**row, "dense": new.output.dense, "sparse": {2**32 - 2: 1e-6}}])
    encoded = query("the growling bear", "dense", "sparse")
    search = Search(query=encoded, k=1, where=Eq("lang", "fr"), with_scores=True)
    (hit,) = ours.search(replace(search, fusion=WeightedSum()))
    assert hit.scores == {"dense": pytest.approx(1.0), "sparse": 0.0}


def test_pymilvus_hybrid_search_ranks_what_m3kit_made(
    client: MilvusClient, ours: MilvusIndex
) -> None:
    encoded = query("the growling bear", "dense", "sparse")
    assert encoded.sparse is not None
    vectors = {"dense": encoded.dense, "sparse": encoded.sparse.to_dict()}
    branches = [
        AnnSearchRequest([vector], rep, {"metric_type": "IP"}, 100, expr='metadata["n"] > 1')
        for rep, vector in vectors.items()
    ]
    (hits,) = client.hybrid_search("ours", branches, RRFRanker(60), 3, output_fields=["text"])
    expected = ours.search(Search(query=encoded, k=3, where=Range("n", gt=1)))
    assert [hit["id"] for hit in hits] == [hit.document.id for hit in expected]


def test_what_m3kit_made_opens_by_its_names_too(client: MilvusClient, ours: MilvusIndex) -> None:
    assert ours.model == ENCODER.model
    index = MilvusIndex(client, "ours", fields=replace(M3KIT, sparse=None, colbert=None))
    assert index.model == ENCODER.model
    assert index.reps == {"dense"}
    assert index.count(Eq("lang", "en")) == ours.count(Eq("lang", "en"))
    flat = MilvusIndex(client, "ours", fields=FieldNames(dense="dense"))
    assert flat.get(["new", DOCUMENTS[0].id])[0].document.metadata == {
        "metadata": DOCUMENTS[0].metadata
    }
    assert flat.count(Exists("metadata")) == ours.count()
    assert flat.count(Eq("lang", "en")) == 0


METADATA: dict[str, tuple[dict[str, Any], FieldNames]] = {
    "a JSON": ({"metadata_field": "about"}, replace(HYBRID, metadata="about")),
    "dynamic fields": ({"enable_dynamic_field": True}, HYBRID),
    "fields of the schema": ({}, HYBRID),
}


@pytest.mark.parametrize("how", METADATA)
def test_langchains_collection_opens_searches_and_is_written(
    client: MilvusClient, langchain: Callable[..., Milvus], how: str
) -> None:
    options, fields = METADATA[how]
    store = langchain(**options)
    stored = [
        replace(
            record,
            document=replace(
                record.document, metadata={"n": n, "lang": record.document.metadata["lang"]}
            ),
        )
        for n, record in enumerate(records(DOCUMENTS))
        if record.document.text
    ]
    store.add_texts(
        [record.document.text for record in stored],
        [dict(record.document.metadata) for record in stored],
        ids=[record.document.id for record in stored],
    )
    index = MilvusIndex(client, "LangChainCollection", fields=fields, model=ENCODER.model)
    assert index.model == ENCODER.model
    assert index.reps == {"dense", "sparse"}
    _assert_searches_as_the_oracle(index, stored, *FILTERS)
    new = records([Document('new "id"', "a new bear", {"n": 99, "lang": "fr"})])[0]
    _assert_writes(index, stored, new)
    (hit,) = store.similarity_search(
        "a new bear",
        k=1,
        param=[{"metric_type": "IP"}, {"metric_type": "IP"}],
        reranker=RERANKER,
    )
    assert hit.page_content == "a new bear"
    given = hit.metadata if how != "dynamic fields" else {"n": 99, "lang": "fr"}
    assert {"n": 99, "lang": "fr"}.items() <= given.items()


def test_langchains_bm25_is_left_alone_and_named(client: MilvusClient, file: Path) -> None:
    Milvus.from_documents(
        [
            TheirDocument(page_content=text, metadata={"n": n})
            for n, text in enumerate(TEXTS)
            if text
        ],
        M3Embeddings(encoder=ENCODER),
        builtin_function=BM25BuiltInFunction(output_field_names="sparse"),
        vector_field=["dense", "sparse"],
        connection_args={"uri": str(file)},
        index_params=[FLAT, {**SPARSE, "metric_type": "BM25"}],
    )
    with pytest.raises(
        IndexNotFoundError, match="'sparse' is computed by a function of the server, not by"
    ):
        MilvusIndex(client, "LangChainCollection", fields=FIELDS)
    index = MilvusIndex(client, "LangChainCollection", fields=FieldNames(dense="dense"))
    (hit,) = index.search(Search(query=query("the bear is growling", "dense"), k=1))
    assert hit.document.text == "the bear is growling"
    assert hit.document.metadata == {"n": 2}
    with pytest.raises(DocumentError, match="Milvus numbers its rows by 'pk'"):
        index.upsert(records(DOCUMENTS))


# plain pymilvus -------------------------------------------------------------------------------


Field = dict[str, Any]
TEXT: Field = {"field_name": "text", "datatype": DataType.VARCHAR, "max_length": 1000}
PK: Field = {"field_name": "pk", "datatype": DataType.INT64, "is_primary": True}


@pytest.fixture
def make(client: MilvusClient) -> Callable[..., None]:
    """Make a collection of the name `theirs`, of fields and indexes."""

    def made(
        *fields: Field, metric: str = "IP", dynamic: bool = True, auto_id: bool = False
    ) -> None:
        schema = client.create_schema(auto_id=auto_id, enable_dynamic_field=dynamic)
        for field in fields:
            schema.add_field(**field)
        schema.add_field("dense", DataType.FLOAT_VECTOR, dim=DIM)
        schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
        params = client.prepare_index_params()
        params.add_index("dense", index_type="FLAT", metric_type=metric)
        params.add_index("sparse", **SPARSE)
        client.create_collection("theirs", schema=schema, index_params=params)

    return made


def _numbered() -> list[Record]:
    return [
        Record(replace(record.document, id=f"{n}"), record.output)
        for n, record in enumerate(records(DOCUMENTS))
    ]


def _rows(written: list[Record], **values: Any) -> Iterator[dict[str, Any]]:
    for record in written:
        assert record.output.sparse is not None
        yield {
            **record.document.metadata,
            "text": record.document.text,
            "dense": record.output.dense,
            "sparse": record.output.sparse.to_dict() or {2**32 - 2: 1e-6},
            **{name: value(record.document) for name, value in values.items()},
        }


@pytest.mark.parametrize("metric", ["IP", "COSINE", "L2"])
def test_integer_keys_and_every_metric_give_our_ids_and_scores(
    client: MilvusClient, make: Callable[..., None], metric: str
) -> None:
    make(PK, TEXT, metric=metric)
    stored = _numbered()
    client.insert("theirs", [*_rows(stored, pk=lambda document: int(document.id))])
    index = MilvusIndex(client, "theirs", dim=DIM, fields=FIELDS)
    _assert_searches_as_the_oracle(index, stored, *FILTERS, Contains("tags", "bear"))
    _assert_writes(index, stored, records([Document("-7", "a new bear", {"n": 99})])[0])
    (row,) = client.get("theirs", [-7], ["pk", "text", "n"])
    assert row == {"pk": -7, "text": "a new bear", "n": 99}
    assert index.get(["07", "x", "1e3", f"{2**63}"]) == []
    for id_ in ("07", "x", f"{2**63}"):
        with pytest.raises(DocumentError, match="its id is none that 'pk' holds"):
            index.upsert(records([Document(id_, "")]))


def test_an_alias_works_where_a_name_does(client: MilvusClient, make: Callable[..., None]) -> None:
    make(PK, TEXT)
    MilvusIndex(client, "ours", dim=DIM).upsert(records(DOCUMENTS))
    client.create_alias("theirs", "their_alias")
    client.create_alias("ours", "our_alias")
    MilvusIndex(client, "their_alias", fields=FIELDS).upsert(_numbered())
    assert MilvusIndex(client, "theirs", fields=FIELDS).count() == len(DOCUMENTS)
    index = MilvusIndex(client, "our_alias")
    index.delete([DOCUMENTS[0].id])
    index.flush()
    assert MilvusIndex(client, "ours").count() == len(DOCUMENTS) - 1
    hits = index.search(Search(query=query("the growling bear", "dense", "sparse"), k=1))
    assert hits[0].document == DOCUMENTS[2]


def test_rows_that_milvus_numbers_are_read_and_forgotten_and_not_written(
    client: MilvusClient, make: Callable[..., None]
) -> None:
    make(PK, TEXT, auto_id=True)
    client.insert("theirs", [*_rows(_numbered())])
    index = MilvusIndex(client, "theirs", fields=FIELDS)
    ids = [record.document.id for record in index.scan()]
    assert len(set(ids)) == len(DOCUMENTS)
    assert [record.document.id for record in index.get(ids[:3])] == ids[:3]
    index.delete(ids[:3])
    assert index.count() == len(DOCUMENTS) - 3
    with pytest.raises(DocumentError, match=r"numbers its rows by 'pk'.*FieldNames\(id=…\)"):
        index.upsert(_numbered())


def test_ids_in_a_field_of_their_own_are_kept_where_milvus_numbers_the_rows(
    client: MilvusClient, make: Callable[..., None]
) -> None:
    name: Field = {"field_name": "name", "datatype": DataType.VARCHAR, "max_length": 100}
    make(PK, TEXT, name, auto_id=True)
    stored = records(DOCUMENTS)
    client.insert("theirs", [*_rows(stored, name=lambda document: document.id)])
    index = MilvusIndex(client, "theirs", fields=replace(FIELDS, id="name"))
    _assert_searches_as_the_oracle(index, stored, *FILTERS)
    _assert_writes(index, stored, records([Document("new", "a new bear", {"n": 99})])[0])


def test_a_key_beside_the_id_is_refused_where_it_is_ours_to_make(
    client: MilvusClient, make: Callable[..., None]
) -> None:
    make(PK, TEXT, {"field_name": "name", "datatype": DataType.VARCHAR, "max_length": 100})
    index = MilvusIndex(client, "theirs", fields=replace(FIELDS, id="name"))
    with pytest.raises(DocumentError, match="its key 'pk' would need a value beside the id"):
        index.upsert(records(DOCUMENTS))


def test_what_the_schema_has_no_place_for_is_refused_before_anything_is_written(
    client: MilvusClient, make: Callable[..., None]
) -> None:
    make(
        {**PK, "datatype": DataType.VARCHAR, "max_length": 10},
        {**TEXT, "max_length": 20},
        {"field_name": "n", "datatype": DataType.INT64},
        {"field_name": "half", "datatype": DataType.FLOAT, "nullable": True},
        dynamic=False,
    )
    index = MilvusIndex(client, "theirs", fields=FIELDS)
    good = Document("good", "", {"n": 1})
    refused = {
        "its id takes 11 bytes, and Milvus holds 10": Document("x" * 11, "", {"n": 1}),
        "its text takes 21 bytes, and Milvus holds 20": Document("a", "x" * 21, {"n": 1}),
        "each row needs n, and its metadata lacks it": Document("a", ""),
        "the schema has no field for 'other' of its metadata": Document(
            "a", "", {"n": 1, "other": 1}
        ),
        "'n' of its metadata is 1.5, and INT64 there": Document("a", "", {"n": 1.5}),
        "'n' of its metadata is True, and INT64": Document("a", "", {"n": True}),
        "'n' of its metadata is None": Document("a", "", {"n": None}),
        "'half' of its metadata is 'x', and FLOAT": Document("a", "", {"n": 1, "half": "x"}),
    }
    for message, document in refused.items():
        with pytest.raises(
            DocumentError, match=f"cannot hold document '{document.id}': .*{message}"
        ):
            index.upsert(records([good, document]))
    assert index.count() == 0
    index.upsert(records([good, Document("b", "", {"n": 2, "half": None})]))
    assert dict(index.get(["b"])[0].document.metadata) == {"n": 2}


def test_a_vector_that_m3_does_not_make_forbids_writing_alone(
    client: MilvusClient, make: Callable[..., None]
) -> None:
    make(PK, TEXT)
    stored = _numbered()
    client.insert("theirs", [*_rows(stored, pk=lambda document: int(document.id))])
    index = MilvusIndex(client, "theirs", fields=FieldNames(dense="dense"))
    _assert_searches_as_the_oracle(index, stored, None, Exists("sparse"))
    assert index.get(["1"])[0].document.metadata == stored[1].document.metadata
    with pytest.raises(DocumentError, match="each row needs sparse, which M3 does not make"):
        index.upsert(stored)


def test_a_text_that_the_schema_does_not_name_is_read_and_written(client: MilvusClient) -> None:
    names = {"primary_field_name": "pk", "vector_field_name": "dense", "metric_type": "IP"}
    client.create_collection("theirs", dimension=DIM, **names)  # as the quick start does
    stored = [Record(entry.document, entry.output.only("dense")) for entry in _numbered()]
    rows = _rows(_numbered(), pk=lambda entry: int(entry.id))
    client.insert("theirs", [{key: row[key] for key in row if key != "sparse"} for row in rows])
    index = MilvusIndex(client, "theirs", fields=FieldNames(dense="dense"))
    _assert_searches_as_the_oracle(index, stored, *FILTERS)
    _assert_writes(index, stored, records([Document("-7", "a new bear", {"n": 99})])[0])
    (row,) = client.get("theirs", [-7], ["pk", "text", "n"])
    assert row == {"pk": -7, "text": "a new bear", "n": 99}


DIFFERENCES: dict[str, FieldNames] = {
    "no row has the text in 'body'; give another name by.*one row has .*lang": FieldNames(
        text="body", dense="dense"
    ),
    "the text should be VARCHAR, and 'pk' is INT64": FieldNames(text="pk", dense="dense"),
    "the dense vectors should be FLOAT_VECTOR, and 'sparse' is SPARSE_FLOAT": FieldNames(
        dense="sparse"
    ),
    "the sparse vectors should be in 'lexical'": FieldNames(sparse="lexical"),
    "the metadata should be JSON, and 'text'": FieldNames(
        text="other", metadata="text", dense="dense"
    ),
    "the id should be VARCHAR or INT64, and 'dense' is": FieldNames(id="dense", sparse="sparse"),
    "'colbert' holds no ColBERT vectors in structs of m3kit's form": FieldNames(colbert="colbert"),
}


@pytest.mark.parametrize("message", DIFFERENCES)
def test_a_schema_that_cannot_serve_is_refused_with_the_difference(
    client: MilvusClient, make: Callable[..., None], message: str
) -> None:
    make(PK, TEXT)
    client.insert("theirs", [*_rows(_numbered(), pk=lambda document: int(document.id))])
    with pytest.raises(
        IndexNotFoundError, match=f"'theirs' cannot be opened with FieldNames.*{message}"
    ):
        MilvusIndex(client, "theirs", fields=DIFFERENCES[message])


def test_colbert_does_not_rank_by_texts_that_are_elsewhere(
    client: MilvusClient, make: Callable[..., None]
) -> None:
    make(PK, {**TEXT, "nullable": True}, {**TEXT, "field_name": "body"})
    bodies = {
        "body": lambda document: document.text,
        "text": lambda _: None,
        "pk": lambda document: int(document.id),
    }
    client.insert("theirs", [*_rows(_numbered(), **bodies)])
    with pytest.raises(IndexNotFoundError, match=r"no row has the text in 'text'.*body \(VARCHAR"):
        WithColbert(MilvusIndex(client, "theirs", fields=FIELDS), ENCODER)
    index = MilvusIndex(client, "theirs", fields=replace(FIELDS, text="body"))
    search = Search(query=query("the growling bear", "colbert"), k=1)
    assert WithColbert(index, ENCODER).search(search)[0].document.text == DOCUMENTS[2].text


def test_a_collection_without_names_is_refused_with_the_keys_of_a_row(
    client: MilvusClient, make: Callable[..., None]
) -> None:
    make(PK, TEXT, {"field_name": "about", "datatype": DataType.JSON})
    client.insert(
        "theirs",
        [*_rows(_numbered()[:1], pk=lambda _: 1, about=lambda _: {"lang": "en"})],
    )
    with pytest.raises(IndexNotFoundError) as caught:
        MilvusIndex(client, "theirs")
    for part in ("was not created by m3kit; pass fields=FieldNames(…)", "about (JSON)",
                 "about['lang']", "tags"):  # fmt: skip
        assert part in f"{caught.value}"


def test_a_width_a_metric_a_missing_collection_are_told(
    client: MilvusClient, make: Callable[..., None]
) -> None:
    with pytest.raises(IndexNotFoundError, match="no such thing as the collection 'theirs'"):
        MilvusIndex(client, "theirs", dim=DIM, fields=FIELDS)
    make(PK, TEXT)
    with pytest.raises(ModelMismatchError, match=f"are {DIM} wide, and 7 is asked for"):
        MilvusIndex(client, "theirs", dim=7, fields=FIELDS)
    with pytest.raises(
        IndexNotFoundError,
        match=r"not created by m3kit; pass fields=FieldNames\(.*pk \(INT64\), text \(VARCHAR\)",
    ):
        MilvusIndex(client, "theirs", dim=DIM)
    client.release_collection("theirs")
    client.drop_index("theirs", "dense")
    with pytest.raises(IndexNotFoundError, match="'dense' has no index"):
        MilvusIndex(client, "theirs", fields=FIELDS)


def test_vectors_of_another_length_are_refused_where_the_metric_would_tell(
    client: MilvusClient, make: Callable[..., None]
) -> None:
    make(PK, TEXT, metric="L2")
    long = np.full(DIM, 2.0, np.float32)
    stored = [
        Record(Document("1", ""), M3Output(dense=long, sparse=records(DOCUMENTS)[0].output.sparse))
    ]
    client.insert("theirs", [*_rows(stored, pk=lambda document: int(document.id))])
    with pytest.raises(IndexNotFoundError, match=r"'1' is of length 11\.3.*L2"):
        MilvusIndex(client, "theirs", fields=FIELDS)


def test_metadata_that_is_no_object_is_named(
    client: MilvusClient, make: Callable[..., None]
) -> None:
    make(PK, TEXT, {"field_name": "about", "datatype": DataType.JSON})
    client.insert("theirs", [*_rows(_numbered()[:1], pk=lambda _: 1, about=lambda _: [1])])
    index = MilvusIndex(client, "theirs", fields=replace(FIELDS, metadata="about"))
    with pytest.raises(DocumentError, match="'about' of 1 in the collection 'theirs' is no object"):
        index.get(["1"])
