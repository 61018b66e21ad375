"""How a document lies in a row: what a user of pymilvus reads, and what pymilvus sends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient
from pymilvus.client.prepare import Prepare

from m3kit import Retriever, open_index
from m3kit.adapters.manifest import Manifest
from m3kit.filters import Eq
from m3kit.index import DocumentError
from m3kit.records import Document, Record
from m3kit.testing import DIM, DOCUMENTS, ENCODER, HashEncoder, records
from m3kit.vectors import REPS, M3Output, Rep, Sparse
from m3kit_milvus import M3KIT, MilvusIndex
from m3kit_milvus.client import Engine, Row
from m3kit_milvus.columns import Schema
from m3kit_milvus.layout import Layout
from m3kit_milvus.provision import new_schema
from m3kit_milvus.scalars import Scalar
from m3kit_milvus.vectors import NO_TOKEN, Column, anns_field, nbytes
from m3kit_milvus.workarounds import AtomicStr

STORED: tuple[Rep, ...] = ("dense", "sparse")
MANIFEST = Manifest(DIM, frozenset(STORED), None)
EXAMPLES = [
    Document("1", "A growling bear, \u2028 a 熊\0.", {"n": 2, "lang": "en", "tags": ["a", 1]}),
    Document("é", "", {}),
]
NUMBERS = {np.int32: np.float64, np.uint32: np.float16, np.int64: np.float32}
CRAFTED = [
    'a"b', "a'b", "a\\b", "a\nb", "a\rb", "a\\'", "a\\", '"', "'", '"] or id != "', "a\\nb",
    "\x00", "ü熊\u2028\U0010ffff", "%", "_terms like", "x" * 512, "x" * 513, "ü" * 512,
]  # fmt: skip


def new_layout(manifest: Manifest, engine: Engine) -> Layout:
    """The layout of a collection that m3kit creates, without one."""
    description = new_schema(manifest, engine, None).to_dict()
    read = {field["name"]: Scalar.read(field) for field in description["fields"]}
    scalars = {name: scalar for name, scalar in read.items() if scalar is not None}
    return Layout(
        what="the collection 'papers'",
        names=replace(M3KIT, **dict.fromkeys({*REPS} - manifest.reps)),  # type: ignore[arg-type]
        manifest=manifest,
        columns={rep: Column(rep, "IP", "FLAT", {}, anns_field(rep, rep)) for rep in manifest.reps},
        schema=Schema("id", False, scalars, ["metadata"], [], [], False, frozenset()),  # noqa: FBT003
        engine=engine,
        partition_key=None,
        private=frozenset(scalars) - {"id", "text"},
    )


# What others read ---------------------------------------------------------------------------------


def test_a_row_is_what_a_user_would_have_made(client: MilvusClient) -> None:
    index = MilvusIndex(client, "papers", dim=DIM)
    index.upsert(records(DOCUMENTS))
    fields = {f["name"]: f for f in client.describe_collection("papers")["fields"]}
    assert {name: field["type"] for name, field in fields.items()} == {
        "id": DataType.VARCHAR,
        "text": DataType.VARCHAR,
        "metadata": DataType.JSON,
        "_terms": DataType.VARCHAR,
        "dense": DataType.FLOAT_VECTOR,
        "sparse": DataType.SPARSE_FLOAT_VECTOR,
    }
    assert fields["id"]["is_primary"]
    (row,) = client.query(
        "papers", filter=f'id == "{DOCUMENTS[2].id}"', output_fields=["id", "text", "metadata"]
    )
    assert row == {
        "id": DOCUMENTS[2].id,
        "text": DOCUMENTS[2].text,
        "metadata": dict(DOCUMENTS[2].metadata),
    }
    rows = client.query("papers", filter='metadata["lang"] == "de"', output_fields=["id"])
    expected = {document.id for document in DOCUMENTS if document.metadata.get("lang") == "de"}
    assert expected
    assert {row["id"] for row in rows} == expected


def test_a_server_gets_exact_metadata_beside_json_where_json_may_round() -> None:
    layout = new_layout(MANIFEST, "server")
    large = Document("a", "", {"a": [{"b": 2**53 + 1}], "c": 0.1})
    for document, text in ((large, '{"a":[{"b":9007199254740993}],"c":0.1}'), (EXAMPLES[0], "")):
        (output,) = ENCODER.encode_documents([""], STORED)
        row = layout.to_row(Record(document, output))
        assert row["_metadata"] == text
        assert "_terms" not in row
        assert layout.to_document(row) == document
    rounded = {**layout.to_row(Record(large, output)), "metadata": {"a": [{"b": 2.0**53}]}}
    assert layout.to_document(rounded) == large
    assert layout.to_document({**rounded, "_metadata": ""}).metadata == {"a": [{"b": 2.0**53}]}


# Ids ----------------------------------------------------------------------------------------------


def test_crafted_ids_are_keys_and_touch_no_other_document(client: MilvusClient) -> None:
    index = MilvusIndex(client, "papers", dim=DIM)
    documents = [Document(id_, "a bear", {"n": n}) for n, id_ in enumerate(CRAFTED)]
    index.upsert(records(documents))
    index.upsert(records(documents))
    assert index.count() == len(CRAFTED)
    stored = client.query("papers", filter='id != ""', output_fields=["id"])
    assert sorted(row["id"] for row in stored) == sorted(CRAFTED)
    assert [record.document for record in index.get(CRAFTED)] == documents
    for n, id_ in enumerate(CRAFTED):
        assert [record.document.id for record in index.scan(Eq("n", n))] == [id_]
        index.delete([id_])
        assert index.count() == len(CRAFTED) - n - 1


def test_an_id_that_milvus_cannot_hold_is_refused(client: MilvusClient) -> None:
    index = MilvusIndex(client, "papers", dim=DIM)
    longest = [Document("x" * 65_534 + end, "") for end in "ab"]
    index.upsert(records(longest))
    assert [record.document for record in index.get([longest[1].id])] == longest[1:]
    with pytest.raises(DocumentError, match="its id takes 65536 bytes, and Milvus holds 65535"):
        index.upsert(records([Document("x" * 65_536, "")]))


# What pymilvus sends ------------------------------------------------------------------------------


def _sent(rows: Sequence[Row], engine: Engine) -> Any:
    description = new_schema(MANIFEST, engine, None).to_dict()
    return Prepare.row_upsert_param("papers", [*rows], "", description["fields"], [])


def _rows(engine: Engine, outputs: list[M3Output]) -> list[Row]:
    layout = new_layout(MANIFEST, engine)
    return [layout.to_row(Record(*pair)) for pair in zip(EXAMPLES, outputs, strict=True)]


def _plain(value: Any) -> Any:
    return str.__str__(value) if isinstance(value, str) else value


@pytest.mark.parametrize("engine", get_args(Engine))
def test_a_row_is_sent_as_one_of_texts_and_dicts_is(engine: Engine) -> None:
    outputs = ENCODER.encode_documents([document.text for document in EXAMPLES], STORED)
    rows = _rows(engine, outputs)
    assert [type(row["text"]) for row in rows] == [AtomicStr, AtomicStr]
    dicts = [output.sparse.to_dict() if output.sparse else {} for output in outputs]
    assert dicts[0]
    assert not dicts[1]
    plain = [
        {name: _plain(value) for name, value in row.items()} | {"sparse": weights}
        for row, weights in zip(rows, [dicts[0], {NO_TOKEN: 1e-6}], strict=True)
    ]
    assert _sent(rows, engine) == _sent(plain, engine)


@pytest.mark.parametrize("ids", NUMBERS)
def test_weights_in_other_numbers_are_sent_in_milvus_own(ids: Any) -> None:
    dense = np.ones(DIM, NUMBERS[ids])
    tokens = np.array([1, 5, NO_TOKEN - 1 if ids is not np.int32 else 9], ids)
    sparse = Sparse(tokens, np.array([0.25, 3, 1], NUMBERS[ids]))
    rows = _rows("lite", [M3Output(dense=dense, sparse=sparse)] * 2)
    plain = [{**row, "sparse": sparse.to_dict()} for row in rows]
    assert _sent(rows, "lite") == _sent(plain, "lite")


def test_a_row_is_measured_with_its_vectors_and_its_metadata() -> None:
    (output,) = ENCODER.encode_documents(["a growling bear"], STORED)
    assert output.sparse is not None
    (row, _) = _rows("lite", [output] * 2)
    without = {name: value for name, value in row.items() if name not in STORED}
    assert nbytes(row) - nbytes(without) == 4 * DIM + 8 * len(output.sparse)
    assert nbytes({"metadata": {"a": ["x" * 1000]}}) >= 1000


def test_what_is_too_large_is_refused_before_it_is_encoded(file: Path) -> None:
    encoder = NeverEncoding()
    large = {"too large": "x" * 70_000}
    for document, part in (
        (Document("a", "ü" * 40_000), "text takes 80000 bytes"),
        (Document("b" * 70_000, "text"), "id takes"),
        (Document("c", "text", large), "metadata takes"),
    ):
        with (
            open_index(f"milvus://{file}/papers", encoder=ENCODER) as index,
            pytest.raises(DocumentError, match=rf"documents\[1\]: .*{part}"),
        ):
            Retriever(encoder, index).add([Document("fine", "text"), document])
    assert encoder.encoded == 0


class NeverEncoding(HashEncoder):
    encoded = 0

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        self.encoded += len(texts)
        return super().encode_documents(texts, reps)
